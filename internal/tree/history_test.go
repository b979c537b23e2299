package tree_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/internal/tree"
)

// names are few, so that histories meet; some are of files here and of folders
// there, one is that of a copy.
var names = []string{"a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "d/e/b", "a/x", "b/y", copyName("a", "2")}

// edit does one step to a folder, as somebody may who edits it.
func edit(p paths, s historytest.Step) {
	path := names[int(s[1])%len(names)]
	e := parse(fmt.Sprint("x=", s[2]%4))["x"]
	switch s[0] % 8 {
	case 0, 1, 2:
		if s[2]%16 == 15 {
			e = parse("x=")["x"]
		}
		p.remove(path)
		p.put(path, e)
	case 3, 4:
		p.remove(path)
	case 5:
		p.remove(path)
		p.put(path, tree.Entry{Kind: tree.Folder, Mode: 0o755})
	case 6:
		if e, ok := p[path]; ok {
			e.Mode ^= 0o100
			p[path] = e
		}
	case 7:
		p.remove(path)
		p.put(path, tree.Entry{Kind: tree.Link, Mode: 0o777, Link: fmt.Sprint(s[2] % 2)})
	}
}

// remove deletes a path, and what is below or a file above it.
func (p paths) remove(path string) {
	maps.DeleteFunc(p, func(other string, e tree.Entry) bool {
		return other == path || strings.HasPrefix(other, path+"/") || e.Kind != tree.Folder && strings.HasPrefix(path, other+"/")
	})
}

// Histories: the first steps make a base, the others edit it on one side or on
// the other.
func playMerge(t testing.TB) historytest.Player {
	return func(steps []historytest.Step) string {
		base, third := make(paths), len(steps)/3
		for _, s := range steps[:third] {
			edit(base, s)
		}
		ours, theirs := maps.Clone(base), maps.Clone(base)
		for i, s := range steps[third:] {
			edit([]paths{ours, theirs}[i%2], s)
		}
		return historytest.Failure(t, func(t testing.TB) {
			t.Helper()
			mergeKeepsEverything(t, base, ours, theirs)
		})
	}
}

func mergeKeepsEverything(t testing.TB, base, ours, theirs paths) {
	in, _ := fresh()
	b, o, th := write(t, in, base), write(t, in, ours), write(t, in, theirs)
	m := tree.Merger{Trees: in}
	var told []tree.Conflict
	m.Kept = func(c tree.Conflict) { told = append(told, c) }
	id, err := m.Merge(t.Context(), b, o, th)
	require.NoError(t, err)
	merged := read(t, in, id)
	say := fmt.Sprintf("\nbase   %s\nours   %s\ntheirs %s\nmerged %s", base, ours, theirs, merged)

	for _, side := range []paths{ours, theirs} {
		for path, e := range side {
			if was, ok := base[path]; ok && sameContent(was, e) || e.Kind == tree.Folder || e.Kind == tree.File && e.Size == 0 {
				continue
			}
			require.True(t, holds(merged, path, e), "what was made or edited is kept: %s%s", path, say)
		}
	}
	for path, e := range base {
		_, here := ours[path]
		_, there := theirs[path]
		in, kept := merged[path]
		switch {
		case here && there && same(ours[path], e) && same(theirs[path], e):
			require.True(t, kept && same(in, e), "what nobody has touched is as it was: %s%s", path, say)
		case e.Kind == tree.Folder:
		case !here && (!there || same(theirs[path], e)), !there && (!here || same(ours[path], e)):
			again := slices.ContainsFunc(told, func(c tree.Conflict) bool { return c.Copy == path })
			require.False(t, kept && in.Kind != tree.Folder && same(in, e) && !again, "what was deleted, and not edited, is gone: %s%s", path, say)
		}
	}
	for path, e := range merged {
		if e.Kind == tree.Folder {
			continue
		}
		_, here := ours[path]
		_, there := theirs[path]
		copied := slices.ContainsFunc(told, func(c tree.Conflict) bool { return c.Copy == path })
		require.True(t, here || there || copied, "nothing comes from nowhere: %s%s", path, say)
	}
	again, err := m.Merge(t.Context(), b, o, id)
	require.NoError(t, err)
	require.Equal(t, merged.String(), read(t, in, again).String(), "what was merged, and not yet seen here, is merged alike%s", say)
	half := doSome(t, in, ours, o, id, len(say))
	again, err = m.Merge(t.Context(), b, write(t, in, half), id)
	require.NoError(t, err)
	require.Equal(t, merged.String(), read(t, in, again).String(), "nor when half of it is there: %s%s", half, say)
}

// doSome does so many changes, as many as there are at most, in their order.
func doSome(t testing.TB, in tree.Trees, from paths, old, fresh tree.ID, n int) paths {
	var all []tree.Change
	for c, err := range in.Diff(t.Context(), old, fresh) {
		require.NoError(t, err)
		all = append(all, c)
	}
	p := maps.Clone(from)
	for i, c := range all {
		if i == n%(len(all)+1) {
			return p
		}
		do(t, p, c)
	}
	require.Equal(t, read(t, in, fresh).String(), p.String(), "all changes make the other tree")
	return p
}

// do does a change, and looks that it could be done.
func do(t testing.TB, p paths, c tree.Change) {
	old, there := p[c.Path]
	require.Equal(t, c.Old != nil, there, c.Path)
	if c.Old != nil {
		require.Equal(t, c.Old.Kind, old.Kind, c.Path)
	}
	if i := strings.LastIndexByte(c.Path, '/'); i > 0 {
		require.Equal(t, tree.Folder, p[c.Path[:i]].Kind, "there is a folder for %s", c.Path)
	}
	if c.New == nil || c.New.Kind != tree.Folder {
		for other := range p {
			require.False(t, strings.HasPrefix(other, c.Path+"/"), "%s has %s", c.Path, other)
		}
	}
	delete(p, c.Path)
	if c.New != nil {
		e := *c.New
		e.Folder = tree.ID{}
		p[c.Path] = e
	}
}

func same(a, b tree.Entry) bool { return tree.Same(&a, &b) }

func sameContent(a, b tree.Entry) bool {
	a.Mode = b.Mode
	return same(a, b)
}

// holds reports whether the content of an entry is at its path, or in a copy
// beside it.
func holds(p paths, path string, e tree.Entry) bool {
	folder, name := "", path
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		folder, name = path[:i+1], path[i+1:]
	}
	places := []string{path}
	for try := range uint64(3) {
		places = append(places, folder+tree.CopyName(name, e, try))
	}
	return slices.ContainsFunc(places, func(place string) bool {
		return sameContent(p[place], e)
	})
}

func TestAMergeKeepsEverythingInRandomHistories(t *testing.T) {
	historytest.Run(t, historytest.Unraced(10_000), playMerge(t), playMerge(t))
}

func FuzzMerge(f *testing.F) {
	historytest.Fuzz(f, func(t *testing.T, steps []historytest.Step) string { return playMerge(t)(steps) })
}
