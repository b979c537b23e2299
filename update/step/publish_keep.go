package step

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/update"
)

// checkKeep refuses what cannot be in Publish.Keep.
func checkKeep(patterns []string) error {
	for _, pattern := range patterns {
		if !fs.ValidPath(pattern) || pattern == "." {
			return fmt.Errorf("step: Publish.Keep has %q, which is not a path in Dir, with slashes", pattern)
		}
		for element := range strings.SplitSeq(pattern, "/") { // which are matched one by one
			if _, err := path.Match(element, ""); err != nil {
				return fmt.Errorf("step: Publish.Keep has %q: %w", pattern, err)
			}
		}
	}
	return nil
}

// isKept tells whether one of the patterns names name.
func isKept(name string, patterns []string) bool {
	return name != "." && slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, _ := path.Match(pattern, name)
		return ok
	})
}

// isAbove tells whether the folder name may hold what one of the patterns names.
func isAbove(name string, patterns []string) bool {
	n := strings.Count(name, "/") + 1
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		elements := strings.Split(pattern, "/")
		if len(elements) <= n {
			return false
		}
		ok, _ := path.Match(strings.Join(elements[:n], "/"), name)
		return ok
	})
}

// living lists what there is in dir that the patterns name, with slashes: of
// a folder and what is in it the folder alone. Links are not followed.
func (p *publisher) living(dir string, patterns []string) (names []string, err error) {
	for _, pattern := range patterns {
		if err := expand(dir, "", strings.Split(pattern, "/"), func(name string) { names = append(names, name) }); err != nil {
			return nil, err
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	all := make(map[string]bool, len(names))
	for _, name := range names {
		all[name] = true
	}
	return slices.DeleteFunc(names, func(name string) bool {
		for above := path.Dir(name); above != "."; above = path.Dir(above) {
			if all[above] {
				return true
			}
		}
		return false
	}), nil
}

// expand calls found for what there is in the folder at of dir by a pattern
// with these elements.
func expand(dir, at string, elements []string, found func(name string)) error {
	entries, err := os.ReadDir(filepath.Join(dir, filepath.FromSlash(at)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if ok, _ := path.Match(elements[0], e.Name()); !ok {
			continue
		}
		name := path.Join(at, e.Name())
		if len(elements) == 1 {
			found(name)
		} else if e.IsDir() {
			if err := expand(dir, name, elements[1:], found); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkKept tells whether what lives on can be moved to the tree of a release.
func (p *publisher) checkKept(release []file) error {
	names, err := p.living(p.Dir, p.Keep)
	if err != nil {
		return err
	}
	files := map[string]bool{}
	for _, f := range release {
		files[f.name] = !f.mode.IsDir()
	}
	for _, name := range names {
		for above := path.Dir(name); above != "."; above = path.Dir(above) {
			if files[above] {
				return fmt.Errorf("step: %q is to be kept, but %q is a file in the release", name, above)
			}
			if err := writable(filepath.Join(p.Dir, filepath.FromSlash(above))); err != nil {
				return fmt.Errorf("step: %q cannot be kept, for nothing can be moved from its folder: %w", name, err)
			}
		}
		at := filepath.Join(p.Dir, filepath.FromSlash(name))
		if err := removable(at); err != nil {
			return fmt.Errorf("step: %q cannot be kept: %w", name, err)
		}
		if info, err := os.Lstat(at); err != nil || !info.IsDir() {
			continue
		}
		if err := writable(at); err != nil { // its ".." changes
			return fmt.Errorf("step: %q cannot be kept, for that folder cannot be moved: %w", name, err)
		}
	}
	return nil
}

// carry moves what lives on from a tree that was taken away to Dir. What is
// there as a release has brought it makes room. What somebody has put there
// since the switch comes together with what was there before.
func (p *publisher) carry(ctx context.Context, t *update.Task, from string, d published) error {
	names, err := p.living(from, d.Keep)
	if err != nil {
		return err
	}
	all, _ := p.known() // Check has said so; what is not known is kept all the more
	sign, changed := signs(t, "%d paths kept"), map[string]bool{}
	for _, name := range names {
		sign()
		own, err := all.holds(ctx, from, name)
		if err == nil && !own {
			changed[path.Dir(name)] = true
			err = p.carryOne(ctx, t, all, from, name, d)
		}
		if err != nil {
			return fmt.Errorf("keeping %q: %w", name, err)
		}
	}
	for around := range changed {
		sign()
		for _, dir := range []string{p.Dir, from} {
			err := durable.SyncDir(filepath.Join(dir, filepath.FromSlash(around)))
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // somebody may have removed it
				return err
			}
		}
	}
	p.makeEmpty(t, all, from, d.Keep)
	return p.mergeAside(ctx, t, all, d.Other)
}

// makeEmpty makes the folders of what the patterns name that have nothing in
// them, as one for uploads before the first, and that no release has made.
func (p *publisher) makeEmpty(t *update.Task, all known, from string, patterns []string) {
	for _, pattern := range patterns {
		names, err := p.living(from, []string{path.Dir(pattern)})
		for _, name := range names {
			at := filepath.FromSlash(name)
			info, missing := os.Lstat(filepath.Join(from, at))
			if _, ours := all[name]; !ours && missing == nil && info.IsDir() && !exists(filepath.Join(p.Dir, at)) {
				err = errors.Join(err, makeAround(from, p.Dir, name+"/it"))
			}
		}
		if err != nil {
			say(t, fmt.Sprintf("no folder was made for %q: %v", pattern, err))
		}
	}
}

// mergeAside merges what the run has moved out of the way.
func (p *publisher) mergeAside(ctx context.Context, t *update.Task, all known, run string) error {
	entries, err := os.ReadDir(p.beside(""))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		id, kind, ok := ofRun(e.Name())
		if err == nil && ok && id == run && (kind == spared || strings.HasPrefix(kind, madeSince)) {
			err = p.merge(ctx, t, all, p.beside(e.Name()), ".")
		}
	}
	return err
}

// aside is where a run moves what is in the way at name. What it has moved
// before may still be there: who had a folder open has put more into it.
func (p *publisher) aside(run, name string) string {
	at := filepath.FromSlash(name)
	spare := filepath.Join(p.beside(run+spared), at)
	for n := 0; exists(spare); n++ {
		spare = filepath.Join(p.beside(run+fmt.Sprint(madeSince, n)), at)
	}
	return spare
}

func (p *publisher) carryOne(ctx context.Context, t *update.Task, all known, from, name string, d published) error {
	source, target := filepath.Join(from, filepath.FromSlash(name)), filepath.Join(p.Dir, filepath.FromSlash(name))
	if exists(target) {
		own, err := all.holds(ctx, p.Dir, name)
		if err != nil {
			return err
		}
		if !own && d.Old != (folderID{}) { // on the way back: it had not been moved
			return p.merge(ctx, t, all, from, name)
		}
		spare := p.aside(d.Other, name)
		if err := os.MkdirAll(filepath.Dir(spare), 0o700); err != nil {
			return err
		}
		if err := p.rename(target, spare); err != nil {
			return err
		}
		if own {
			say(t, fmt.Sprintf("%q stays as it is; the one of the release is not used", name))
		}
	}
	if err := makeAround(from, p.Dir, name); err != nil {
		return err
	}
	err := p.rename(source, target)
	if errors.Is(err, fs.ErrExist) { // a visitor has made it meanwhile
		return p.merge(ctx, t, all, from, name)
	}
	return err
}

// merge moves to Dir what no release has put into a tree, at name or below it,
// unless there is something in its place.
func (p *publisher) merge(ctx context.Context, t *update.Task, all known, from, name string) error {
	var files, folders []string
	err := eachIn(ctx, filepath.Join(from, filepath.FromSlash(name)), nil, func(below string, info fs.FileInfo) error {
		at := path.Join(name, below)
		switch {
		case info != nil && info.IsDir():
			folders = append(folders, at)
		case !all.has(ctx, from, at, info):
			files = append(files, at)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var left strays
	into := map[string]bool{}
	for _, name := range files {
		moved, err := p.mergeOne(from, name)
		if err != nil {
			return fmt.Errorf("keeping %q: %w", name, err)
		}
		if !moved {
			left.add(name)
			continue
		}
		into[path.Dir(name)] = true
	}
	for name := range into {
		if err := durable.SyncDir(filepath.Join(p.Dir, filepath.FromSlash(name))); err != nil {
			return err
		}
	}
	for _, name := range slices.Backward(folders) {
		if at := filepath.FromSlash(name); exists(filepath.Join(p.Dir, at)) {
			_ = os.Remove(filepath.Join(from, at)) // if it is empty
		}
	}
	if left.n > 0 {
		say(t, fmt.Sprintf("what is kept in %q has others in its place: %s", from, left))
	}
	return nil
}

func (p *publisher) mergeOne(from, name string) (moved bool, err error) {
	target := filepath.Join(p.Dir, filepath.FromSlash(name))
	if exists(target) {
		return false, nil
	}
	if err := makeAround(from, p.Dir, name); err != nil {
		return false, err
	}
	err = p.rename(filepath.Join(from, filepath.FromSlash(name)), target)
	if errors.Is(err, fs.ErrExist) {
		return false, nil // it came a moment ago
	}
	return true, err
}

// holds tells whether all there is at name in the folder dir is as a release
// has put it there.
func (k known) holds(ctx context.Context, dir, name string) (bool, error) {
	own := true
	err := eachIn(ctx, filepath.Join(dir, filepath.FromSlash(name)), nil, func(below string, info fs.FileInfo) error {
		if own = k.has(ctx, dir, path.Join(name, below), info); !own {
			return fs.SkipAll
		}
		return nil
	})
	return own, err
}

// makeAround makes the folders around name in dir, as they are in from.
func makeAround(from, dir, name string) error {
	around := path.Dir(name)
	if around == "." {
		return nil
	}
	if err := makeAround(from, dir, around); err != nil {
		return err
	}
	at := filepath.Join(dir, filepath.FromSlash(around))
	info, err := os.Lstat(at)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("step: %q is not a folder", at)
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if info, err = os.Lstat(filepath.Join(from, filepath.FromSlash(around))); err != nil {
		return err
	}
	switch err := os.Mkdir(at, 0o700); {
	case errors.Is(err, fs.ErrExist): // a visitor has made it meanwhile
		return makeAround(from, dir, name)
	case err != nil:
		return err
	}
	return errors.Join(takeAfter(at, info), durable.SyncDir(filepath.Dir(at)))
}
