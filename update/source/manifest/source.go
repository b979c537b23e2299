package manifest

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"time"

	version "github.com/hashicorp/go-version"

	"github.com/upkeep-go/upkeep/internal/fetch"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source/internal/web"
)

// Source reads versions from a signed manifest. A zero field means its
// documented default. A Source is safe for concurrent use and must not be
// copied; it remembers the last answer, so that one that has not changed is not
// sent again.
//
// A manifest that is not to be believed is an error of this package, an address
// that is not to be trusted source.ErrInsecure, and no manifest at all
// update.ErrNotFound. There is no way around a check: who is in need makes a
// Source with other keys, or another state.
type Source struct {
	// URL is where the manifest is: https, or file for one on this machine.
	// http is for this machine too, unless AllowHTTP. It may hold a user and a
	// password, which no error repeats. Required.
	URL string
	// Keys are the public keys to trust from the start, 1 to 8; see
	// ParsePublicKey. The manifest may replace them. Required.
	Keys []ed25519.PublicKey
	// Threshold is how many of Keys must have signed. Default 1. What replaces the
	// keys says how many of them it takes then. A build that raises it and leaves
	// Keys as they were trusts them anew, unless as many of them have signed what
	// replaced them: after a rotation, build the new keys in.
	Threshold int
	// State remembers which manifest was the last, usually in a StateFile
	// beside the program's other data. Several Sources may share one, and so
	// may several processes. Required.
	State StateStore
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

var _ update.Source = (*Source)(nil)

// answer is what a server said.
type answer struct {
	text []byte
	etag string
	date time.Time // of the server, zero if unknown
}

// Versions implements update.Source with one request.
func (s *Source) Versions(ctx context.Context, pkg string) iter.Seq2[update.Release, error] {
	return web.Releases(func() ([]update.Release, error) { return s.releases(ctx, pkg) })
}

func (s *Source) releases(ctx context.Context, pkg string) ([]update.Release, error) {
	base, err := s.base()
	if err != nil {
		return nil, err
	}
	got, err := s.fetch(ctx, base)
	if err != nil {
		return nil, err
	}
	accepted, err := s.accept(ctx, pkg, got)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", fetch.Redacted(base), err)
	}
	s.mu.Lock()
	s.last = got // which is good, and may be sent by its ETag alone
	s.mu.Unlock()
	return s.choose(ctx, accepted.Releases, base)
}

func (s *Source) base() (*url.URL, error) {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil:
		return nil, errors.New("manifest: the URL of the manifest cannot be parsed")
	case s.State == nil:
		return nil, fmt.Errorf("%w: manifest.Source.State is required", update.ErrInvalid)
	case len(s.Keys) == 0:
		return nil, fmt.Errorf("%w: manifest.Source.Keys is required", update.ErrInvalid)
	case u.Scheme == "file" && (u.Host == "" || u.Host == "localhost"):
		u.Host = ""
		return u, nil
	}
	return u, web.Secure(u, s.AllowHTTP)
}

// accept checks the manifest and remembers it.
func (s *Source) accept(ctx context.Context, pkg string, got answer) (accepted Manifest, err error) {
	check := Check{
		Product: cmp.Or(s.Product, pkg), Channel: cmp.Or(s.Channel, "stable"),
		Keys: s.Keys, Threshold: s.Threshold, MinSerial: s.MinSerial, Now: time.Now(),
	}
	err = s.State.Update(ctx, func(kept []byte) ([]byte, error) {
		state, err := ParseState(kept)
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
	if errors.Is(err, ErrExpired) && !got.date.IsZero() && off > 24*time.Hour {
		err = fmt.Errorf("%w: the server's says %s: %w", ErrClock, got.date.UTC().Format(time.RFC3339), err)
	}
	return accepted, err
}

// choose returns the releases that may be installed here.
func (s *Source) choose(ctx context.Context, all []Release, base *url.URL) ([]update.Release, error) {
	var chosen []update.Release
	var installed string
	var known bool
	for _, r := range all {
		a, ok := r.For(cmp.Or(s.OS, runtime.GOOS), cmp.Or(s.Arch, runtime.GOARCH))
		if !ok {
			continue
		}
		if r.Minimum != "" && !known {
			var err error
			if installed, err = s.current(ctx, r); err != nil {
				return nil, err
			}
			known = true
		}
		if !meets(installed, r.Minimum) {
			continue
		}
		u, err := s.artifact(base, a.URL)
		if err != nil {
			return nil, fmt.Errorf("artifact of version %q: %w", r.Version, err)
		}
		chosen = append(chosen, update.Release{
			Version: r.Version, Time: r.Time.UTC(), URL: u, Digest: a.SHA256, Signature: a.Signature, Size: a.Size,
		})
	}
	return chosen, nil
}

func (s *Source) current(ctx context.Context, r Release) (string, error) {
	if s.Current == nil {
		return "", fmt.Errorf("%w: version %q needs %q before it, and manifest.Source.Current is not set",
			update.ErrInvalid, r.Version, r.Minimum)
	}
	installed, err := s.Current(ctx)
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
func (s *Source) artifact(base *url.URL, text string) (string, error) {
	u, err := base.Parse(text)
	if err != nil {
		return "", fmt.Errorf("manifest: %w: its URL cannot be parsed", ErrMalformed)
	}
	if u.Scheme == "file" && base.Scheme == "file" {
		return u.String(), nil
	}
	return u.String(), web.Secure(u, s.AllowHTTP)
}

// fetch reads the manifest, or finds that the last one is still the one.
func (s *Source) fetch(ctx context.Context, u *url.URL) (answer, error) {
	if u.Scheme == "file" {
		text, err := web.ReadFile(u, MaxSize)
		return answer{text: text}, err
	}
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	header := http.Header{"Accept": {"application/json"}}
	if last.etag != "" {
		header.Set("If-None-Match", last.etag)
	}
	client := web.Guarded(s.Client, s.AllowHTTP)
	if s.Client == nil {
		client.Timeout = web.Timeout
	}
	resp, err := web.Get(ctx, client, u, header)
	if err != nil {
		return answer{}, certain(err)
	}
	defer resp.Body.Close()
	date, _ := http.ParseTime(resp.Header.Get("Date")) // zero if there is none
	if resp.StatusCode == http.StatusNotModified && last.etag != "" {
		last.date = date
		return last, nil
	}
	if err := web.Refusal(resp, u); err != nil {
		return answer{}, err
	}
	text, err := web.Read(resp.Body, u, MaxSize)
	return answer{text: text, etag: resp.Header.Get("Etag"), date: date}, err
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
	return fmt.Errorf("%w, or the server's certificate is: %w", ErrClock, err)
}
