package tree_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/tree"
)

func TestATreeWithOtherEntries(t *testing.T) {
	in, _ := fresh()
	x := parse("x=new")["x"]
	folder, err := in.Find(t.Context(), write(t, in, parse("f/y=1 f/z=2")), "f")
	require.NoError(t, err)
	for _, tt := range []struct {
		name, base string
		at         map[string]*tree.Entry
		want       string
	}{
		{"nothing", "a=1", nil, "a=1"},
		{"an edit", "a=1 d/b=2", map[string]*tree.Entry{"d/b": &x}, "a=1 d/b=new"},
		{"a new file", "b=1", map[string]*tree.Entry{"a": &x, "c": &x}, "a=new b=1 c=new"},
		{"a new file in folders that are not there", "b=1", map[string]*tree.Entry{"d/e/f": &x}, "b=1 d/e/f=new"},
		{"a file that goes", "a=1 d/b=2 d/c=3", map[string]*tree.Entry{"d/b": nil}, "a=1 d/c=3"},
		{"the last file of a folder", "a=1 d/b=2", map[string]*tree.Entry{"d/b": nil}, "a=1 d/"},
		{"what is not there anyway", "a=1", map[string]*tree.Entry{"b": nil, "d/e/f": nil, "a/b": nil}, "a=1"},
		{"a folder with all that it has", "a=1 d/b=2", map[string]*tree.Entry{"d": folder}, "a=1 d/y=1 d/z=2"},
		{"a folder, and something in it", "a=1", map[string]*tree.Entry{"d": folder, "d/y": nil, "d/n": &x}, "a=1 d/n=new d/z=2"},
		{"a file in the place of a folder", "d/b=2", map[string]*tree.Entry{"d": &x}, "d=new"},
		{"a folder in the place of a file", "d=1", map[string]*tree.Entry{"d/b": &x}, "d/b=new"},
		{"permissions stay", "d/!700 d/a=1", map[string]*tree.Entry{"d/b": &x}, "d/!700 d/a=1 d/b=new"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := in.With(t.Context(), write(t, in, parse(tt.base)), tt.at)
			require.NoError(t, err)
			require.Equal(t, tt.want, read(t, in, id).String())
		})
	}
}
