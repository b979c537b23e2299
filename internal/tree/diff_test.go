package tree_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// differences are the changes from one tree to another, a word each.
func differences(t testing.TB, in tree.Trees, from, to tree.ID) (words []string) {
	t.Helper()
	for c, err := range in.Diff(t.Context(), from, to) {
		require.NoError(t, err)
		word := "~"
		switch {
		case c.Old == nil:
			word = "+"
		case c.New == nil:
			word = "-"
		case c.Old.Kind != c.New.Kind:
			word = string(c.Old.Kind) + string(c.New.Kind)
		}
		words = append(words, word+c.Path)
	}
	return words
}

func TestADiffIsInTheOrderInWhichItCanBeDone(t *testing.T) {
	in, _ := fresh()
	from := write(t, in, parse("a=1 b=1 d/x=1 d/y/z=1 e/f=1 k=1 l>1 m/n=1 p/!700 q=1"))
	to := write(t, in, parse("a=1 b=2 e=1 k/new=1 k/o/p=1 l>2 m/n=1!600 p/ r=1"))
	require.Equal(t, strings.Fields("~b -d/x -d/y/z -d/y -d -e/f dfe fdk +k/new +k/o +k/o/p ~l ~m/n ~p -q +r"), differences(t, in, from, to))
	require.Empty(t, differences(t, in, to, to))
	require.Equal(t, strings.Fields("+a +b"), differences(t, in, tree.ID{}, write(t, in, parse("a=1 b=1"))))
}

func TestADiffReadsOnlyWhatIsNotTheSame(t *testing.T) {
	in, o := fresh()
	text := ""
	for _, folder := range strings.Fields("a b c d e f") {
		for _, inner := range strings.Fields("a b c d e f") {
			text += folder + "/" + inner + "/file=" + folder + inner + " "
		}
	}
	from, to := write(t, in, parse(text)), write(t, in, parse(text+" c/d/file=new"))
	o.gets = 0
	require.Equal(t, []string{"~c/d/file"}, differences(t, in, from, to))
	require.Equal(t, 6, o.gets, "a folder of each depth, twice")
	o.gets = 0
	_, err := tree.Merger{Trees: in}.Merge(t.Context(), from, to, write(t, in, parse(text+" f/f/file=other")))
	require.NoError(t, err)
	require.LessOrEqual(t, o.gets, 3*3, "what one side has not touched is not read")
}

func TestADiffIsLeftWhenNobodyWantsMore(t *testing.T) {
	in, _ := fresh()
	n := 0
	for range in.Diff(t.Context(), write(t, in, parse("a/b=1 a/c=1 d=1")), write(t, in, parse("e=1 f/g=1"))) {
		n++
		if n == 2 {
			break
		}
	}
	require.Equal(t, 2, n)
}

func TestAMissingFolderEndsADiffAndAMerge(t *testing.T) {
	in, o := fresh()
	from, to := write(t, in, parse("a/b=1")), write(t, in, parse("a/b=2"))
	inner, err := in.Find(t.Context(), to, "a")
	require.NoError(t, err)
	delete(o.all, inner.Folder)
	var last error
	for _, last = range in.Diff(t.Context(), from, to) {
	}
	require.ErrorContains(t, last, "does not exist")
	_, err = tree.Merger{Trees: in}.Merge(t.Context(), from, to, write(t, in, parse("a/b=3")))
	require.ErrorContains(t, err, "does not exist")
}

func TestAnEntryIsFoundByItsPath(t *testing.T) {
	in, _ := fresh()
	root := write(t, in, parse("a/b/c=1 a/d>x e=2"))
	for path, kind := range map[string]tree.Kind{"": tree.Folder, "a": tree.Folder, "a/b": tree.Folder, "a/b/c": tree.File, "a/d": tree.Link, "e": tree.File} {
		e, err := in.Find(t.Context(), root, path)
		require.NoError(t, err)
		require.Equal(t, kind, e.Kind, path)
	}
	for _, path := range []string{"b", "a/b/d", "a/b/c/d", "e/", "/a", "a//b"} {
		e, err := in.Find(t.Context(), root, path)
		require.NoError(t, err)
		require.Nil(t, e, path)
	}
}
