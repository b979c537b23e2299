package step_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// endsEarly is a release of which a file cannot be read: much as if there were
// no room for it.
func endsEarly(bad *bool) step.Tree {
	return func(r update.Release) (fs.FS, error) {
		tree, err := pagesOf(r)
		if err != nil || !*bad {
			return tree, err
		}
		return withoutContent{tree, "index.html"}, nil
	}
}

type withoutContent struct {
	fs.FS
	name string
}

func (w withoutContent) Open(name string) (fs.File, error) {
	f, err := w.FS.Open(name)
	if err == nil && name == w.name {
		return noContent{f}, nil
	}
	return f, err
}

type noContent struct{ fs.File }

func (noContent) Read([]byte) (int, error) { return 0, errors.New("no room") }

func TestPublishFilesMakesRoomForTheStepsThatAreUndoneAfterIt(t *testing.T) {
	for name, fails := range map[string]func(s *webSite, bad *bool){
		"written in part": func(_ *webSite, bad *bool) { *bad = true },
		"not switched":    func(s *webSite, _ *bool) { put(t, "of somebody", s.dir, "since.html") },
	} {
		t.Run(name, func(t *testing.T) {
			s, bad := newSite(t), false
			s.Files = endsEarly(&bad)
			s.publish(t, "zero", "1.0.0")
			before := tree(t, s.dir)
			tk, _ := heard("one", "1.1.0")
			require.NoError(t, s.step().Check(t.Context(), tk))
			fails(s, &bad)
			require.Error(t, s.step().Do(t.Context(), tk))
			require.NotEmpty(t, append(s.beside(t, "*.part"), s.beside(t, "*.new")...), "else there is nothing to show")
			for range 2 {
				require.NoError(t, s.step().Undo(t.Context(), tk))
				require.Empty(t, append(s.beside(t, "*.part"), s.beside(t, "*.new")...))
				got := tree(t, s.dir)
				delete(got, "since.html")
				require.Equal(t, before, got)
			}
			bad, s.Replace = false, true
			require.NoError(t, s.step().Do(t.Context(), tk), "it may be done again")
			applied, err := s.step().Probe(t.Context(), tk)
			require.NoError(t, err)
			require.Equal(t, update.AppliedYes, applied)
			require.NoError(t, s.step().Undo(t.Context(), tk))
			got := tree(t, s.dir)
			delete(got, "since.html")
			require.Equal(t, before, got)
		})
	}
}
