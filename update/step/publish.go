package step

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/upkeep-go/upkeep/internal/remove"
	"github.com/upkeep-go/upkeep/update"
)

// Publish says what is published where, and what becomes of that in the folder
// which no release has put there. A zero field means its documented default.
type Publish struct {
	// Files is required: a release has at least one file, and nothing but
	// regular files and folders.
	Files Tree
	// Dir is required: the folder that is to hold them. It is made if it is not
	// there. The folder around it should not be served itself. A relative path
	// counts from where PublishFiles is called, and a run ends in the folder in
	// which it began, also when it is taken over by a program with another Dir.
	Dir string
	// Keep names what lives on from release to release: uploads, configuration,
	// links. These are paths in Dir, with slashes, in which each element may be
	// a pattern of path.Match: "uploads", "config/*.local.php". Default: nothing.
	Keep []string
	// Replace lets go what no release has put there, and what was changed
	// since. Default: that is refused.
	Replace bool
}

// ErrForeign reports that a folder holds what no release has put there.
var ErrForeign = errors.New("step: it holds what no release has put there")

// PublishFiles makes a folder hold exactly the files of a release, by one
// atomic switch: whoever opens a file in it finds the whole old tree or the
// whole new one. Who needs several files of one release opens the folder once
// (os.OpenRoot): the release found there stays until the next but one.
//
//	step.PublishFiles(step.Publish{Files: pages, Dir: "public", Keep: []string{"uploads"}})
//
// What Upkeep did not write it does not delete. Files, folders and links in Dir
// that no release has put there, and files that were changed since, stop the
// publish: Check and Do return an ErrForeign that names them, unless Keep says
// that they live on or Replace that they may go. That holds for the first
// publish into a folder with other content, too.
//
// Keep moves them to the new tree right after the switch, by renaming, and back
// when the publish is undone. Where the release brings something at such a path
// as well, what was there wins, unless that was as a release had brought it.
// Who finds nothing there in the moment between may make it again: that is
// joined with what was there.
//
// The switch exchanges two folders, on Linux and macOS in one step of the
// file system. Elsewhere, and on file systems that cannot do that, it takes
// two renames, between which there is no Dir for a moment, and after a crash
// until Recover. In a container, the first publish over a folder of the image
// moves what is in that folder file by file. Everything is synced before the
// switch, and the switch is.
//
// Do writes the files into a folder beside Dir, ".name.upkeep", with mode 0644
// (0755 if they are executable; folders 0755, but Dir has the mode, and where
// possible the owner, of the one it replaces), and keeps there what it replaced:
// of this publish and of the one before. Older trees are removed, but not one
// with something that no release has put there, such as an upload that came
// during the switch: that one is renamed to end in ".kept" for a person to look
// at, and Task.Output says so. Undo switches back to exactly what was there, or
// to nothing, and keeps what it takes away until the next publish. Probe tells
// which one stands there.
//
// At each switch, back as well as forth, all files get a modification time
// that is a second after that of whatever was served before, so that no browser
// takes what it has for current. What cannot be touched is told in Task.Output.
//
// Check reads the names of the files, looks for what no release has put there,
// and whether all can be written. Dir may not be a symbolic link, nor a mount
// point, nor have one below it: to keep a volume, mount it elsewhere and put a
// link to it into Dir.
func PublishFiles(p Publish) update.Step { return newPublisher(p).step() }

// publisher is a PublishFiles. exchange swaps what two paths name, or returns
// errors.ErrUnsupported; rename replaces nothing.
type publisher struct {
	Publish
	exchange func(a, b string) error
	rename   func(from, to string) error
}

func newPublisher(p Publish) *publisher {
	p.Dir = filepath.Clean(p.Dir)
	if abs, err := filepath.Abs(p.Dir); err == nil && named(p.Dir) {
		p.Dir = abs
	}
	p.Keep = append([]string(nil), p.Keep...)
	return &publisher{p, exchange, rename}
}

// named tells whether a clean path ends in a name, which can be given to others.
func named(path string) bool {
	base := filepath.Base(path)
	return base != "." && base != ".." && filepath.Dir(path) != path
}

// in returns the publisher for the folder in which a run began.
func (p *publisher) in(d published) *publisher {
	began := *p
	if d.Dir != "" {
		began.Dir = d.Dir
	}
	return &began
}

func (p *publisher) step() update.Step {
	return update.Step{
		Name: "publish", Check: p.check, Do: p.do, Probe: p.probe, Undo: p.undo,
	}
}

// published is what the step keeps.
type published struct {
	// Other begins the names of all that the run has beside Dir.
	Other string
	// Staged: the new tree is complete.
	Staged bool
	// Dir is Publish.Dir as it was.
	Dir string
	// Keep is Publish.Keep as it was at the switch.
	Keep []string
	// New is the folder of the new tree, once it is about to be switched.
	New folderID
	// Nothing: there was no Dir before.
	Nothing bool
	// Done: what is kept has been moved as well.
	Done bool
	// Old is the folder of what was there before, once it is about to be
	// switched back.
	Old folderID
}

func (p *publisher) check(ctx context.Context, t *update.Task) error {
	if p.Files == nil || !named(p.Dir) {
		return fmt.Errorf("step: cannot publish to %q", p.Dir)
	}
	if err := checkKeep(p.Keep); err != nil {
		return err
	}
	list, err := p.files(t.Release)
	if err != nil {
		return err
	}
	for _, dir := range []string{p.Dir, p.beside("")} {
		if err := checkSwitch(dir); err != nil {
			return err
		}
	}
	if err := p.checkKept(list); err != nil {
		return err
	}
	if err := p.checkForeign(ctx, t); err != nil {
		return err
	}
	return checkFolder(filepath.Dir(p.Dir))
}

// checkSwitch tells whether dir, if it is there, can be renamed.
func checkSwitch(dir string) error {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("step: %q is not a folder", dir)
	}
	if err := remove.Check(dir); err != nil {
		return fmt.Errorf("step: cannot switch %q: %w", dir, err)
	}
	if err := removable(dir); err != nil {
		return fmt.Errorf("step: cannot switch %q: %w", dir, err)
	}
	return checkFolder(dir)
}

func (p *publisher) do(ctx context.Context, t *update.Task) error {
	var d published
	if err := t.Load(&d); err != nil {
		return err
	}
	p = p.in(d)
	if d.Other == "" || exists(p.beside(d.Other+undone)) {
		// Known before it is made, so that nothing is ever left unnamed.
		name, err := p.named(t.Run.ID, time.Now())
		if err != nil {
			return err
		}
		d = published{Other: name, Dir: p.Dir}
		if err := t.Save(ctx, d); err != nil {
			return err
		}
	}
	if err := p.publish(ctx, t, &d); err != nil {
		return fmt.Errorf("publishing to %q: %w", p.Dir, err)
	}
	if err := p.sweep(ctx, t, d.Other); err != nil {
		say(t, "an older release could not be removed: "+err.Error())
	}
	return nil
}

// publish takes up the work wherever an earlier attempt left it.
func (p *publisher) publish(ctx context.Context, t *update.Task, d *published) error {
	fresh, old := p.beside(d.Other+ready), p.beside(d.Other+replaced)
	if here, err := identifyFolder(p.Dir); !exists(fresh) && !exists(old) && (err != nil || !d.New.is(here)) {
		d.Staged = false // it is to be written, or somebody has removed it
	}
	if !d.Staged {
		if err := p.stage(ctx, t, d.Other); err != nil {
			return err
		}
		d.Staged, d.New = true, folderID{}
		if err := t.Save(ctx, d); err != nil {
			return err
		}
	}
	begun, err := p.begun(fresh, old, d.New)
	if err != nil {
		return err
	}
	if !begun {
		if err := p.prepare(ctx, t, d); err != nil {
			return err
		}
	}
	if err := p.replace(fresh, old, d.New); err != nil {
		return err
	}
	if d.Done {
		return nil
	}
	if err := remove.Check(old); err != nil { // it went along, and comes back by Undo
		return fmt.Errorf("step: mounted during the switch: %w", err)
	}
	if err := p.carry(ctx, t, old, *d); err != nil {
		return err
	}
	p.tell(ctx, t, old, d.Keep)
	d.Done = true
	return t.Save(ctx, d)
}

// prepare looks at Dir again, and makes the new tree ready for the switch.
func (p *publisher) prepare(ctx context.Context, t *update.Task, d *published) error {
	fresh := p.beside(d.Other + ready)
	d.Keep = p.Keep
	info, err := os.Lstat(p.Dir)
	d.Nothing = errors.Is(err, fs.ErrNotExist)
	if err != nil && !d.Nothing {
		return err
	}
	if !d.Nothing {
		if err := checkSwitch(p.Dir); err != nil {
			return err
		}
		if err := takeAfter(fresh, info); err != nil {
			return err
		}
	}
	if err := p.stamp(ctx, t, fresh, d.Keep); err != nil {
		return err
	}
	if err := p.seal(d.Other); err != nil {
		return err
	}
	if d.New, err = identifyFolder(fresh); err != nil {
		return err
	}
	if err := t.Save(ctx, d); err != nil {
		return err
	}
	return p.checkForeign(ctx, t)
}

func (p *publisher) probe(_ context.Context, t *update.Task) (update.Applied, error) {
	var d published
	if err := t.Load(&d); err != nil {
		return update.AppliedUnknown, err
	}
	p = p.in(d)
	if !d.Staged || d.New == (folderID{}) || exists(p.beside(d.Other+undone)) {
		return update.AppliedNo, nil
	}
	fresh, old := p.beside(d.Other+ready), p.beside(d.Other+replaced)
	begun, err := p.begun(fresh, old, d.New)
	switch {
	case err != nil:
		return update.AppliedUnknown, err
	case !begun:
		return update.AppliedNo, nil
	case d.Done && !exists(fresh):
		return update.AppliedYes, nil
	}
	return update.AppliedUnknown, nil // on the way: Do and Undo go on
}
