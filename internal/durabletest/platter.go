package durabletest

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// file is what a platter has of a file or folder.
type file struct {
	written, synced  string
	mode, syncedMode fs.FileMode
	dir              bool
	inPlace          []write // since it was synced
}

// write is some bytes in a file that were written in place.
type write struct {
	at   int
	data string
}

// in returns the content of a file once w is there.
func (w write) in(text string) string { return text[:w.at] + w.data + text[w.at+len(w.data):] }

func (f *file) sync() { f.synced, f.syncedMode, f.inPlace = f.written, f.mode, nil }

// sector is what a disk writes whole or not at all, in bytes.
const sector = 512

// ends returns how much of a write may be there when it is torn between two
// sectors: nothing, or up to the first, one in the middle, or the last such place.
func ends(w write) []int {
	all := []int{0}
	for at := sector - w.at%sector; at < len(w.data); at += sector {
		all = append(all, at)
	}
	n := len(all)
	return slices.Compact([]int{0, all[min(1, n-1)], all[n/2], all[n-1]})
}

// maxInPlace bounds the writes in place of which all subsets are looked at. Of
// the earlier ones, if there are more, all are there.
const maxInPlace = 6

// torn returns what may be left of a file that was written in place: any of the
// writes, or all before the last and the beginning of that, where the rest is as
// it was, zeros, or what erased flash is.
func (f file) torn() (all []string) {
	base, late := f.synced, f.inPlace[max(0, len(f.inPlace)-maxInPlace):]
	for _, w := range f.inPlace[:len(f.inPlace)-len(late)] {
		base = w.in(base)
	}
	for set := range 1 << len(late) {
		text := base
		for i, w := range late {
			if set&(1<<i) != 0 {
				text = w.in(text)
			}
		}
		all = append(all, text)
	}
	last := late[len(late)-1]
	earlier := all[len(all)/2-1] // all but the last
	for _, whole := range ends(last) {
		begun := write{last.at, last.data[:whole]}.in(earlier)
		all = append(all, begun)
		for _, fill := range []string{"\x00", "\xff"} {
			rest := write{last.at + whole, strings.Repeat(fill, len(last.data)-whole)}
			all = append(all, rest.in(begun))
		}
	}
	return all
}

// platter is what a disk would have kept after a part of a log.
type platter struct {
	files   map[int]file
	names   map[string]int // durable
	pending []naming       // names given and taken since their folder was synced
	state   any            // that was remembered
	states  int            // how many so far
}

type naming struct {
	path string
	id   int // 0: taken
}

func (p *platter) rename(path string, id int) { p.pending = append(p.pending, naming{path, id}) }

func (p *platter) sync(dir string) {
	p.pending = slices.DeleteFunc(p.pending, func(n naming) bool {
		if filepath.Dir(n.path) != dir {
			return false
		}
		name(p.names, n)
		return true
	})
}

func name(names map[string]int, n naming) {
	if n.id == 0 {
		delete(names, n.path)
	} else {
		names[n.path] = n.id
	}
}

// maxPending bounds the subsets that are looked at: all of them.
const maxPending = 10

// remains calls f for every folder that a power cut may leave now.
func (p *platter) remains(t testing.TB, f func(names map[string]int, files map[int]file)) {
	t.Helper()
	require.LessOrEqual(t, len(p.pending), maxPending)
	torn, inPlace := map[int]file{}, map[int]file{}
	for id, f := range p.files {
		half := len(f.synced) + (len(f.written)-len(f.synced))/2
		torn[id] = file{synced: f.written[:max(half, 0)], syncedMode: f.mode, dir: f.dir}
		if len(f.inPlace) > 0 {
			inPlace[id] = f
		}
	}
	for set := range 1 << len(p.pending) {
		names := maps.Clone(p.names)
		for i, n := range p.pending {
			if set&(1<<i) != 0 {
				name(names, n)
			}
		}
		f(names, p.files)
		f(names, torn)
		for id, one := range inPlace {
			files := maps.Clone(p.files)
			for _, text := range one.torn() {
				files[id] = file{synced: text, syncedMode: one.syncedMode}
				f(names, files)
			}
		}
	}
}

// describe tells a folder from another.
func describe(names map[string]int, files map[int]file) string {
	var all []string
	for path, id := range names {
		all = append(all, fmt.Sprintf("%s %d %o %x", path, id, files[id].syncedMode, sha256.Sum256([]byte(files[id].synced))))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// restore makes dir hold what is left of it.
func restore(t testing.TB, dir string, names map[string]int, files map[int]file) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	first := map[int]string{}
	for _, path := range slices.Sorted(maps.Keys(names)) {
		if _, err := os.Stat(filepath.Dir(path)); err != nil || path == dir {
			continue // the folder is gone, and all that is in it
		}
		id := names[path]
		f := files[id]
		switch {
		case f.dir:
			require.NoError(t, os.Mkdir(path, f.syncedMode))
		case first[id] != "":
			require.NoError(t, os.Link(first[id], path))
		default:
			require.NoError(t, os.WriteFile(path, []byte(f.synced), 0o600))
			require.NoError(t, os.Chmod(path, f.syncedMode))
			first[id] = path
		}
	}
}
