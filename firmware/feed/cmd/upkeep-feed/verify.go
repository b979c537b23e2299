package main

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
	"github.com/upkeep-go/upkeep/internal/signed"
)

// verify reads the feed as a device would that has seen none yet, and shows it.
func (t tool) verify(args []string) error {
	f := t.Flags("verify [flags]", "Verify reads the feed as a device does that was built with these keys, every\n"+
		"release by every way, and shows what there is.")
	dir := f.String("dir", "feed", "`folder` of the feed")
	texts := f.List("pub", "upkeep.pub", "a public key, `file` or text; repeat it for several")
	threshold := f.Int("threshold", 1, "how many of them must have signed")
	if err := f.Parse(args, 0); err != nil {
		return err
	}
	keys, _, err := t.ReadKeys(texts.Values)
	if err != nil {
		return err
	}
	verifier := feed.Keys{Trusted: keys, Threshold: *threshold}
	raw, err := os.ReadFile(filepath.Join(*dir, firmware.CatalogName))
	if err != nil {
		return err
	}
	c, _, err := verifier.Catalog(t.ctx, raw, nil)
	if err != nil {
		return err
	}
	t.show(c, keys)
	if !t.Now.Before(c.Expires) {
		return fmt.Errorf("%w: on %s", firmware.ErrExpired, stamp(c.Expires))
	}
	return feed.Publisher{Dir: *dir}.Verify(t.ctx, verifier)
}

func stamp(at time.Time) string { return at.Format(time.RFC3339) }

func (t tool) show(c firmware.Catalog, keys []ed25519.PublicKey) {
	fmt.Fprintf(t.Out, "product: %s\nnumber:  %d\nissued:  %s\nexpires: %s\n", c.Product, c.Number, stamp(c.Issued), stamp(c.Expires))
	for _, key := range keys {
		fmt.Fprintf(t.Out, "key:     %s, id %s\n", signed.FormatPublicKey(key), signed.KeyID(key))
	}
	for _, r := range c.Releases {
		fmt.Fprintf(t.Out, "version: %s, %d bytes, epoch %d", r.Version, r.Size, r.Epoch)
		if r.Cohort > 0 {
			fmt.Fprintf(t.Out, ", for %d %%", r.Cohort)
		}
		if r.Prerelease {
			fmt.Fprint(t.Out, ", pre-release")
		}
		fmt.Fprintln(t.Out)
	}
}

// contentOf is an open file, or a block device, as an image.
func contentOf(f *os.File) (feed.Content, error) {
	size, err := f.Seek(0, io.SeekEnd) // that of a block device, too
	return io.NewSectionReader(f, 0, size), err
}
