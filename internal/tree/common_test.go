package tree_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// objects are kept in a map, and counted.
type objects struct {
	all        map[tree.ID][]byte
	puts, gets int
}

func (o *objects) Get(_ context.Context, id tree.ID) ([]byte, error) {
	o.gets++
	if data, ok := o.all[id]; ok {
		return data, nil
	}
	return nil, fmt.Errorf("%w: object %x", fs.ErrNotExist, id[:4])
}

func (o *objects) Put(_ context.Context, object []byte) (tree.ID, error) {
	id := tree.ID(sha256.Sum256(object))
	if _, ok := o.all[id]; !ok {
		o.puts++
		o.all[id] = object
	}
	return id, nil
}

func fresh() (tree.Trees, *objects) {
	o := &objects{all: make(map[tree.ID][]byte)}
	return tree.Trees{Objects: o}, o
}

// paths are entries by their whole path, folders that have something included.
type paths map[string]tree.Entry

// parse reads words: "dir/" is a folder, "path>target" a link, "path=content" a
// file, and any may end in "!" and permissions. Folders above need no word.
func parse(text string) paths {
	all := make(paths)
	for word := range strings.FieldsSeq(text) {
		e := tree.Entry{Kind: tree.File, Mode: 0o644}
		if before, perms, ok := strings.Cut(word, "!"); ok {
			word = before
			if _, err := fmt.Sscanf(perms, "%o", &e.Mode); err != nil {
				panic(err)
			}
		}
		path, isFolder := strings.CutSuffix(word, "/")
		if before, target, ok := strings.Cut(word, ">"); ok {
			path, e.Kind, e.Link = before, tree.Link, target
		} else if isFolder {
			e.Kind = tree.Folder
			if e.Mode == 0o644 {
				e.Mode = 0o755
			}
		} else if before, content, ok := strings.Cut(word, "="); ok {
			path, e.Size = before, int64(len(content))
			if content != "" {
				e.Chunks = []tree.ID{sha256.Sum256([]byte(content))}
			}
			texts[sha256.Sum256([]byte(content))] = content
		}
		all.put(path, e)
	}
	return all
}

// texts are the contents of the chunks of all tests.
var texts = make(map[tree.ID]string)

// put adds an entry, and the folders above that are not there.
func (p paths) put(path string, e tree.Entry) {
	e.Name = path[strings.LastIndexByte(path, '/')+1:]
	p[path] = e
	for i := strings.LastIndexByte(path, '/'); i > 0; i = strings.LastIndexByte(path[:i], '/') {
		if above, ok := p[path[:i]]; !ok || above.Kind != tree.Folder {
			p[path[:i]] = tree.Entry{Name: path[strings.LastIndexByte(path[:i], '/')+1 : i], Kind: tree.Folder, Mode: 0o755}
		}
	}
}

// String is what parse reads, in order, but for folders that have something and
// the usual permissions.
func (p paths) String() string {
	var words []string
	for _, path := range slices.Sorted(maps.Keys(p)) {
		e, usual := p[path], uint32(0o644)
		var word string
		switch e.Kind {
		case tree.Folder:
			word, usual = path+"/", 0o755
			if e.Mode == usual && slices.ContainsFunc(slices.Collect(maps.Keys(p)), func(other string) bool { return strings.HasPrefix(other, path+"/") }) {
				continue
			}
		case tree.Link:
			word = path + ">" + e.Link
		default:
			word = path + "="
			for _, id := range e.Chunks {
				word += texts[id]
			}
		}
		if e.Mode != usual {
			word += fmt.Sprintf("!%o", e.Mode)
		}
		words = append(words, strings.ReplaceAll(word, " ", "_"))
	}
	return strings.Join(words, " ")
}

// write makes a tree of paths.
func write(t testing.TB, in tree.Trees, p paths) tree.ID {
	t.Helper()
	children := make(map[string][]string)
	for path := range p {
		above := ""
		if i := strings.LastIndexByte(path, '/'); i > 0 {
			above = path[:i]
		}
		children[above] = append(children[above], path)
	}
	var folder func(path string) tree.ID
	folder = func(path string) tree.ID {
		var entries []tree.Entry
		for _, child := range slices.Sorted(slices.Values(children[path])) {
			e := p[child]
			if e.Kind == tree.Folder {
				e.Folder = folder(child)
			}
			entries = append(entries, e)
		}
		slices.SortFunc(entries, func(a, b tree.Entry) int { return strings.Compare(a.Name, b.Name) })
		id, err := in.Make(t.Context(), entries)
		require.NoError(t, err)
		return id
	}
	return folder("")
}

// read returns the paths of a tree.
func read(t testing.TB, in tree.Trees, root tree.ID) paths {
	t.Helper()
	all := make(paths)
	var folder func(path string, id tree.ID)
	folder = func(path string, id tree.ID) {
		entries, err := in.Entries(t.Context(), id)
		require.NoError(t, err)
		for _, e := range entries {
			name := strings.TrimPrefix(path+"/"+e.Name, "/")
			if e.Kind == tree.Folder {
				folder(name, e.Folder)
				e.Folder = tree.ID{}
			}
			all[name] = e
		}
	}
	folder("", root)
	return all
}
