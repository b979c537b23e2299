package github

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"os"
	"path"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source/internal/asset"
	"github.com/upkeep-go/upkeep/update/source/internal/web"
)

// Channels of a Source.
const (
	Stable     = "stable"     // published releases that are not marked as pre-releases
	Prerelease = "prerelease" // all published releases
	Draft      = "draft"      // unpublished ones too, which only those may see who can write to the repository
)

// Source reads the releases of a repository on GitHub. A zero field means its
// documented default. A Source is safe for concurrent use and must not be
// copied; it remembers what it was told, so that what has not changed is
// neither sent again nor counted against the rate limit.
//
// The artifact of a release is the one asset whose name has the system and the
// architecture, as release tools write them (linux, macOS, win64; amd64,
// x86_64, arm64, aarch64, armv7), and that is a .tar.gz, .tgz, .zip, .exe or a
// bare program. The last such word counts, so that windows_tool_linux_amd64 is
// for linux. Assets for one architecture of darwin go before those for all
// (all, universal). An asset that says musl or gnu goes first if this program
// is linked to that library; then one that says neither; then musl, which is
// mostly linked in; gnu last, and never for a program of musl. A name with
// amd64v3 or armv6 is for that Arch alone, but of arm variants any serves for
// plain arm if it is the only one. Releases without an artifact are left out.
// Two that are equally good are ErrAmbiguous: name one in Asset.
//
// The digest of an artifact is the one that GitHub has computed, or else the
// one in the release's list of checksums; see Checksums. That holds nobody off
// who can write to the repository. A Signature does, and more is held by a
// manifest.Source whose manifest is an asset of the latest release, at
// https://github.com/owner/name/releases/latest/download/manifest.json.
//
// A repository that does not exist, or that the token may not see, is
// update.ErrNotFound.
type Source struct {
	// Repository is "owner/name". Default: the package's name.
	Repository string
	// Channel is Stable, Prerelease or Draft. Default: Stable. A version that
	// says itself that it is a pre-release, such as 1.2.0-rc.1, needs
	// AllowPrerelease in the request or the package as well.
	Channel string
	// TagPrefix is what the tags of the product begin with, before the version;
	// others are left out. Default: nothing.
	TagPrefix string
	// OS and Arch are the system to find artifacts for; an Arch may be armv7
	// and the like. Default: those of this program.
	OS, Arch string
	// Asset is the name of the artifact, for releases where the rules above are
	// not enough: "{tag}", "{version}" (the tag without the prefix and a leading
	// v), "{os}" and "{arch}" stand for what they say, and it may be a pattern
	// of path.Match. Default: the rules above.
	Asset string
	// Checksums is the name of the asset that lists the SHA-256 of others, as
	// sha256sum and goreleaser write it; as for Asset, and "{asset}" is the
	// artifact's name. With it, an artifact that is not listed has no digest,
	// and what GitHub says must agree. Default: where GitHub says nothing, the
	// asset "{asset}.sha256", or the only one with "checksums" or "sha256sum" in
	// its name.
	Checksums string
	// Signature is the name of the asset that is the signature of the artifact,
	// as for Checksums, such as "{asset}.minisig". Default: none.
	Signature string
	// Token is sent to the API, and nowhere else. No error has it.
	Token string `json:"-"`
	// Private makes Release.URL an address of the API, which gives the content
	// of a private repository to those who have the token: to the client that
	// AssetClient returns.
	Private bool
	// Limit is how many releases are looked for, newest first. Default 30.
	Limit int
	// API is where the API is, for GitHub Enterprise Server
	// "https://example.com/api/v3". Default: https://api.github.com.
	API string
	// AllowHTTP allows http to other machines: whoever is on the way can read
	// the token and give any release.
	AllowHTTP bool
	// Client sends the requests. Default: one that takes 30 seconds at most.
	Client *http.Client

	mu    sync.Mutex
	pages map[string]page   // by URL
	files map[string][]byte // lists and signatures, by the API's URL of the asset
	until time.Time         // when the API may be asked again
}

var _ update.Source = (*Source)(nil)

// String returns what may be known of g, which is not the token.
func (g *Source) String() string { return "GitHub " + g.Repository }

// GoString is String.
func (g *Source) GoString() string { return g.String() }

// defaultLimit is how many releases are looked for.
const defaultLimit = 30

var repository = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$`)

// Versions implements update.Source with one request for every 100 releases,
// and one for each list of checksums and each signature that it does not know.
func (g *Source) Versions(ctx context.Context, pkg string) iter.Seq2[update.Release, error] {
	return func(yield func(update.Release, error) bool) {
		s, err := g.session(pkg)
		if err != nil {
			yield(update.Release{}, err)
			return
		}
		left := cmp.Or(max(g.Limit, 0), defaultLimit)
		for r, err := range s.releases(ctx) {
			if err != nil {
				yield(update.Release{}, err)
				return
			}
			release, ok, err := s.release(ctx, r)
			if err != nil {
				yield(update.Release{}, fmt.Errorf("release %q of %s: %w", r.Tag, s.repository, err))
				return
			}
			if !ok {
				continue
			}
			if !yield(release, nil) {
				return
			}
			if left--; left == 0 {
				break
			}
		}
		s.forget()
	}
}

// session is one reading of the releases.
type session struct {
	*Source
	repository string
	api        *url.URL
	client     *http.Client
	system     asset.System
	files      map[string][]byte // that were of use
}

func (g *Source) session(pkg string) (*session, error) {
	s := &session{Source: g, repository: cmp.Or(g.Repository, pkg), files: map[string][]byte{}}
	if !repository.MatchString(s.repository) || strings.HasSuffix(s.repository, "/..") || strings.HasSuffix(s.repository, "/.") {
		return nil, fmt.Errorf("%w: %q is not the owner and name of a repository", update.ErrInvalid, s.repository)
	}
	switch g.Channel {
	case "", Stable, Prerelease, Draft:
	default:
		return nil, fmt.Errorf("%w: channel %q", update.ErrInvalid, g.Channel)
	}
	var err error
	if s.api, err = g.api(); err != nil {
		return nil, err
	}
	s.client = g.AssetClient()
	if g.Client == nil {
		s.client.Timeout = web.Timeout
	}
	s.system = asset.System{OS: cmp.Or(g.OS, runtime.GOOS), Arch: cmp.Or(g.Arch, runtime.GOARCH)}
	if program, err := os.Executable(); err == nil && s.system.OS == runtime.GOOS {
		s.system.Libc = asset.Libc(program)
	}
	return s, nil
}

func (g *Source) api() (*url.URL, error) {
	u, err := url.Parse(cmp.Or(g.API, "https://api.github.com"))
	if err != nil || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("%w: the URL of the API", update.ErrInvalid)
	}
	return u, web.Secure(u, g.AllowHTTP)
}

// release makes one of GitHub's releases ours, or tells that it is none.
func (s *session) release(ctx context.Context, r apiRelease) (update.Release, bool, error) {
	text, ok := strings.CutPrefix(r.Tag, s.TagPrefix)
	if !ok || r.Draft && s.Channel != Draft || r.Prerelease && (s.Channel == "" || s.Channel == Stable) {
		return update.Release{}, false, nil
	}
	a, err := s.artifact(r, text)
	if err != nil || a == nil {
		return update.Release{}, false, err
	}
	digest, err := s.digest(ctx, r, *a, text)
	if err != nil {
		return update.Release{}, false, err
	}
	signature, err := s.signature(ctx, r, *a, text)
	if err != nil {
		return update.Release{}, false, err
	}
	u, err := s.address(*a)
	if err != nil {
		return update.Release{}, false, err
	}
	return update.Release{
		Version: text, Time: r.Published.UTC(), URL: u.String(), Digest: digest, Signature: signature, Size: a.Size,
	}, true, nil
}

// artifact returns the asset to install, nil for none.
func (s *session) artifact(r apiRelease, version string) (*apiAsset, error) {
	if s.Asset != "" {
		return r.named(s.expand(s.Asset, r.Tag, version, ""))
	}
	var names []string
	for _, a := range r.Assets {
		names = append(names, a.Name)
	}
	name, err := asset.Pick(names, s.system)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAmbiguous, err)
	}
	if name == "" {
		return nil, nil
	}
	return r.named(escape(name))
}

// expand fills in a pattern.
func (s *session) expand(pattern, tag, version, artifact string) string {
	return strings.NewReplacer(
		"{tag}", escape(tag), "{version}", escape(strings.TrimPrefix(version, "v")),
		"{os}", escape(s.system.OS), "{arch}", escape(s.system.Arch), "{asset}", escape(artifact),
	).Replace(pattern)
}

// escape makes a text a pattern of path.Match that matches nothing else.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(text)
}

// named returns the asset whose name matches the pattern, nil for none.
func (r apiRelease) named(pattern string) (*apiAsset, error) {
	var found *apiAsset
	for i, a := range r.Assets {
		ok, err := path.Match(pattern, a.Name)
		if err != nil {
			return nil, fmt.Errorf("%w: pattern %q: %w", update.ErrInvalid, pattern, err)
		}
		if !ok {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%w: %q and %q", ErrAmbiguous, found.Name, a.Name)
		}
		found = &r.Assets[i]
	}
	return found, nil
}

// digest returns the SHA-256 of an artifact, nil if nobody says it.
func (s *session) digest(ctx context.Context, r apiRelease, a apiAsset, version string) ([]byte, error) {
	var said []byte
	if digits, ok := strings.CutPrefix(a.Digest, "sha256:"); ok {
		var err error
		if said, err = hex.DecodeString(digits); err != nil || len(said) != 32 {
			return nil, fmt.Errorf("github: GitHub's digest of %q is no SHA-256", a.Name)
		}
	}
	if said != nil && s.Checksums == "" {
		return said, nil
	}
	list, err := s.list(r, a, version)
	if err != nil || list == nil {
		return nil, err
	}
	text, err := s.file(ctx, *list)
	if err != nil {
		return nil, err
	}
	listed, err := checksum(text, a.Name)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", list.Name, err)
	}
	if said != nil && listed != nil && string(said) != string(listed) {
		return nil, fmt.Errorf("github: GitHub and %q have different digests of %q", list.Name, a.Name)
	}
	return listed, nil
}

// list returns the asset that has the checksum of a, nil for none.
func (s *session) list(r apiRelease, a apiAsset, version string) (*apiAsset, error) {
	if s.Checksums != "" {
		return r.named(s.expand(s.Checksums, r.Tag, version, a.Name))
	}
	if own, err := r.named(escape(a.Name + ".sha256")); err != nil || own != nil {
		return own, err
	}
	var found *apiAsset
	for i, b := range r.Assets {
		if !isList(strings.ToLower(b.Name)) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%w: lists of checksums %q and %q", ErrAmbiguous, found.Name, b.Name)
		}
		found = &r.Assets[i]
	}
	return found, nil
}

// isList reports whether a file of this name lists checksums: not if it is the
// signature of one, or that of a single file.
func isList(name string) bool {
	if !strings.Contains(name, "checksum") && !strings.Contains(name, "sha256sum") {
		return false
	}
	ending := path.Ext(name)
	return ending == "" || ending == ".txt" || strings.HasPrefix(name, "sha256sum") && ending == ".sha256"
}

// signature returns the signature of an artifact, nil for none.
func (s *session) signature(ctx context.Context, r apiRelease, a apiAsset, version string) ([]byte, error) {
	if s.Signature == "" {
		return nil, nil
	}
	file, err := r.named(s.expand(s.Signature, r.Tag, version, a.Name))
	if err != nil || file == nil {
		return nil, err
	}
	return s.file(ctx, *file)
}

// address returns where the content of an asset is.
func (s *session) address(a apiAsset) (*url.URL, error) {
	text := a.Download
	if s.Private {
		text = a.URL
	}
	u, err := url.Parse(text)
	if err != nil || u.User != nil {
		return nil, errors.New("github: the URL of an asset cannot be parsed")
	}
	return u, web.Secure(u, s.AllowHTTP)
}
