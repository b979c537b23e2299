package web_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
)

func TestCompactedNamesTheLastEventThatWasTold(t *testing.T) {
	gone := errors.New("no longer kept")
	feed := func(_ context.Context, after int64) iter.Seq2[web.Event, error] {
		return func(yield func(web.Event, error) bool) {
			if after < 0 {
				yield(web.Event{}, web.ErrFeedEnds)
				return
			}
			for id := after + 1; id <= 7; id++ {
				if !yield(web.Event{ID: id, Name: "said"}, nil) {
					return
				}
			}
			yield(web.Event{}, gone)
		}
	}
	s := serve(t, web.Config{}, web.Route{Pattern: "/things", Stream: true, Handle: func(c *web.Call) error { return c.Stream(4, feed, gone) }})
	response, text := ask(s, "GET", "/things", "")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, 3, strings.Count(text, "event: said\n"))
	require.Contains(t, text, "event: compacted\ndata: {\"after\":7}\n")
}
