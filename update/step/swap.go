package step

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/update"
)

// Binary says which program is replaced, and how a new one shows that it is
// good. A zero field means its documented default.
type Binary struct {
	// Artifact is required: what [Download] has fetched.
	Artifact Artifact
	// Path is the program's file; links are followed. Default: that of this
	// process.
	Path string
	// Member names the program in the artifact, a tar.gz or zip archive, with
	// slashes. Placeholders are filled in. Default: the artifact is the
	// program.
	Member string
	// MaxSize bounds what is unpacked, in bytes. Default 1 GiB.
	MaxSize int64
	// Try is the arguments with which the new program is run once before it
	// takes the place of the old one, such as "-version": it has to end well
	// within 10 seconds. So a release that cannot start at all changes
	// nothing. Default: it is not run.
	Try []string
	// Starts is how often the new program may start, and Within how long it
	// may take each time, until it is confirmed: see [Begin]. Default 3 times
	// and 1 minute.
	Starts int
	Within time.Duration
}

// SwapBinary replaces the file of a program by what Download has fetched.
//
// Do checks digest and signature again and writes the program, synced, to a
// folder beside it, ".name.upkeep" (mode 0700), with the mode of the old one,
// and its owner where this process may give files away. It gives the old one a
// second name there, by a hard link, or a copy where there are none, and the
// new one the program's name by one rename. So there is a program at any
// moment, also when the process is killed or the power is cut. On Windows,
// where a program that runs cannot be replaced, it takes two renames; after a
// crash between them the program is missing until Recover, [Launch] or a
// person puts it back.
//
// The new program is on trial until it confirms itself; [Begin] says how it
// goes back to the old one by itself. Undo puts the old one back, of this run
// or, by Updater.Rollback, of an earlier one that is the last. The old
// program is kept until the next but one takes its place; the download is
// removed.
//
// Do and Undo refuse to replace a program that is not the one that was there
// when the step began: somebody else has put it there. Extended attributes,
// such as capabilities and security labels, are not carried over.
//
// Check looks whether the folder can be written and the program is a regular
// file without a set-user-ID or set-group-ID bit.
func SwapBinary(b Binary) update.Step { return newSwapper(b, durable.OS).step() }

// swapper is a SwapBinary.
type swapper struct {
	Binary
	disk durable.Disk
	gap  bool
}

func newSwapper(b Binary, disk durable.Disk) *swapper {
	b.Artifact.Keys, b.Try = slices.Clone(b.Artifact.Keys), slices.Clone(b.Try)
	b.MaxSize = cmp.Or(b.MaxSize, 1<<30)
	b.Starts = cmp.Or(b.Starts, 3)
	b.Within = cmp.Or(b.Within, time.Minute)
	return &swapper{Binary: b, disk: disk, gap: runtime.GOOS == "windows"}
}

func (s *swapper) step() update.Step {
	return update.Step{Name: "swap binary", Check: s.check, Do: s.do, Verify: s.verify, Undo: s.undo}
}

// swapped is what the step keeps.
type swapped struct {
	Path string // of the program, links followed
	Old  fileID // what was there when the step began
	New  fileID // what is to be there, once it is written
}

var errReplaced = errors.New("step: somebody else has replaced the program meanwhile")

// newName and oldName name the two programs of a run beside the one in use.
// What is to be run needs its ending on Windows.
func (p place) newName(t *update.Task) string { return newPrefix + owner(t.Run) + filepath.Ext(p.path) }
func (p place) oldName(t *update.Task) string { return oldPrefix + owner(t.Run) + filepath.Ext(p.path) }

func (s *swapper) check(_ context.Context, t *update.Task) error {
	path, err := findProgram(s.Path)
	if err != nil {
		return err
	}
	p := s.at(path)
	info, err := os.Lstat(p.path)
	if err != nil {
		return err
	}
	switch {
	case s.Artifact.Dir == "":
		return errors.New("step: a Binary needs an Artifact")
	case s.Starts < 0 || s.Within < 0:
		return fmt.Errorf("step: a Binary with %d Starts, each Within %s", s.Starts, s.Within)
	case !info.Mode().IsRegular():
		return fmt.Errorf("step: %q is not a regular file", p.path)
	case info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0:
		return fmt.Errorf("step: %q has a set-user-ID or set-group-ID bit", p.path)
	case s.Member != "" && !fs.ValidPath(s.member(t)):
		return fmt.Errorf("step: %q cannot be the name of a program in an archive", s.member(t))
	}
	if _, err := newSeal(t.Release, s.Artifact.Keys); err != nil {
		return err
	}
	if err := p.checkFolder(); err != nil {
		return err
	}
	return checkFolder(p.dir())
}

func (s *swapper) member(t *update.Task) string { return fill(s.Member, t, plain) }

// load returns what the step keeps, and where the program of the run is.
func (s *swapper) load(t *update.Task) (d swapped, p place, err error) {
	if err := t.Load(&d); err != nil {
		return d, p, err
	}
	path := d.Path
	if path == "" {
		path, err = findProgram(s.Path)
	}
	return d, s.at(path), err
}

func (s *swapper) at(path string) place { return place{disk: s.disk, path: path, gap: s.gap} }

func (s *swapper) do(ctx context.Context, t *update.Task) error {
	return doing("replacing the program", s.replace(ctx, t))
}

func (s *swapper) replace(ctx context.Context, t *update.Task) error {
	d, p, err := s.load(t)
	if err != nil {
		return err
	}
	if err := p.makeFolder(); err != nil {
		return err
	}
	if err := p.repair(); err != nil {
		return err
	}
	done, err := p.is(ctx, d.New)
	if err != nil {
		return err
	}
	if done {
		return s.finish(ctx, t, p)
	}
	if d.Path == "" {
		old, err := identify(ctx, p.path, func(n int64) { t.Progress(0, 0, "reading the program") })
		if err != nil {
			return err
		}
		d = swapped{Path: p.path, Old: old}
		if err := t.Save(ctx, d); err != nil {
			return err
		}
	}
	if d.New, err = s.stage(ctx, t, p); err != nil {
		return err
	}
	if err := t.Save(ctx, d); err != nil {
		return err
	}
	if d.New == d.Old {
		say(t, "the program is the one that is there")
		return s.finish(ctx, t, p)
	}
	if err := s.try(ctx, t, p); err != nil {
		return err
	}
	err = p.switchTo(ctx, d, p.newName(t), trial{
		Run: owner(t.Run), Version: t.Release.Version, State: onTrial, New: d.New, Aside: p.oldName(t),
		Limit: s.Starts, Within: s.Within,
	})
	if err != nil {
		return err
	}
	return s.finish(ctx, t, p)
}

// verify tells whether the run's program is in place.
func (s *swapper) verify(ctx context.Context, t *update.Task) error {
	d, p, err := s.load(t)
	if err != nil {
		return err
	}
	return p.expect(ctx, d.New)
}

// finish makes the swap durable, also one of a process that died before it
// could, and removes what is not needed any more.
func (s *swapper) finish(ctx context.Context, t *update.Task, p place) error {
	if err := p.sync(); err != nil {
		return err
	}
	return p.locked(ctx, func(last *trial) error {
		keep := []string{trialFile, lockFile}
		if last != nil {
			keep = append(keep, last.Aside, last.Before)
		}
		if err := p.sweep(func(name string) bool { return !slices.Contains(keep, name) }); err != nil {
			say(t, "an older program could not be removed: "+err.Error())
		}
		return durable.RemoveOn(s.disk, s.Artifact.File(t))
	})
}

func (s *swapper) undo(ctx context.Context, t *update.Task) error {
	var d swapped
	if err := t.Load(&d); err != nil || d.Path == "" {
		return err // it had not begun, and the program may be gone
	}
	p := s.at(d.Path)
	if _, err := os.Lstat(p.beside("")); errors.Is(err, fs.ErrNotExist) {
		return nil // there is no folder beside it: it had not begun
	}
	err := p.locked(ctx, func(last *trial) error { return s.takeBack(ctx, t, d, p, last) })
	return doing("putting the old program back", err)
}

func (s *swapper) takeBack(ctx context.Context, t *update.Task, d swapped, p place, tr *trial) error {
	if err := p.repair(); err != nil {
		return err
	}
	ours := tr != nil && tr.Run == owner(t.Run)
	fresh, aside := p.newName(t), p.oldName(t)
	there, err := p.is(ctx, d.New)
	switch there = there && d.New != d.Old; {
	case err != nil:
		return err
	case there && ours:
		return errors.Join(p.goBack(*tr, "the update was taken back"), p.sweep(isTemporary))
	case there:
		return p.putBack(aside)
	}
	// It never got there, or is there no more.
	if !exists(p.beside(fresh)) && exists(p.beside(aside)) {
		if err := p.expect(ctx, d.Old); err != nil {
			return err
		}
	}
	if ours && tr.State == onTrial {
		err = durable.RemoveOn(s.disk, p.beside(trialFile))
	}
	return errors.Join(err, p.sweep(func(name string) bool {
		return name == fresh || name == aside || isTemporary(name)
	}), p.sync())
}
