package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"time"

	"github.com/upkeep-go/upkeep/update/source/manifest"
)

// verify checks a manifest as a program would that has seen none yet, and
// shows it.
func (t tool) verify(args []string) error {
	f := t.Flags("verify [flags]", "Verify checks the manifest as a program does that was built with these keys, and\n"+
		"the artifacts that are on this machine, and shows what there is.")
	path := f.String("manifest", "manifest.json", "`file` of the manifest")
	texts := f.List("pub", "upkeep.pub", "a public key, `file` or text; repeat it for several")
	least := f.Int("threshold", 1, "how many of the `keys` the program takes: its Source.Threshold")
	product := f.String("product", "", "the product it must be for")
	channel := f.String("channel", "", "the channel it must be for")
	if err := f.Parse(args, 0); err != nil {
		return err
	}
	keys, _, err := t.ReadKeys(texts.Values)
	if err != nil {
		return err
	}
	text, err := readManifest(*path)
	if err != nil {
		return err
	}
	file, err := manifest.Parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", *path, err)
	}
	m, trust, err := opened(file, keys, nil, *least)
	if err != nil {
		return fmt.Errorf("%s: %w", *path, err)
	}
	threshold := *least
	if trust.Serial == 0 {
		threshold = trust.Threshold
	}
	check := manifest.Check{
		Product: cmp.Or(*product, m.Product), Channel: cmp.Or(*channel, m.Channel), Keys: keys, Threshold: threshold, Now: t.Now,
	}
	if _, err := new(manifest.State).Accept(text, check); err != nil {
		return fmt.Errorf("%s: %w", *path, err)
	}
	t.show(m, trust)
	return t.compare(m, *path)
}

func (t tool) show(m manifest.Manifest, trust manifest.Trust) {
	fmt.Fprintf(t.Out, "product: %s\nchannel: %s\nserial:  %d\nissued:  %s\nexpires: %s\n",
		m.Product, m.Channel, m.Serial, m.Issued.Format(time.RFC3339), m.Expires.Format(time.RFC3339))
	for _, key := range trust.Keys {
		fmt.Fprintf(t.Out, "key:     %s, id %s\n", manifest.FormatPublicKey(key), manifest.KeyID(key))
	}
	fmt.Fprintf(t.Out, "takes:   %d of these keys\n", max(trust.Threshold, 1))
}

// compare shows the releases, and checks the artifacts that are where the
// manifest says, seen from itself.
func (t tool) compare(m manifest.Manifest, path string) error {
	var wrong []error
	for _, r := range m.Releases {
		from := ""
		if r.Minimum != "" {
			from = ", from " + r.Minimum
		}
		fmt.Fprintf(t.Out, "version: %s%s\n", r.Version, from)
		for _, a := range r.Artifacts {
			said, err := t.compareOne(a, path)
			if err != nil {
				wrong = append(wrong, err)
			}
			fmt.Fprintf(t.Out, "  %s: %s, %d bytes%s\n", system(a), a.URL, a.Size, said)
		}
	}
	return errors.Join(wrong...)
}

func (t tool) compareOne(a manifest.Artifact, path string) (string, error) {
	u, err := url.Parse(a.URL)
	if err != nil || u.IsAbs() || u.Host != "" || !filepath.IsLocal(filepath.FromSlash(u.Path)) {
		return "", nil
	}
	file := filepath.Join(filepath.Dir(path), filepath.FromSlash(u.Path))
	is, err := measure(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ", not here", nil
	case err != nil:
		return ", not to be read", err
	case is.Size != a.Size, !bytes.Equal(is.SHA256, a.SHA256):
		return ", not the one that was signed", fmt.Errorf("%s is not the file that was signed", file)
	}
	return ", good", nil
}
