package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
	"github.com/upkeep-go/upkeep/internal/signed"
	"github.com/upkeep-go/upkeep/internal/signtool"
)

// publishing is what all commands that sign have in common.
type publishing struct {
	dir     *string
	keys    *signtool.List
	takes   *int
	days    *int
	product *string
}

func publishingFlags(f signtool.Flags) publishing {
	return publishing{
		dir:     f.String("dir", "feed", "`folder` of the feed"),
		keys:    f.List("key", "upkeep.key", "`file` of the private key, - for standard input; repeat it to sign with several"),
		takes:   f.Int("threshold", 0, "how many of the `keys` devices want signatures of, and must have signed what is there; default: all"),
		days:    f.Int("days", 30, "days until what is signed expires"),
		product: f.String("product", "", "name of the product; required for the first release"),
	}
}

// publisher is what signs. Its product is that of the feed.
func (t tool) publisher(p publishing) (feed.Publisher, error) {
	if *p.days < 1 {
		return feed.Publisher{}, errors.New("-days must be 1 at least")
	}
	private, err := t.PrivateKeys(p.keys.Values)
	if err != nil {
		return feed.Publisher{}, err
	}
	if *p.takes < 0 || *p.takes > len(private) {
		return feed.Publisher{}, fmt.Errorf("-threshold is %d with %d keys", *p.takes, len(private))
	}
	product := *p.product
	if product == "" {
		product, err = claimed(*p.dir)
	}
	return feed.Publisher{
		Dir: *p.dir, Product: product, Keys: private, Threshold: *p.takes, Expires: time.Duration(*p.days) * 24 * time.Hour, Time: t.Now,
	}, err
}

// claimed is the product that a catalog says it is for. Nothing is checked: the
// publisher does.
func claimed(dir string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, firmware.CatalogName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no catalog in %s, and to make one -product is needed", dir)
	}
	if err != nil {
		return "", err
	}
	var file struct {
		Signed signed.Envelope `json:"signed"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return "", fmt.Errorf("the catalog in %s: %w", dir, err)
	}
	return file.Signed.Claimed(), nil
}

// change is a command that changes the catalog only.
func (t tool) change(f signtool.Flags, args []string, do func(feed.Publisher) error) error {
	p := publishingFlags(f)
	if err := f.Parse(args, 0); err != nil {
		return err
	}
	publisher, err := t.publisher(p)
	if err != nil {
		return err
	}
	return do(publisher)
}

// cohort offers a release to another share of the devices.
func (t tool) cohort(args []string) error {
	f := t.Flags("cohort -version version -percent n [flags]", "Cohort offers a release to this share of the devices. A device that was in stays\n"+
		"in when it grows.")
	number := f.String("version", "", "the `version`; required")
	percent := f.Int("percent", 0, "the share, 1 to 100; required. To offer it to nobody, remove it")
	return t.change(f, args, func(p feed.Publisher) error {
		switch {
		case *number == "":
			return f.Wrong("-version is missing")
		case *percent == 0:
			return f.Wrong("-percent is missing, or 0: to offer it to nobody use remove")
		case *percent < 0 || *percent > 100:
			return f.Wrong("-percent is %d, 1 to 100 are allowed", *percent)
		}
		return p.Change(t.ctx, *number, func(r *firmware.Release) { r.Cohort = *percent })
	})
}

// remove withdraws a release.
func (t tool) remove(args []string) error {
	f := t.Flags("remove -version version [flags]", "Remove withdraws a release. Who has it keeps it, until there is a newer one.")
	number := f.String("version", "", "the `version`; required")
	return t.change(f, args, func(p feed.Publisher) error {
		if *number == "" {
			return f.Wrong("-version is missing")
		}
		return p.Remove(t.ctx, *number)
	})
}

// renew signs the catalog again.
func (t tool) renew(args []string) error {
	f := t.Flags("renew [flags]", "Renew signs the catalog again, so that it expires later: devices refuse one that\n"+
		"has expired. Let a machine do it, well before the time is up.")
	return t.change(f, args, func(p feed.Publisher) error { return p.Renew(t.ctx) })
}

// prune removes old releases.
func (t tool) prune(args []string) error {
	f := t.Flags("prune -keep n [-after duration] [flags]", "Prune removes all but the newest releases, and files that no release needs: once\n"+
		"the last catalog that named them has expired, as devices may have no other. Let\n"+
		"a machine do it again and again.")
	keep := f.Int("keep", 20, "how many releases to keep")
	after := f.Duration("after", 0, "how `long` a file stays once it was found that no release needs it, such as 72h; default: until\n"+
		"the last catalog that named it has expired; negative: not at all")
	return t.change(f, args, func(p feed.Publisher) error { return p.Prune(t.ctx, *keep, *after) })
}

// rotate replaces the keys.
func (t tool) rotate(args []string) error {
	f := t.Flags("rotate -next key [-next key ...] [flags]",
		"Rotate replaces the keys that devices trust by those of -next, of which as many\n"+
			"as -next-threshold says must be private keys, to sign the catalog with. It is\n"+
			"signed with -key, of which there must be as many as devices want so far. Devices\n"+
			"of any age follow. From then on -key is of the new keys, and the old ones may be\n"+
			"destroyed.")
	next := f.List("next", "", "a new key, `file` or text; repeat it to trust several")
	threshold := f.Int("next-threshold", 0, "how many of the new `keys` must sign; default: as many as before")
	return t.change(f, args, func(p feed.Publisher) error {
		public, private, err := t.ReadKeys(next.Values)
		if err != nil {
			return err
		}
		if len(public) == 0 {
			return f.Wrong("-next is missing")
		}
		return p.Rotate(t.ctx, feed.Rotation{Keys: public, Threshold: *threshold, Signers: private})
	})
}

// bundle writes a release as one file.
func (t tool) bundle(args []string) (err error) {
	f := t.Flags("bundle -version version [-o file] [flags]", "Bundle writes a release as one file, to be brought to a device by hand. It is\n"+
		"signed, and expires, by itself. It overwrites nothing.")
	number := f.String("version", "", "the `version`; required")
	file := f.String("o", "", "`file` to write; default: product-version.bundle")
	return t.change(f, args, func(p feed.Publisher) error {
		if *number == "" {
			return f.Wrong("-version is missing")
		}
		if *file == "" {
			*file = filepath.Base(p.Product + "-" + *number + ".bundle")
		}
		out, err := os.OpenFile(*file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		err = p.Bundle(t.ctx, *number, out)
		if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
			return errors.Join(err, os.Remove(*file))
		}
		fmt.Fprintln(t.Out, *file)
		return nil
	})
}
