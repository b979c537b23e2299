package step

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/upkeep-go/upkeep/update"
)

func (p *publisher) undo(ctx context.Context, t *update.Task) error {
	var d published
	if err := t.Load(&d); err != nil || d.Other == "" {
		return err
	}
	p = p.in(d)
	for _, pattern := range p.Keep { // what lives on by now comes along too
		if !slices.Contains(d.Keep, pattern) {
			d.Keep = append(d.Keep, pattern)
		}
	}
	return doing(fmt.Sprintf("switching %q back", p.Dir), p.goBack(ctx, t, &d))
}

func (p *publisher) goBack(ctx context.Context, t *update.Task, d *published) error {
	away := p.beside(d.Other + undone)
	switched, err := p.complete(d)
	if err != nil {
		return err
	}
	if switched && (!exists(away) || exists(p.beside(d.Other+replaced))) {
		if err := p.takeBack(ctx, t, d); err != nil {
			return err
		}
	}
	if !switched {
		if err := p.unstage(ctx, t, d); err != nil {
			return err
		}
	}
	if !exists(p.Dir) {
		return nil
	}
	// What is left there is kept until the next publish.
	if err := p.carry(ctx, t, away, *d); err != nil {
		return err
	}
	p.tell(ctx, t, away, d.Keep)
	return nil
}

// unstage removes the new tree, which was never switched: the steps that are
// undone next may need the room.
func (p *publisher) unstage(ctx context.Context, t *update.Task, d *published) error {
	if d.Staged {
		d.Staged, d.New = false, folderID{} // else it would be missed
		if err := t.Save(ctx, d); err != nil {
			return err
		}
	}
	if err := p.sweepStaged(ctx, t, func(id string) bool { return id == d.Other }); err != nil {
		say(t, "what is left of the publish could not be removed: "+err.Error())
	}
	return nil
}

// complete ends a switch that was interrupted, and tells whether the new tree
// is, or was, in place.
func (p *publisher) complete(d *published) (switched bool, err error) {
	fresh, old := p.beside(d.Other+ready), p.beside(d.Other+replaced)
	switch {
	case !d.Staged || d.New == (folderID{}):
		return false, nil
	case exists(old + moving): // what was moved moves back
		return false, errors.Join(p.pour(old+moving, p.Dir), p.sync())
	case !exists(fresh):
		return true, nil
	}
	exchanged, err := p.exchanged(fresh, d.New)
	switch {
	case err != nil:
		return false, err
	case exchanged:
		return true, p.rename(fresh, old)
	case !exists(old):
		return false, nil // it had not begun
	}
	return false, errors.Join(p.settle(old), p.sync())
}

// takeBack puts what was there before in the place of the new tree.
func (p *publisher) takeBack(ctx context.Context, t *update.Task, d *published) error {
	old, away := p.beside(d.Other+replaced), p.beside(d.Other+undone)
	if !exists(old) && !exists(old+lifting) {
		is, err := identifyFolder(p.Dir)
		switch {
		case err == nil && d.Old.is(is), d.Nothing && errors.Is(err, fs.ErrNotExist):
			return nil // it is back
		case !d.Nothing:
			return fmt.Errorf("step: what was there before is gone: there is no %q", old)
		case err != nil:
			return err
		}
		if empty, err := p.takeAway(*d, old, away); empty || err != nil {
			return err
		}
	}
	begun, err := p.begun(old, away, d.Old)
	if err != nil {
		return err
	}
	if !begun {
		if err := p.checkLive(*d); err != nil {
			return err
		}
		if err := p.stamp(ctx, t, old, d.Keep); err != nil {
			return err
		}
		if d.Old, err = identifyFolder(old); err != nil {
			return err
		}
		if err := t.Save(ctx, d); err != nil {
			return err
		}
	}
	return p.replace(old, away, d.Old)
}

// takeAway takes the new tree away from where nothing was before. If something
// in it lives on, it makes an empty folder to have been there.
func (p *publisher) takeAway(d published, old, away string) (empty bool, err error) {
	if err := p.checkLive(d); err != nil {
		return false, err
	}
	living, err := p.living(p.Dir, d.Keep)
	if err != nil {
		return false, err
	}
	if len(living) == 0 {
		return true, errors.Join(p.rename(p.Dir, away), p.sync())
	}
	info, err := os.Lstat(p.Dir)
	if err != nil {
		return false, err
	}
	if err := os.Mkdir(old, 0o700); err != nil {
		return false, err
	}
	return false, takeAfter(old, info)
}

// checkLive refuses to take away what is not the tree that was published.
func (p *publisher) checkLive(d published) error {
	info, err := os.Lstat(p.Dir)
	if err != nil {
		return nil //nolint:nilerr // nothing would be taken away
	}
	if !info.IsDir() {
		return fmt.Errorf("step: %q is not a folder any more", p.Dir)
	}
	if err := checkSwitch(p.Dir); err != nil {
		return err
	}
	if !p.live(d) {
		return fmt.Errorf("step: somebody else has put another folder there; what was there before is %q", p.beside(d.Other+replaced))
	}
	return nil
}

// live tells whether Dir is the tree that was published. After a restore from a
// backup it is another folder with the same files.
func (p *publisher) live(d published) bool {
	is, err := identifyFolder(p.Dir)
	if err != nil {
		return false
	}
	if d.New.is(is) {
		return true
	}
	m, err := p.readManifest(d.Other)
	if err != nil {
		return false
	}
	for _, e := range m.Files {
		if info, err := os.Lstat(m.path(p.Dir, e.Name)); err == nil && info.Mode().IsRegular() && info.Size() == e.Size {
			return true
		}
	}
	return false
}
