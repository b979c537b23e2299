package feed

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	version "github.com/hashicorp/go-version"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/filelock"
	"github.com/upkeep-go/upkeep/internal/signed"
)

// Publisher makes a feed in a folder, and needs nothing but that folder to go
// on: the images of earlier releases, which patches start from, it reads back
// from there. The same calls on the same files at the same Time make the same
// bytes. Objects are durable before the catalog that lists them, which is
// replaced last, by a rename. One process at a time changes a folder.
type Publisher struct {
	Dir     string // required; it is made
	Product string // required
	// Keys are required: those that sign, 8 at most, as ParsePrivateKey reads them.
	Keys []ed25519.PrivateKey
	// Threshold is how many of them devices want signatures of, and how many must
	// have signed the catalog that is there: what fewer have written, such as a
	// thief of one key, is not signed by the others. A rotation that so many have
	// signed sets it anew. Default: all of Keys.
	Threshold int
	Expires   time.Duration // until a catalog or bundle expires; default 30 days
	// Patches is from how many of the newest lower versions patches are made.
	// Default 5, at most 12; negative: none.
	Patches int
	// SegmentSize is how many bytes of an image are packed at a time. A patch
	// starts from a window four times as large, and a device needs memory for
	// both, some three times over. Segments of 4 MiB save 2 % of the bytes of a
	// patch release. Default 1 MiB, at least 64 KiB, at most 16 MiB.
	SegmentSize int64
	Time        time.Time // of what is signed; default: now
}

// Content is an image to publish. A *bytes.Reader and an *io.SectionReader are
// one.
type Content interface {
	io.ReaderAt
	Size() int64
}

const (
	maxPatches     = 12
	minSegmentSize = 64 << 10
	maxSegmentSize = firmware.MaxSegment / windows
	windows        = 4 // segments
)

func (p *Publisher) check() error {
	p.Expires = cmp.Or(p.Expires, 30*24*time.Hour)
	p.SegmentSize = cmp.Or(p.SegmentSize, 1<<20)
	p.Patches = cmp.Or(p.Patches, 5)
	p.Threshold = cmp.Or(p.Threshold, len(p.Keys))
	p.Time = cmp.Or(p.Time, time.Now()).UTC().Truncate(time.Second)
	switch {
	case p.Dir == "":
		return fmt.Errorf("%w: Publisher.Dir is required", firmware.ErrInvalid)
	case !signed.Line(p.Product, 256):
		return fmt.Errorf("%w: Publisher.Product is %.64q", firmware.ErrInvalid, p.Product)
	case p.Expires < time.Second:
		return fmt.Errorf("%w: Publisher.Expires is %s", firmware.ErrInvalid, p.Expires)
	case p.SegmentSize < minSegmentSize || p.SegmentSize > maxSegmentSize:
		return fmt.Errorf("%w: Publisher.SegmentSize is %d, %d to %d are allowed", firmware.ErrInvalid, p.SegmentSize, minSegmentSize, maxSegmentSize)
	case p.Patches > maxPatches:
		return fmt.Errorf("%w: Publisher.Patches is %d, at most %d are allowed", firmware.ErrInvalid, p.Patches, maxPatches)
	}
	if err := signed.CheckKeys(publicOf(p.Keys)); err != nil {
		return fmt.Errorf("%w: Publisher.Keys: %w", firmware.ErrInvalid, err)
	}
	if p.Threshold < 1 || p.Threshold > len(p.Keys) {
		return fmt.Errorf("%w: Publisher.Threshold is %d with %d keys", firmware.ErrInvalid, p.Threshold, len(p.Keys))
	}
	return nil
}

func publicOf(keys []ed25519.PrivateKey) (public []ed25519.PublicKey) {
	for _, key := range keys {
		if len(key) == ed25519.PrivateKeySize {
			public = append(public, key.Public().(ed25519.PublicKey))
		} else {
			public = append(public, nil)
		}
	}
	return public
}

// work is one change of a feed.
type work struct {
	Publisher
	dir     folder
	file    file
	trust   signed.Trust     // the keys that count now
	catalog firmware.Catalog // of Number 0 if there is none yet
	after   func() error     // save is done; may be nil
	release func() error
}

// open begins a change: nobody else changes the folder until close.
func (p Publisher) open(ctx context.Context) (*work, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		return nil, err
	}
	w := &work{Publisher: p, dir: folder(p.Dir), catalog: firmware.Catalog{Product: p.Product}}
	w.trust = signed.Trust{Keys: publicOf(p.Keys), Threshold: p.Threshold}
	var err error
	if w.release, err = filelock.Acquire(ctx, w.dir.path(".lock")); err != nil {
		return nil, err
	}
	if err = w.load(); err == nil {
		err = w.dir.sweep(nil)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *work) close() { _ = w.release() } // it ends with the process at the latest

// save makes the catalog that of the feed. Its number is the seconds since 1970,
// or more, so that it rises even where the last catalog was lost.
func (w *work) save() error {
	c := &w.catalog
	c.Number = max(c.Number+1, w.Time.Unix())
	c.Issued = w.Time
	c.Expires = c.Issued.Add(w.Expires)
	slices.SortStableFunc(c.Releases, newestFirst)
	payload, err := encodeCatalog(*c)
	text, err := w.seal(typeCatalog, payload, err)
	if err != nil {
		return err
	}
	if err := durable.SyncDir(w.Dir); err != nil { // the names of objects
		return err
	}
	return durable.Rewrite(w.dir.path(firmware.CatalogName), text, 0o644)
}

// newestFirst orders releases by version, and those that differ in build
// metadata alone as they are.
func newestFirst(a, b firmware.Release) int {
	v, err := version.NewVersion(a.Version)
	w, bad := version.NewVersion(b.Version)
	if err != nil || bad != nil {
		return 0
	}
	return w.Compare(v)
}

// find returns where a version is in the catalog, or ErrNotFound.
func (w *work) find(number string) (int, error) {
	i := slices.IndexFunc(w.catalog.Releases, func(r firmware.Release) bool { return r.Version == number })
	if i < 0 {
		return 0, fmt.Errorf("%w: version %.64q", firmware.ErrNotFound, number)
	}
	return i, nil
}

// change does something to a catalog that is there, and signs it.
func (p Publisher) change(ctx context.Context, do func(*work) error) error {
	w, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	if w.catalog.Number == 0 {
		return fmt.Errorf("%w: there is no catalog in %q", firmware.ErrNotFound, p.Dir)
	}
	if err := do(w); err != nil {
		return err
	}
	if err := w.save(); err != nil || w.after == nil {
		return err
	}
	return w.after()
}

// Renew signs the catalog again, so that it expires later: devices refuse one
// that has expired.
func (p Publisher) Renew(ctx context.Context) error {
	return p.change(ctx, func(*work) error { return nil })
}

// Change changes what the catalog says of a release, such as its cohort. Version,
// Size, Digest and Index stay as they are.
func (p Publisher) Change(ctx context.Context, number string, change func(*firmware.Release)) error {
	return p.change(ctx, func(w *work) error {
		i, err := w.find(number)
		if err != nil {
			return err
		}
		was := w.catalog.Releases[i]
		now := was.Clone()
		change(&now)
		now.Version, now.Size, now.Digest, now.Index = was.Version, was.Size, was.Digest, was.Index
		w.catalog.Releases[i] = now
		return check(now)
	})
}

// Remove withdraws a release. Who has it keeps it, until there is a newer one.
// The objects that only it needed stay until Prune removes them.
func (p Publisher) Remove(ctx context.Context, number string) error {
	return p.change(ctx, func(w *work) error {
		i, err := w.find(number)
		if err != nil {
			return err
		}
		w.catalog.Releases = slices.Delete(w.catalog.Releases, i, i+1)
		return nil
	})
}
