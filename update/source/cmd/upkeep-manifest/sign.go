package main

import (
	"cmp"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	version "github.com/hashicorp/go-version"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/signed"
	"github.com/upkeep-go/upkeep/internal/signtool"
	"github.com/upkeep-go/upkeep/update/source/manifest"
)

// signing is what all commands that sign have in common.
type signing struct {
	path *string
	keys *signtool.List
	pubs *signtool.List
	days *int
	// takes is how many keys programs take that have followed no rotation.
	takes *int
}

func signingFlags(f signtool.Flags) signing {
	return signing{
		path: f.String("manifest", "manifest.json", "`file` of the manifest"),
		keys: f.List("key", "upkeep.key", "`file` of the private key, - for standard input; repeat it to sign with several"),
		pubs: f.List("pub", "", "another public key, `file` or text, that may have signed the manifest so far"),
		days: f.Int("days", 30, "days until the manifest expires"),
		takes: f.Int("threshold", 0, "how many of the `keys` it takes in programs that have followed no rotation, their Source.Threshold, and must have\n"+
			"signed what is there; default: all of -key"),
	}
}

// document is a manifest that is being changed.
type document struct {
	signing
	file manifest.File
	manifest.Manifest
	keys  []ed25519.PrivateKey
	takes int            // so many of them
	trust manifest.Trust // once it is open
}

// open reads a manifest that as many of the keys have signed as programs take: it
// would be signed with all of them whatever fewer have written. It is fs.ErrNotExist
// if there is none, and then comes with the keys alone.
func (t tool) open(s signing) (document, error) {
	d := document{signing: s}
	switch {
	case *s.days < 1:
		return d, errors.New("-days must be 1 at least")
	case *s.takes < 0:
		return d, errors.New("-threshold must be 1 at least")
	}
	var err error
	if d.keys, err = t.PrivateKeys(s.keys.Values); err != nil {
		return d, err
	}
	d.takes = cmp.Or(*s.takes, d.signers())
	others, _, err := t.ReadKeys(s.pubs.Values)
	if err != nil {
		return d, err
	}
	text, err := readManifest(*s.path)
	if err != nil {
		return d, err
	}
	if d.file, err = manifest.Parse(text); err != nil {
		return d, fmt.Errorf("%s: %w", *s.path, err)
	}
	d.Manifest, d.trust, err = opened(d.file, publicOf(d.keys), others, d.takes)
	if d.takes = max(d.trust.Threshold, 1); errors.Is(err, manifest.ErrSignature) {
		return d, cmp.Or(d.enough(), fmt.Errorf("%s: %w: is -key the right one, or -pub missing?", *s.path, err))
	}
	if err != nil {
		return d, fmt.Errorf("%s: %w", *s.path, err)
	}
	for _, key := range publicOf(d.keys) {
		if !signed.Has(d.trust.Keys, key) {
			return d, fmt.Errorf("%s: the key %s has been rotated away", *s.path, manifest.KeyID(key))
		}
	}
	return d, nil
}

// opened opens a manifest by keys and others, of which it takes so many in
// programs that have followed no rotation. Where none leads on from these, the last
// one that brought all of keys may ask for more. The keys that have signed it may be
// gone: it is not verified, and so never asks for less.
func opened(f manifest.File, keys, others []ed25519.PublicKey, built int) (manifest.Manifest, manifest.Trust, error) {
	product := f.Manifest.Claimed()
	trust := manifest.Trust{Keys: slices.Concat(keys, others), Threshold: built}
	m, next, err := f.Open(product, trust)
	if err != nil {
		return m, trust, err
	}
	if next.Serial > 0 {
		return m, next, nil
	}
	if told := told(f, product, keys); told > built {
		trust.Threshold = told
		m, _, err = f.Open(product, trust)
	}
	return m, trust, err
}

// told is how many of keys sign, as the last rotation says that brought them all.
func told(f manifest.File, product string, keys []ed25519.PublicKey) int {
	for _, e := range slices.Backward(f.Rotations) {
		var r manifest.Rotation
		if json.Unmarshal(e.Payload, &r) != nil || r.Product != product {
			continue
		}
		if !slices.ContainsFunc(keys, func(key ed25519.PublicKey) bool { return !signed.Has(r.Keys, key) }) {
			return max(r.Threshold, 1)
		}
	}
	return 0
}

// signers is how many different keys sign.
func (d document) signers() int {
	different := make(map[string]bool)
	for _, key := range d.keys {
		different[string(key)] = true
	}
	return len(different)
}

// enough refuses to sign with so few keys that programs would not take it.
func (d document) enough() error {
	if n := d.signers(); n < d.takes {
		what := fmt.Sprintf("%d keys sign", n)
		if n == 1 {
			what = "1 key signs"
		}
		return fmt.Errorf("%s, and programs take %d", what, d.takes)
	}
	return nil
}

func publicOf(private []ed25519.PrivateKey) (keys []ed25519.PublicKey) {
	for _, key := range private {
		keys = append(keys, key.Public().(ed25519.PublicKey))
	}
	return keys
}

func readManifest(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, manifest.MaxSize+1))
}

// save signs the manifest, with a serial above the last, and writes it. Serials
// are seconds since 1970 or more, so that they rise even if the last manifest
// is not at hand.
func (t tool) save(d document) error {
	if last := d.Issued; t.Now.Before(last.Add(-24 * time.Hour)) {
		return fmt.Errorf("%w: it says %s, and %s was signed at %s",
			manifest.ErrClock, t.Now.Format(time.RFC3339), *d.path, last.Format(time.RFC3339))
	}
	if err := d.enough(); err != nil {
		return err
	}
	d.Serial = max(d.Serial+1, t.Now.Unix())
	d.Issued = t.Now
	d.Expires = t.Now.Add(time.Duration(*d.days) * 24 * time.Hour)
	if err := d.file.Sign(d.Manifest, d.keys...); err != nil {
		return err
	}
	text, err := d.file.Encode()
	if err != nil {
		return err
	}
	if err := durable.Write(*d.path, text, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(t.Out, "%s: %s, channel %s, serial %d, expires %s\n",
		*d.path, d.Product, d.Channel, d.Serial, d.Expires.Format(time.RFC3339))
	return nil
}

// add adds a version.
func (t tool) add(args []string) error {
	f := t.Flags("add -version version [flags] file or folder ...",
		"Add adds a version, or systems to one that is there. System and architecture\n"+
			"are read off the files' names (app_1.2.0_linux_amd64.tar.gz); of a folder the\n"+
			"files that have none are passed over. The first time it makes the manifest.")
	s := signingFlags(f)
	product := f.String("product", "", "name of the product; required for a new manifest")
	channel := f.String("channel", "", "name of the channel; \"stable\" for a new manifest")
	number := f.String("version", "", "the `version`; required")
	minimum := f.String("minimum", "", "lowest `version` from which one may update to this one")
	a := artifacts{
		os:     f.String("os", "", "`system` of the only file, as GOOS has it, or any"),
		arch:   f.String("arch", "", "`architecture` of the only file, as GOARCH has it, or any"),
		prefix: f.String("url", "", "`address` of the folder that the files will be in; default: where they are, seen from the manifest"),
		key:    f.String("artifact-key", "", "`file` of a private key that signs the artifacts, another one than signs the manifest"),
	}
	if err := f.Parse(args, -1); err != nil {
		return err
	}
	switch {
	case *number == "":
		return f.Wrong("-version is missing")
	case f.NArg() == 0:
		return f.Wrong("there is no file to add")
	case *a.os != "" && f.NArg() > 1, *a.os == "" && *a.arch != "":
		return f.Wrong("-os is for a single file, and -arch for one with -os")
	}
	d, err := t.open(s)
	if errors.Is(err, fs.ErrNotExist) && d.keys != nil {
		if *product == "" {
			return f.Wrong("there is no %s, and to make one -product is needed", *s.path)
		}
		d.Product, d.Channel, err = *product, cmp.Or(*channel, "stable"), nil
	}
	if err != nil {
		return err
	}
	if *product != "" && *product != d.Product || *channel != "" && *channel != d.Channel {
		return fmt.Errorf("%s is for product %q and channel %q", *s.path, d.Product, d.Channel)
	}
	found, err := t.artifacts(a, *s.path, f.Args())
	if err != nil {
		return err
	}
	d.Releases = merge(d.Releases, manifest.Release{Version: *number, Time: t.Now, Minimum: *minimum, Artifacts: found})
	return t.save(d)
}

// merge adds a release, or what is new of it.
func merge(releases []manifest.Release, r manifest.Release) []manifest.Release {
	i := indexOf(releases, r.Version)
	if i < 0 {
		return append(releases, r)
	}
	if r.Minimum != "" {
		releases[i].Minimum = r.Minimum
	}
	releases[i].Artifacts = append(releases[i].Artifacts, r.Artifacts...)
	return releases
}

// indexOf returns where a version is, -1 for nowhere.
func indexOf(releases []manifest.Release, number string) int {
	wanted, err := version.NewVersion(number)
	return slices.IndexFunc(releases, func(r manifest.Release) bool {
		v, bad := version.NewVersion(r.Version)
		return r.Version == number || err == nil && bad == nil && v.String() == wanted.String()
	})
}

// remove withdraws a version.
func (t tool) remove(args []string) error {
	f := t.Flags("remove -version version [flags]",
		"Remove withdraws a version. Who has it keeps it, until there is a newer one.")
	s := signingFlags(f)
	number := f.String("version", "", "the `version`; required")
	if err := f.Parse(args, 0); err != nil {
		return err
	}
	if *number == "" {
		return f.Wrong("-version is missing")
	}
	d, err := t.open(s)
	if err != nil {
		return err
	}
	i := indexOf(d.Releases, *number)
	if i < 0 {
		return fmt.Errorf("%s has no version %q", *s.path, *number)
	}
	d.Releases = slices.Delete(d.Releases, i, i+1)
	return t.save(d)
}

// renew signs a manifest again.
func (t tool) renew(args []string) error {
	f := t.Flags("renew [flags]", "Renew signs the manifest again, so that it expires later: programs refuse one\n"+
		"that has expired. Let a machine do it, well before the time is up.")
	s := signingFlags(f)
	if err := f.Parse(args, 0); err != nil {
		return err
	}
	d, err := t.open(s)
	if err != nil {
		return err
	}
	return t.save(d)
}

// rotate replaces the keys.
func (t tool) rotate(args []string) error {
	f := t.Flags("rotate -next key [-next key ...] [flags]",
		"Rotate replaces the keys that programs trust by those of -next, and signs the\n"+
			"manifest with those of them that are private keys: as many as it takes from then\n"+
			"on. -key is as many as it takes before. Programs of any age follow. From then on -key is one of the new keys, and the old ones may\n"+
			"be destroyed.")
	s := signingFlags(f)
	next := f.List("next", "", "a new key, `file` or text; repeat it to trust several")
	after := f.Int("next-threshold", 0, "how many of the new `keys` it takes; default: as many as before")
	if err := f.Parse(args, 0); err != nil {
		return err
	}
	if len(next.Values) == 0 {
		return f.Wrong("-next is missing")
	}
	if *after < 0 {
		return errors.New("-next-threshold must be 1 at least")
	}
	public, private, err := t.ReadKeys(next.Values)
	if err != nil {
		return err
	}
	if len(private) == 0 {
		return errors.New("none of the keys of -next is private, so that nothing can be signed with them")
	}
	d, err := t.open(s)
	if err != nil {
		return err
	}
	if err := d.enough(); err != nil {
		return err
	}
	serial, err := d.file.NextSerial(d.trust, t.Now)
	if err != nil {
		return err
	}
	d.takes = cmp.Or(*after, d.takes)
	rotation := manifest.Rotation{Product: d.Product, Serial: serial, Keys: public, Threshold: d.takes}
	if err := d.file.Rotate(rotation, d.keys...); err != nil {
		return err
	}
	d.keys = private
	return t.save(d)
}
