package manifest

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	version "github.com/hashicorp/go-version"

	"github.com/upkeep-go/upkeep/internal/signed"
)

// MaxSize is the length in bytes of the longest file that is read.
const MaxSize = 4 << 20

// Manifest says which versions of a product there are in a channel.
type Manifest struct {
	Product string `json:"product"` // 1 to 256 bytes
	Channel string `json:"channel"` // 1 to 64 bytes, such as "stable"
	// Serial rises with every manifest of the channel; 1 at least.
	Serial int64 `json:"serial"`
	// Issued is when the manifest was signed, Expires when it ceases to count.
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
	// Critical names members of this object that a reader must know, or else
	// refuse the manifest. Others that it does not know it ignores.
	Critical []string  `json:"critical,omitempty"`
	Releases []Release `json:"releases"` // in any order
}

// Release is one version.
type Release struct {
	Version string    `json:"version"`
	Time    time.Time `json:"time,omitzero"` // when it was released, if known
	// Minimum is the lowest version from which one may update to this one, ""
	// for any. It does not bind who has none yet.
	Minimum   string     `json:"minimum,omitempty"`
	Artifacts []Artifact `json:"artifacts"` // one at least
}

// Artifact is the file of a release for one system.
type Artifact struct {
	// OS and Arch are as GOOS and GOARCH have them, or any other name that the
	// program asks for. No Arch means all of the system's, no OS all systems.
	OS   string `json:"os,omitempty"`
	Arch string `json:"arch,omitempty"`
	// URL may be relative to that of the manifest.
	URL    string `json:"url"`
	Size   int64  `json:"size"` // bytes, 1 at least
	SHA256 Digest `json:"sha256"`
	// Signature is what update.Release has under this name, if there is one:
	// by a key that signs nothing but artifacts.
	Signature []byte `json:"signature,omitempty"`
}

// Digest is a SHA-256. In JSON it is 64 hexadecimal digits.
type Digest []byte

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) (err error) {
	*d, err = hex.DecodeString(string(text))
	return err
}

// For returns the artifact for a system: the one that names it most exactly.
func (r Release) For(os, arch string) (Artifact, bool) {
	for _, want := range [][2]string{{os, arch}, {os, ""}, {"", ""}} {
		for _, a := range r.Artifacts {
			if a.OS == want[0] && a.Arch == want[1] {
				return a, true
			}
		}
	}
	return Artifact{}, false
}

// decodeManifest reads what a trusted key has signed.
func decodeManifest(payload []byte) (Manifest, error) {
	var m Manifest
	if err := signed.DecodeKnown(payload, &m); err != nil {
		return Manifest{}, named(err)
	}
	for _, name := range m.Critical {
		if !slices.Contains(members, name) {
			return Manifest{}, fmt.Errorf("manifest: %.64q is critical, and not known to this program: %w", name, errors.ErrUnsupported)
		}
	}
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w: %w", ErrMalformed, err)
	}
	return m, nil
}

// members are the names that a manifest may declare critical.
var members = []string{"product", "channel", "serial", "issued", "expires", "critical", "releases"}

func (m Manifest) encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("manifest: %w: %w", ErrMalformed, err)
	}
	return json.Marshal(m)
}

func (m Manifest) check() error {
	switch {
	case !signed.Line(m.Product, 256):
		return fmt.Errorf("product %.64q", m.Product)
	case !signed.Line(m.Channel, 64):
		return fmt.Errorf("channel %.64q", m.Channel)
	case m.Serial < 1:
		return fmt.Errorf("serial %d, want 1 at least", m.Serial)
	case m.Issued.IsZero() || !m.Expires.After(m.Issued):
		return fmt.Errorf("issued %s and expires %s", m.Issued, m.Expires)
	}
	versions := map[string]bool{}
	for _, r := range m.Releases {
		v, err := r.check()
		if err != nil {
			return fmt.Errorf("version %.64q: %w", r.Version, err)
		}
		if versions[v.String()] {
			return fmt.Errorf("version %q is listed twice", r.Version)
		}
		versions[v.String()] = true
	}
	return nil
}

func (r Release) check() (*version.Version, error) {
	v, err := parseVersion(r.Version)
	if err != nil {
		return nil, err
	}
	if r.Minimum != "" {
		if _, err := parseVersion(r.Minimum); err != nil {
			return nil, fmt.Errorf("minimum: %w", err)
		}
	}
	if len(r.Artifacts) == 0 {
		return nil, errors.New("no artifact")
	}
	for i, a := range r.Artifacts {
		if err := a.check(); err != nil {
			return nil, fmt.Errorf("artifact for %.64q: %w", a.OS+"/"+a.Arch, err)
		}
		for _, earlier := range r.Artifacts[:i] {
			if a.OS == earlier.OS && a.Arch == earlier.Arch {
				return nil, fmt.Errorf("two artifacts for %q", a.OS+"/"+a.Arch)
			}
		}
	}
	return v, nil
}

func parseVersion(text string) (*version.Version, error) {
	if !signed.Line(text, 256) {
		return nil, fmt.Errorf("%.64q is not a version", text)
	}
	v, err := version.NewVersion(text)
	if err != nil {
		return nil, fmt.Errorf("%.64q is not a version", text)
	}
	return v, nil
}

func (a Artifact) check() error {
	u, err := url.Parse(a.URL)
	switch {
	case a.OS != "" && !signed.Line(a.OS, 64), a.Arch != "" && !signed.Line(a.Arch, 64), a.OS == "" && a.Arch != "":
		return errors.New("no such system")
	case err != nil || a.URL == "" || len(a.URL) > 2048 || u.User != nil || u.Opaque != "":
		return errors.New("no URL, or one with a user in it")
	case a.Size < 1:
		return fmt.Errorf("%d bytes, want 1 at least", a.Size)
	case len(a.SHA256) != 32:
		return fmt.Errorf("a digest of %d bytes, want 32", len(a.SHA256))
	case len(a.Signature) > 4096:
		return fmt.Errorf("a signature of %d bytes, at most 4096 are allowed", len(a.Signature))
	}
	return nil
}
