package source

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"sync"
	"time"

	version "github.com/hashicorp/go-version"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source/manifest"
)

// Manifest reads versions from a signed manifest, which the command
// upkeep-manifest makes. Package manifest says which attacks that holds. A zero
// field means its documented default. A Manifest is safe for concurrent use and
// must not be copied; it remembers the last answer, so that one that has not
// changed is not sent again.
//
// A manifest that is not to be believed is an error of package manifest, an
// address that is not to be trusted ErrInsecure, and no manifest at all
// update.ErrNotFound. There is no way around a check: who is in need makes a
// Manifest with other keys, or another state.
type Manifest struct {
	// URL is where the manifest is: https, or file for one on this machine.
	// http is for this machine too, unless AllowHTTP. It may hold a user and a
	// password, which no error repeats. Required.
	URL string
	// Keys are the public keys to trust from the start, 1 to 8; see
	// manifest.ParsePublicKey. The manifest may replace them. Required.
	Keys []ed25519.PublicKey
	// State remembers which manifest was the last, usually in a StateFile
	// beside the program's other data. Several Manifests may share one, and so
	// may several processes. Required.
	State Store
	// Product is what the manifest must be for. Default: the package's name.
	Product string
	// Channel is the channel that the manifest must be for. Default "stable".
	Channel string
	// OS and Arch are the system to find artifacts for. Versions without one
	// are left out. Default: those of this program.
	OS, Arch string
	// Current returns the installed version, "" for none: as a rule it is the
	// function that Package.Current has. Versions that one may not update to
	// from there are left out, so that "latest" goes by the versions between. An
	// installed version that is none meets no minimum. It is required once a
	// version has a minimum: without it that is update.ErrInvalid.
	Current func(ctx context.Context) (string, error)
	// MinSerial is the lowest serial to accept, for a program that has no
	// state yet: that of the manifest when the program was built.
	MinSerial int64
	// AllowHTTP allows http to other machines. Nobody on the way can change
	// what is offered, but anybody can see it, and hold it back.
	AllowHTTP bool
	// Client sends the requests. Default: one that takes 30 seconds at most.
	Client *http.Client

	mu   sync.Mutex
	last answer
}

var _ update.Source = (*Manifest)(nil)

// answer is what a server said.
type answer struct {
	text []byte
	etag string
	date time.Time // of the server, zero if unknown
}

// Versions implements update.Source with one request.
func (m *Manifest) Versions(ctx context.Context, pkg string) iter.Seq2[update.Release, error] {
	return func(yield func(update.Release, error) bool) {
		releases, err := m.releases(ctx, pkg)
		if err != nil {
			yield(update.Release{}, err)
			return
		}
		for _, r := range releases {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (m *Manifest) releases(ctx context.Context, pkg string) ([]update.Release, error) {
	base, err := m.base()
	if err != nil {
		return nil, err
	}
	got, err := m.fetch(ctx, base)
	if err != nil {
		return nil, err
	}
	accepted, err := m.accept(ctx, pkg, got)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", public(base), err)
	}
	m.mu.Lock()
	m.last = got // which is good, and may be sent by its ETag alone
	m.mu.Unlock()
	return m.choose(ctx, accepted.Releases, base)
}

func (m *Manifest) base() (*url.URL, error) {
	u, err := url.Parse(m.URL)
	switch {
	case err != nil:
		return nil, errors.New("source: the URL of the manifest cannot be parsed")
	case m.State == nil:
		return nil, fmt.Errorf("%w: Manifest.State is required", update.ErrInvalid)
	case len(m.Keys) == 0:
		return nil, fmt.Errorf("%w: Manifest.Keys is required", update.ErrInvalid)
	case u.Scheme == "file" && (u.Host == "" || u.Host == "localhost"):
		u.Host = ""
		return u, nil
	}
	return u, secure(u, m.AllowHTTP)
}

// accept checks the manifest and remembers it.
func (m *Manifest) accept(ctx context.Context, pkg string, got answer) (accepted manifest.Manifest, err error) {
	check := manifest.Check{
		Product: orDefault(m.Product, pkg), Channel: orDefault(m.Channel, "stable"),
		Keys: m.Keys, MinSerial: m.MinSerial, Now: time.Now(),
	}
	err = m.State.Update(ctx, func(kept []byte) ([]byte, error) {
		state, err := manifest.ParseState(kept)
		if err != nil {
			return nil, err
		}
		if accepted, err = state.Accept(got.text, check); err != nil {
			return nil, err
		}
		return state.Encode()
	})
	// Nobody has signed the date of the server. It serves to say what is wrong.
	off := check.Now.Sub(got.date).Abs()
	if errors.Is(err, manifest.ErrExpired) && !got.date.IsZero() && off > 24*time.Hour {
		err = fmt.Errorf("%w: the server's says %s: %w", manifest.ErrClock, got.date.UTC().Format(time.RFC3339), err)
	}
	return accepted, err
}

func orDefault(s, byDefault string) string {
	if s == "" {
		return byDefault
	}
	return s
}

// choose returns the releases that may be installed here.
func (m *Manifest) choose(ctx context.Context, all []manifest.Release, base *url.URL) ([]update.Release, error) {
	var chosen []update.Release
	var installed string
	var known bool
	for _, r := range all {
		a, ok := r.For(orDefault(m.OS, runtime.GOOS), orDefault(m.Arch, runtime.GOARCH))
		if !ok {
			continue
		}
		if r.Minimum != "" && !known {
			var err error
			if installed, err = m.current(ctx, r); err != nil {
				return nil, err
			}
			known = true
		}
		if !meets(installed, r.Minimum) {
			continue
		}
		u, err := m.artifact(base, a.URL)
		if err != nil {
			return nil, fmt.Errorf("artifact of version %q: %w", r.Version, err)
		}
		chosen = append(chosen, update.Release{
			Version: r.Version, Time: r.Time.UTC(), URL: u, Digest: a.SHA256, Signature: a.Signature, Size: a.Size,
		})
	}
	return chosen, nil
}

func (m *Manifest) current(ctx context.Context, r manifest.Release) (string, error) {
	if m.Current == nil {
		return "", fmt.Errorf("%w: version %q needs %q before it, and Manifest.Current is not set",
			update.ErrInvalid, r.Version, r.Minimum)
	}
	installed, err := m.Current(ctx)
	if err != nil {
		return "", fmt.Errorf("installed version: %w", err)
	}
	return installed, nil
}

// meets reports whether who has installed, or nothing, may update to a version
// with this minimum.
func meets(installed, minimum string) bool {
	if installed == "" || minimum == "" {
		return true
	}
	has, err := version.NewVersion(installed)
	if err != nil {
		return false
	}
	needs, err := version.NewVersion(minimum)
	return err == nil && has.GreaterThanOrEqual(needs)
}

// artifact returns the URL of an artifact. Only a manifest on this machine may
// name a file on it.
func (m *Manifest) artifact(base *url.URL, text string) (string, error) {
	u, err := base.Parse(text)
	if err != nil {
		return "", fmt.Errorf("%w: its URL cannot be parsed", manifest.ErrMalformed)
	}
	if u.Scheme == "file" && base.Scheme == "file" {
		return u.String(), nil
	}
	return u.String(), secure(u, m.AllowHTTP)
}

// fetch reads the manifest, or finds that the last one is still the one.
func (m *Manifest) fetch(ctx context.Context, u *url.URL) (answer, error) {
	if u.Scheme == "file" {
		return readFile(u)
	}
	m.mu.Lock()
	last := m.last
	m.mu.Unlock()
	header := http.Header{"Accept": {"application/json"}}
	if last.etag != "" {
		header.Set("If-None-Match", last.etag)
	}
	client := guarded(m.Client, m.AllowHTTP)
	if m.Client == nil {
		client.Timeout = timeout
	}
	resp, err := get(ctx, client, u, header)
	if err != nil {
		return answer{}, certain(err)
	}
	defer resp.Body.Close()
	date, _ := http.ParseTime(resp.Header.Get("Date")) // zero if there is none
	switch {
	case resp.StatusCode == http.StatusNotModified && last.etag != "":
		last.date = date
		return last, nil
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		return answer{}, fmt.Errorf("%w: %s", update.ErrNotFound, public(u))
	case resp.StatusCode != http.StatusOK:
		return answer{}, fmt.Errorf("source: %s answered %s", public(u), resp.Status)
	}
	text, err := slurp(resp.Body, u, manifest.MaxSize)
	return answer{text: text, etag: resp.Header.Get("Etag"), date: date}, err
}

func readFile(u *url.URL) (answer, error) {
	f, err := os.Open(filePath(u))
	if errors.Is(err, fs.ErrNotExist) {
		return answer{}, fmt.Errorf("%w: %s", update.ErrNotFound, public(u))
	}
	if err != nil {
		return answer{}, fmt.Errorf("opening the manifest: %w", err)
	}
	defer f.Close()
	text, err := slurp(f, u, manifest.MaxSize)
	return answer{text: text}, err
}

// certain adds ErrClock to an error that says that a certificate is more than
// a day too old or too new: a clock is more often wrong than a certificate.
func certain(err error) error {
	c, ok := errors.AsType[x509.CertificateInvalidError](err)
	if !ok || c.Reason != x509.Expired || c.Cert == nil {
		return err
	}
	const day = 24 * time.Hour
	if now := time.Now(); now.After(c.Cert.NotBefore.Add(-day)) && now.Before(c.Cert.NotAfter.Add(day)) {
		return err
	}
	return fmt.Errorf("%w, or the server's certificate is: %w", manifest.ErrClock, err)
}
