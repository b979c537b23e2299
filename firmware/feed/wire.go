package feed

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/signed"
)

// What signatures are for: nothing of one kind is ever taken for another.
const (
	typeCatalog  = "application/vnd.upkeep.firmware.catalog.v1+json"
	typeBundle   = "application/vnd.upkeep.firmware.bundle.v1+json"
	typeRotation = "application/vnd.upkeep.firmware.rotation.v1+json"
)

// maxFile bounds a signed file, in bytes.
const maxFile = firmware.MaxCatalog

// file is what is signed, and every rotation of keys there was: the catalog, or
// the head of a bundle. Nothing in it is to be believed before it is opened.
type file struct {
	Rotations []signed.Envelope `json:"rotations,omitempty"` // oldest first
	Signed    signed.Envelope   `json:"signed"`
}

func parseFile(raw []byte) (f file, err error) {
	if len(raw) > maxFile {
		return f, fmt.Errorf("%w: more than %d bytes", firmware.ErrCorrupt, maxFile)
	}
	if err := decode(raw, &f); err != nil {
		return f, err
	}
	if len(f.Rotations) > signed.MaxRotations {
		return f, fmt.Errorf("%w: %d rotations of keys, at most %d are allowed", firmware.ErrCorrupt, len(f.Rotations), signed.MaxRotations)
	}
	return f, nil
}

// decode reads what a later version may have added to, and ignores what that is:
// a device goes on with a feed that is younger than itself.
func decode(text []byte, v any) error {
	if err := signed.DecodeKnown(text, v); err != nil {
		return fmt.Errorf("%w: %w", firmware.ErrCorrupt, err)
	}
	return nil
}

// decodeAll is decode for who writes it again: nothing of it may be lost.
func decodeAll(text []byte, v any) error {
	if err := decode(text, v); err != nil {
		return err
	}
	if err := signed.Decode(text, v); err != nil {
		return fmt.Errorf("%w: a later version has written it: %w", firmware.ErrCorrupt, err)
	}
	return nil
}

func encode(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%w: %d bytes are to be signed, at most %d are allowed", firmware.ErrInvalid, len(text), maxFile)
	}
	return text, err
}

// wireCatalog is a firmware.Catalog as it is signed.
type wireCatalog struct {
	Product  string        `json:"product"`
	Number   int64         `json:"number"`
	Issued   time.Time     `json:"issued"`
	Expires  time.Time     `json:"expires"`
	Releases []wireRelease `json:"releases"` // newest first
}

// wireBundle is a firmware.Bundle as it is signed.
type wireBundle struct {
	Product string      `json:"product"`
	Issued  time.Time   `json:"issued"`
	Expires time.Time   `json:"expires"`
	Release wireRelease `json:"release"`
}

// wireRelease is a firmware.Release as it is signed. Digests are in base64.
type wireRelease struct {
	Version    string            `json:"version"`
	Prerelease bool              `json:"prerelease,omitempty"`
	Time       time.Time         `json:"time"`
	Epoch      int64             `json:"epoch,omitempty"`
	Hardware   []string          `json:"hardware,omitempty"`
	MinFrom    string            `json:"minFrom,omitempty"`
	Cohort     int               `json:"cohort,omitempty"`
	Meta       map[string]string `json:"meta,omitempty"`
	Image      wireObject        `json:"image"`
	Index      wireObject        `json:"index"`
}

type wireObject struct {
	Size   int64  `json:"size"`
	SHA256 []byte `json:"sha256"`
}

func (o wireObject) check(what, version string, most int64) error {
	if o.Size <= 0 || o.Size > most || len(o.SHA256) != 32 {
		return fmt.Errorf("%w: the %s of version %.64q", firmware.ErrCorrupt, what, version)
	}
	return nil
}

func toWire(r firmware.Release) wireRelease {
	return wireRelease{
		Version: r.Version, Prerelease: r.Prerelease, Time: r.Time.UTC(), Epoch: r.Epoch, Hardware: r.Hardware,
		MinFrom: r.MinFrom, Cohort: r.Cohort, Meta: r.Meta,
		Image: wireObject{r.Size, r.Digest[:]}, Index: wireObject{r.Index.Size, r.Index.Digest[:]},
	}
}

func (r wireRelease) release() (firmware.Release, error) {
	const most = 1 << 50
	err := r.Image.check("image", r.Version, most)
	if err == nil {
		err = r.Index.check("index", r.Version, firmware.MaxIndex)
	}
	if err == nil && (r.Version == "" || len(r.Version) > 256 || r.Cohort < 0 || r.Cohort > 100 || r.Epoch < 0) {
		err = fmt.Errorf("%w: version %.64q, epoch %d, cohort %d", firmware.ErrCorrupt, r.Version, r.Epoch, r.Cohort)
	}
	if err != nil {
		return firmware.Release{}, err
	}
	digest := [32]byte(r.Index.SHA256)
	return firmware.Release{
		Version: r.Version, Prerelease: r.Prerelease, Time: r.Time.UTC(), Epoch: r.Epoch, Hardware: r.Hardware,
		MinFrom: r.MinFrom, Cohort: r.Cohort, Meta: r.Meta, Size: r.Image.Size, Digest: [32]byte(r.Image.SHA256),
		Index: firmware.Object{Name: nameOf(digest), Size: r.Index.Size, Digest: digest},
	}, nil
}

func encodeCatalog(c firmware.Catalog) ([]byte, error) {
	w := wireCatalog{Product: c.Product, Number: c.Number, Issued: c.Issued.UTC(), Expires: c.Expires.UTC(), Releases: []wireRelease{}}
	for _, r := range c.Releases {
		w.Releases = append(w.Releases, toWire(r))
	}
	return encode(w)
}

func decodeCatalog(payload []byte) (c firmware.Catalog, err error) {
	var w wireCatalog
	if err := decode(payload, &w); err != nil {
		return c, err
	}
	if w.Product == "" || w.Number < 1 || w.Expires.IsZero() {
		return c, fmt.Errorf("%w: catalog %d of product %.64q", firmware.ErrCorrupt, w.Number, w.Product)
	}
	c = firmware.Catalog{Product: w.Product, Number: w.Number, Issued: w.Issued.UTC(), Expires: w.Expires.UTC()}
	versions := map[string]bool{}
	for _, one := range w.Releases {
		r, err := one.release()
		if err != nil {
			return firmware.Catalog{}, err
		}
		if versions[r.Version] {
			return firmware.Catalog{}, fmt.Errorf("%w: version %.64q is listed twice", firmware.ErrCorrupt, r.Version)
		}
		versions[r.Version] = true
		c.Releases = append(c.Releases, r)
	}
	return c, nil
}

func encodeBundle(b firmware.Bundle) ([]byte, error) {
	return encode(wireBundle{Product: b.Product, Issued: b.Issued.UTC(), Expires: b.Expires.UTC(), Release: toWire(b.Release)})
}

func decodeBundle(payload []byte) (b firmware.Bundle, err error) {
	var w wireBundle
	if err := decode(payload, &w); err != nil {
		return b, err
	}
	if w.Product == "" || w.Expires.IsZero() {
		return b, fmt.Errorf("%w: a bundle of product %.64q", firmware.ErrCorrupt, w.Product)
	}
	r, err := w.Release.release()
	return firmware.Bundle{Product: w.Product, Issued: w.Issued.UTC(), Expires: w.Expires.UTC(), Release: r}, err
}
