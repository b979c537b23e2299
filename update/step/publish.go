package step

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/upkeep-go/upkeep/update"
)

// PublishFiles makes the folder dir hold exactly the files of a release, by
// one atomic switch: whoever opens a file in dir finds the whole old tree or
// the whole new one. Who needs several files of one release opens the folder
// once (os.OpenRoot): the release found there stays until the next but one.
//
// The switch exchanges two folders, on Linux and macOS in one step of the
// file system. Elsewhere, and on file systems that cannot do that, it takes
// two renames, between which there is no dir for a moment, and after a crash
// until Recover. Everything is synced before the switch, and the switch is.
//
// Do writes the files into a folder beside dir, ".name.upkeep", with mode 0644
// (0755 if they are executable; folders 0755), and keeps there what it
// replaced: of this publish and of the one before. Undo switches back to
// exactly that, or to nothing. Probe tells which one stands there. What was
// changed in dir since it was published goes with the tree it was changed in.
//
// Check reads the names of the files and looks whether the folder around dir
// is there and can be written; that one should not be served itself. A release
// has at least one file, and nothing but regular files and folders. Dir may not
// be a symbolic link; if it is a mount point, Do fails.
func PublishFiles(src Tree, dir string) update.Step {
	return newPublisher(src, dir, exchange).step()
}

// publisher is a PublishFiles. exchange swaps what two paths name, or returns
// errors.ErrUnsupported.
type publisher struct {
	src      Tree
	dir      string
	exchange func(a, b string) error
}

func newPublisher(src Tree, dir string, exchange func(a, b string) error) *publisher {
	return &publisher{src: src, dir: filepath.Clean(dir), exchange: exchange}
}

func (p *publisher) step() update.Step {
	return update.Step{
		Name: "publish", Check: p.check, Do: p.do, Probe: p.probe, Undo: p.undo,
	}
}

// published is what the step keeps.
type published struct {
	// Other names the folder beside dir that holds the new tree and, once
	// they have been switched, what was there before.
	Other string
	// New is the digest of the new tree, once it is complete: as long as
	// Other has this digest they have not been switched.
	New string
	// Nothing: there was no dir before.
	Nothing bool
	// Old is the digest of what was there before, once Undo has begun: as
	// long as Other has this digest they have not been switched back.
	Old string
}

func (p *publisher) check(_ context.Context, t *update.Task) error {
	if p.src == nil || p.dir == "." || p.dir == ".." || filepath.Dir(p.dir) == p.dir {
		return fmt.Errorf("step: cannot publish to %q", p.dir)
	}
	if _, err := p.files(t.Release); err != nil {
		return err
	}
	info, err := os.Lstat(p.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("step: %q is not a folder", p.dir)
	}
	return checkFolder(filepath.Dir(p.dir))
}

func (p *publisher) do(ctx context.Context, t *update.Task) error {
	var d published
	if err := t.Load(&d); err != nil {
		return err
	}
	if d.Other == "" {
		// Known before it is made, so that nothing is ever left unnamed.
		d.Other = time.Now().UTC().Format("20060102T150405.000Z-") + t.Run.ID
		if err := t.Save(ctx, d); err != nil {
			return err
		}
	}
	if err := p.publish(ctx, t, &d); err != nil {
		return fmt.Errorf("publishing to %q: %w", p.dir, err)
	}
	if err := p.sweep(d.Other); err != nil {
		say(t, "an older release could not be removed: "+err.Error())
	}
	return nil
}

// publish takes up the work wherever an earlier attempt left it.
func (p *publisher) publish(ctx context.Context, t *update.Task, d *published) error {
	if d.New != "" {
		switched, err := p.switched(ctx, t, d.Other, d.New)
		if err != nil || switched {
			return err
		}
		return p.swap(d.Other)
	}
	if err := p.stage(ctx, t, d.Other); err != nil {
		return err
	}
	var err error
	if d.New, err = digest(ctx, t, p.beside(d.Other)); err != nil {
		return err
	}
	d.Nothing = !exists(p.dir)
	if err := t.Save(ctx, d); err != nil {
		return err
	}
	return p.swap(d.Other)
}

func (p *publisher) probe(ctx context.Context, t *update.Task) (update.Applied, error) {
	var d published
	if err := t.Load(&d); err != nil {
		return update.AppliedUnknown, err
	}
	switch {
	case d.New == "":
		return update.AppliedNo, nil
	case exists(p.beside(d.Other + aside)):
		return update.AppliedUnknown, nil // between two renames: Do and Undo go on
	}
	switched, err := p.switched(ctx, t, d.Other, d.New)
	switch {
	case err != nil:
		return update.AppliedUnknown, err
	case switched:
		return update.AppliedYes, nil
	}
	return update.AppliedNo, nil
}

func (p *publisher) undo(ctx context.Context, t *update.Task) error {
	var d published
	if err := t.Load(&d); err != nil || d.Other == "" {
		return err
	}
	if exists(p.beside(d.Other + undone)) {
		return nil
	}
	if err := p.takeBack(ctx, t, &d); err != nil {
		return fmt.Errorf("switching %q back: %w", p.dir, err)
	}
	// The tree is kept until the next publish: somebody may have written to it.
	err := os.Rename(p.beside(d.Other), p.beside(d.Other+undone))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // there never was one
	}
	return errors.Join(err, p.sync())
}

// takeBack makes dir what it was, also if an earlier attempt has begun to.
func (p *publisher) takeBack(ctx context.Context, t *update.Task, d *published) error {
	if d.New == "" {
		return nil // it was never complete
	}
	if d.Nothing {
		if exists(p.beside(d.Other)) || !exists(p.dir) {
			return nil
		}
		return os.Rename(p.dir, p.beside(d.Other))
	}
	if d.Old != "" {
		switched, err := p.switched(ctx, t, d.Other, d.Old)
		if err != nil || switched {
			return err
		}
		return p.swap(d.Other)
	}
	switched, err := p.switched(ctx, t, d.Other, d.New)
	if err != nil || !switched {
		return err
	}
	if d.Old, err = digest(ctx, t, p.beside(d.Other)); err != nil {
		return fmt.Errorf("what was there before cannot be read: %w", err)
	}
	if err := t.Save(ctx, d); err != nil {
		return err
	}
	return p.swap(d.Other)
}
