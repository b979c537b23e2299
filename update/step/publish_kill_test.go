//go:build unix

package step_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// tripwire is a way to exchange and to rename that dies at the n-th effect,
// before it or after it.
type tripwire struct {
	n      int
	after  bool
	before func(a, b string) error // exchange
}

func (w *tripwire) around(f func(a, b string) error) func(a, b string) error {
	return func(a, b string) error {
		w.n--
		switch {
		case w.n < 0, w.n == 0 && !w.after:
			return errCrash
		case w.n == 0:
			return errors.Join(f(a, b), errCrash)
		}
		return f(a, b)
	}
}

func (w *tripwire) step(p step.Publish) update.Step {
	return step.PublishOn(w.around(w.before), w.around(os.Rename), p)
}

func TestPublishFilesLosesNothingWhereverItIsKilled(t *testing.T) {
	everySwitch(t, func(t *testing.T, exchange func(a, b string) error) {
		s := newShop(t)
		before := tree(t, s.dir)
		tk, _ := heard("count", "1.1.0")
		count := &tripwire{n: 1000, before: exchange}
		require.NoError(t, count.step(s.Publish).Do(t.Context(), tk))
		after := tree(t, s.dir)
		does := 1000 - count.n
		require.NoError(t, count.step(s.Publish).Undo(t.Context(), tk))
		undoes := 1000 - count.n - does
		require.Greater(t, does, 8)
		require.Greater(t, undoes, 5)
		delete(before, "media") // a link to another folder each time
		delete(after, "media")

		check := func(t *testing.T, s *webSite, want map[string]string) {
			got := tree(t, s.dir)
			require.Contains(t, got, "media")
			delete(got, "media")
			require.Equal(t, want, got)
		}
		for n := 1; n <= does+undoes; n++ {
			for _, late := range []bool{false, true}[:min(often(1), 2)] {
				for _, finish := range []string{"do", "undo"} {
					t.Run(fmt.Sprintf("at effect %d, %t, then %s", n, late, finish), func(t *testing.T) {
						t.Parallel()
						s := newShop(t)
						tk, _ := heard("one", "1.1.0")
						w := (&tripwire{n: n, after: late, before: exchange}).step(s.Publish)
						err := w.Do(t.Context(), tk)
						undoing := err == nil
						if undoing {
							err = w.Undo(t.Context(), tk)
						}
						require.ErrorIs(t, err, errCrash)
						p := step.PublishBy(exchange, s.Publish)
						applied, err := p.Probe(t.Context(), tk)
						require.NoError(t, err)
						verbs := map[string]func(context.Context, *update.Task) error{"do": p.Do, "undo": p.Undo}
						switch {
						case undoing:
							finish = "undo" // an undo that began goes on
						case applied == update.AppliedNo && finish == "undo":
							check(t, s, before)
						}
						for range 2 {
							require.NoError(t, verbs[finish](t.Context(), tk))
							check(t, s, map[string]map[string]string{"do": after, "undo": before}[finish])
						}
						require.NoError(t, p.Undo(t.Context(), tk))
						check(t, s, before)
						s.publish(t, "two", "1.1.0")
						check(t, s, after)
						require.Empty(t, s.beside(t, "*.kept"))
					})
				}
			}
		}
	})
}
