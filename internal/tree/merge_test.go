package tree_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/tree"
)

func TestTwoTreesAreMerged(t *testing.T) {
	for _, tt := range []struct {
		name               string
		base, ours, theirs string
		want               string
	}{
		{"nothing has changed", "a=1 d/b=2", "a=1 d/b=2", "a=1 d/b=2", "a=1 d/b=2"},
		{"each has changed something else", "a=1 b=2 d/c=3", "a=1x b=2 d/c=3", "a=1 b=2 d/c=3y d/n=4", "a=1x b=2 d/c=3y d/n=4"},
		{"both have made the same", "a=1", "a=1 n=5", "a=1 n=5", "a=1 n=5"},
		{"both have edited alike", "a=1", "a=2", "a=2", "a=2"},
		{"both have deleted", "a=1 b=2", "b=2", "b=2", "b=2"},
		{"an unedited file is deleted", "a=1 b=2", "b=2", "a=1 b=2", "b=2"},
		{"an edit beats our deletion", "a=1", "", "a=2", "a=2"},
		{"an edit beats their deletion", "a=1", "a=2", "", "a=2"},
		{"two edits are both kept", "a.md=1", "a.md=2", "a.md=3", "a_(conflict_HASH).md=2 a.md=3"},
		{"two new files are both kept", "", "a=2", "a=3", "a=3 a_(conflict_HASH)=2"},
		{"two links are both kept", "l>x", "l>y", "l>z", "l>z l_(conflict_HASH)>y"},
		{"a file and a link are both kept", "", "l>y", "l=3", "l=3 l_(conflict_HASH)>y"},
		{"without a base both are united", "", "a=1 b=2", "b=2 c=3", "a=1 b=2 c=3"},
		{"an empty file of a program that has just begun gives way", "", "day=", "day=long", "day=long"},
		{"nor does theirs take the name", "", "day=long", "day=", "day=long"},
		{"a file that was emptied is an edit", "day=1", "day=", "day=2", "day=2 day_(conflict_HASH)="},
		{"permissions and content go together", "a=1", "a=1!755", "a=2", "a=2!755"},
		{"content and permissions go together", "a=1", "a=2", "a=1!600", "a=2!600"},
		{"of two permissions theirs count", "a=1", "a=1!600", "a=1!755", "a=1!755"},
		{"a change of permissions beats a deletion", "a=1", "", "a=1!755", "a=1!755"},
		{"a folder goes with all that is in it", "d/a=1 d/e/b=2 c=3", "c=3", "d/a=1 d/e/b=2 c=3", "c=3"},
		{"of a deleted folder what was edited stays", "d/a=1 d/b=2", "", "d/a=1x d/b=2", "d/a=1x"},
		{"of a folder that they deleted what we made stays", "d/a=1", "d/a=1 d/n=2", "", "d/n=2"},
		{"an empty folder stays", "a=1", "a=1 d/", "a=1", "a=1 d/"},
		{"an empty folder that one has deleted goes", "d/", "", "d/", ""},
		{"both have emptied a folder", "d/a=1 d/b=2", "d/a=1", "d/b=2", "d/"},
		{"both have made a folder", "", "d/a=1", "d/b=2", "d/a=1 d/b=2"},
		{"permissions of a folder", "d/a=1", "d/!700 d/a=2", "d/a=1 d/b=3", "d/!700 d/a=2 d/b=3"},
		{"a folder takes the place of an unedited file", "a=1", "a/x=2", "a=1", "a/x=2"},
		{"a folder keeps the name, our edit beside it", "a=1", "a=2", "a/x=3", "a_(conflict_HASH)=2 a/x=3"},
		{"a folder keeps the name, their edit beside it", "a=1", "a/x=3", "a=2", "a_(conflict_HASH)=2 a/x=3"},
		{"a file takes the place of an unedited folder", "a/x=1", "a=2", "a/x=1", "a=2"},
		{"a file gives way to what was edited in the folder", "a/x=1 a/y=2", "a=3", "a/x=1x a/y=2", "a_(conflict_HASH)=3 a/x=1x"},
		{"a file and a folder, new at once", "", "a=1", "a/x=2", "a_(conflict_HASH)=1 a/x=2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, _ := fresh()
			id, err := tree.Merger{Trees: in}.Merge(t.Context(),
				write(t, in, parse(tt.base)), write(t, in, parse(tt.ours)), write(t, in, parse(tt.theirs)))
			require.NoError(t, err)
			require.Equal(t, tt.want, anyHash(read(t, in, id)))
		})
	}
}

// anyHash is p with HASH in the place of the digits of copies.
func anyHash(p paths) string {
	text := p.String()
	for i := 0; ; {
		at := strings.Index(text[i:], "_(conflict_")
		if at < 0 {
			return text
		}
		i += at + len("_(conflict_")
		text = text[:i] + "HASH" + text[i+8:]
	}
}

func TestACopyIsToldOf(t *testing.T) {
	in, _ := fresh()
	var told []tree.Conflict
	m := tree.Merger{Trees: in, Kept: func(c tree.Conflict) { told = append(told, c) }}
	_, err := m.Merge(t.Context(), write(t, in, parse("d/a=1 e=1")), write(t, in, parse("d/a=2 e/x=1")), write(t, in, parse("d/a=3 e=2")))
	require.NoError(t, err)
	require.Equal(t, []tree.Conflict{
		{Path: "d/a", Copy: "d/" + copyName("a", "2"), Ours: true},
		{Path: "e", Copy: copyName("e", "2"), Ours: false},
	}, told)
}

func copyName(name, content string) string { return tree.CopyName(name, parse("x=" + content)["x"], 0) }

func TestACopyHasANameThatDependsOnItsContentAlone(t *testing.T) {
	name := copyName("diary.md", "two")
	require.Regexp(t, `^diary \(conflict [0-9a-f]{8}\)\.md$`, name)
	require.Equal(t, copyName(name, "two"), name, "of a copy it is one of the first file")
	require.NotEqual(t, name, copyName("diary.md", "three"))
	for copied, from := range map[string]string{
		name: "diary.md", copyName(".bashrc", "x"): ".bashrc", copyName("a.tar.gz", "x"): "a.tar.gz", copyName("Makefile", "x"): "Makefile",
	} {
		got, ok := tree.CopyOf(copied)
		require.True(t, ok, copied)
		require.Equal(t, from, got)
	}
	for _, other := range []string{"diary.md", " (conflict 0123abcd).md", "a (conflict 0123abc).md", "a (conflict 0123abcg).md", "a (conflict 0123abcd) b.md", "a (conflict 0123abcd", ""} {
		_, ok := tree.CopyOf(other)
		require.False(t, ok, other)
	}
	long := strings.Repeat("ü", 120) + "x.markdown"
	require.LessOrEqual(t, len(copyName(long, "x")), 255)
	require.True(t, strings.HasSuffix(copyName(long, "x"), ").markdown"))
	require.Regexp(t, `^ü+ \(`, copyName(long, "x"), "no character is cut in two")
	require.LessOrEqual(t, len(copyName(strings.Repeat("x", 1024), "x")), 255)
}

func TestACopyThatIsThereIsNotMadeAgain(t *testing.T) {
	in, _ := fresh()
	name := strings.ReplaceAll(copyName("a", "2"), " ", "_")
	taken := func(content string) paths {
		p := parse("a=3")
		p.put(copyName("a", "2"), parse("x=" + content)["x"])
		return p
	}
	merge := func(theirs paths) string {
		id, err := tree.Merger{Trees: in}.Merge(t.Context(), write(t, in, parse("a=1")), write(t, in, parse("a=2")), write(t, in, theirs))
		require.NoError(t, err)
		return read(t, in, id).String()
	}
	require.Equal(t, name+"=2 a=3", sorted(merge(taken("2"))))
	other := strings.ReplaceAll(tree.CopyName("a", parse("x=2")["x"], 1), " ", "_")
	require.ElementsMatch(t, strings.Fields(name+"=mine "+other+"=2 a=3"), strings.Fields(merge(taken("mine"))))
}

// sorted puts the longest word first.
func sorted(text string) string {
	words := strings.Fields(text)
	if len(words[0]) < len(words[1]) {
		words[0], words[1] = words[1], words[0]
	}
	return strings.Join(words, " ")
}

func TestFilesAreCombinedByWhoKnowsHow(t *testing.T) {
	in, _ := fresh()
	base, ours, theirs := parse("a=1 b=1 d/c=1 l>1"), parse("a=2 b=2 d/c=2!600 l>2"), parse("a=3 b=3 d/c=3 l>3")
	var asked []string
	m := tree.Merger{Trees: in, Combine: func(_ context.Context, path string, b, o, th *tree.Entry) (*tree.Entry, error) {
		asked = append(asked, path+texts[b.Chunks[0]]+texts[o.Chunks[0]]+texts[th.Chunks[0]])
		if path == "b" {
			return nil, nil
		}
		e := *o
		e.Chunks = append(e.Chunks, th.Chunks...)
		e.Size += th.Size
		return &e, nil
	}}
	id, err := m.Merge(t.Context(), write(t, in, base), write(t, in, ours), write(t, in, theirs))
	require.NoError(t, err)
	require.Equal(t, "a=23 b=3 b_(conflict_HASH)=2 d/c=23!600 l>3 l_(conflict_HASH)>2", anyHash(read(t, in, id)))
	require.Equal(t, []string{"a123", "b123", "d/c123"}, asked)

	broken := errors.New("no")
	m.Combine = func(context.Context, string, *tree.Entry, *tree.Entry, *tree.Entry) (*tree.Entry, error) {
		return nil, broken
	}
	_, err = m.Merge(t.Context(), write(t, in, base), write(t, in, ours), write(t, in, theirs))
	require.ErrorIs(t, err, broken)
}

func TestTimesMakeNoDifference(t *testing.T) {
	in, _ := fresh()
	later := func(text string) paths {
		p := parse(text)
		for path, e := range p {
			if e.Kind == tree.File {
				e.Time = 99
				p[path] = e
			}
		}
		return p
	}
	id, err := tree.Merger{Trees: in}.Merge(t.Context(), write(t, in, parse("d/a=1 d/b=1")), write(t, in, later("d/a=1 d/b=1")), write(t, in, parse("d/a=1 d/b=2")))
	require.NoError(t, err)
	require.Equal(t, "d/a=1 d/b=2", read(t, in, id).String())
	for range in.Diff(t.Context(), write(t, in, parse("d/a=1")), write(t, in, later("d/a=1"))) {
		t.Error("nothing differs")
	}
}
