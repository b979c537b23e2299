package step_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// browser is one that asks whether what it has is still current.
type browser struct {
	handler http.Handler
	pages   map[string]loaded
}

type loaded struct{ text, modified string }

// get returns the page at a path, from what was loaded before if the server
// says that it is current.
func (b *browser) get(t *testing.T, path string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if had, ok := b.pages[path]; ok {
		r.Header.Set("If-Modified-Since", had.modified)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	switch w.Code {
	case http.StatusNotModified:
		return b.pages[path].text
	case http.StatusOK:
		body, err := io.ReadAll(w.Body)
		require.NoError(t, err)
		b.pages[path] = loaded{string(body), w.Header().Get("Last-Modified")}
		return string(body)
	}
	delete(b.pages, path)
	return fmt.Sprint(w.Code)
}

func TestNoBrowserTakesWhatItHasForCurrentAfterASwitch(t *testing.T) {
	everySwitch(t, func(t *testing.T, exchange func(a, b string) error) {
		s := newSite(t)
		u := newUpdater(t, step.PublishBy(exchange, s.Publish))
		b := &browser{http.FileServer(http.Dir(s.dir)), map[string]loaded{}}
		look := func(text, about string) {
			t.Helper()
			require.Equal(t, text, b.get(t, "/"))
			require.Contains(t, b.get(t, "/about/"), about)
			require.Equal(t, text, b.get(t, "/"), "and once more, from the cache")
		}
		publish := func(version string) update.Run {
			run, _ := install(t.Context(), u, version)
			return run
		}
		publish("1.0.0")
		look("one", "us.html")
		first := publish("1.1.0") // within the second
		look("two", "404")
		back, err := u.Rollback(t.Context(), first.ID, update.By{})
		require.NoError(t, err)
		_, err = u.Wait(t.Context(), back.ID)
		require.NoError(t, err)
		look("one", "us.html")

		seen := make(chan string, 1)
		u = newUpdater(t, step.PublishBy(exchange, s.Publish), update.Step{Name: "look", Do: func(context.Context, *update.Task) error {
			seen <- b.get(t, "/") + b.get(t, "/about/")
			return errors.New("not well")
		}})
		require.Equal(t, update.StateRolledBack, publish("1.2.0-rc.1").State)
		require.Contains(t, <-seen, "them.html")
		look("one", "us.html")
	})
}

func TestATimeInTheFutureKeepsNoBrowserFromTheNextRelease(t *testing.T) {
	s := newSite(t)
	s.publish(t, "zero", "1.0.0")
	index := filepath.Join(s.dir, "index.html")
	require.NoError(t, os.Chtimes(index, time.Time{}, time.Now().Add(48*time.Hour)))
	b := &browser{http.FileServer(http.Dir(s.dir)), map[string]loaded{}}
	require.Equal(t, "one", b.get(t, "/"))
	tk, _ := s.publish(t, "one", "1.1.0")
	require.Equal(t, "two", b.get(t, "/"))
	require.NoError(t, s.step().Undo(t.Context(), tk))
	require.Equal(t, "one", b.get(t, "/"))
}
