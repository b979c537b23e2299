package httpadapter_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/update"
)

// rest reads a stream to its end.
func (l *listener) rest() (all []sse) {
	for {
		e, err := l.next()
		if err != nil {
			require.ErrorIs(l.t, err, io.EOF)
			return all
		}
		all = append(all, e)
	}
}

// speaks is a step that says something every second.
func speaks(lines int) func(context.Context, *update.Task) error {
	return func(_ context.Context, task *update.Task) error {
		for i := range lines {
			fmt.Fprintln(task.Output(), "line", i)
			time.Sleep(1500 * time.Millisecond) // what is said within a second is one event
		}
		return nil
	}
}

// elsewhere writes events of something that the site has nothing to do with.
func elsewhere(t *testing.T, s *site, n int) {
	_, err := s.db.Journal().Create(context.WithoutCancel(t.Context()), update.Run{
		ID: fmt.Sprint("elsewhere ", n), Package: "elsewhere", Item: "elsewhere", State: update.StateSucceeded,
	}, slices.Repeat([]update.Event{{Kind: update.EventLog}}, n)...)
	require.NoError(t, err)
}

func TestEventsOfARunEndWithIt(t *testing.T) {
	inBubble(t, &site{install: speaks(100)}, func(t *testing.T, s *site, client *http.Client) {
		elsewhere(t, s, 3)
		run, err := s.updater.Start(t.Context(), update.Request{Package: pkg})
		require.NoError(t, err)
		live := listen(t, client, events+"?run="+run.ID)
		go func() { time.Sleep(10 * time.Second); elsewhere(t, s, 200) }()
		all := live.rest()
		require.Equal(t, "started", all[0].name)
		require.Equal(t, "4", all[0].id)
		require.Equal(t, "ended", all[len(all)-1].name)
		require.Greater(t, len(all), 65)
		for _, e := range all {
			require.Equal(t, run.ID, e.data["run"])
		}
		require.Equal(t, all, listen(t, client, events+"?run="+run.ID).rest(), "also when it has ended")

		from := all[50]
		resumed := listen(t, client, events+"?run="+run.ID, func(r *http.Request) { r.Header.Set("Last-Event-ID", from.id) })
		require.Equal(t, all[51:], resumed.rest())
		last, err := strconv.Atoi(all[len(all)-1].id)
		require.NoError(t, err)
		for _, after := range []int{last, last + 1, 9999} {
			r := s.get(fmt.Sprintf("%s?run=%s&after=%d", events, run.ID, after))
			require.Equal(t, http.StatusNoContent, r.StatusCode, "nothing follows, and an EventSource does not come back")
		}
		before := listen(t, client, events+"?after=1&run="+run.ID)
		e, err := before.next()
		require.NoError(t, err)
		require.Equal(t, all[0], e)

		read := listen(t, client, events+"?run="+run.ID, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+reader) })
		require.Equal(t, []string{"started", "step", "step", "ended"}, slices.Collect(func(yield func(string) bool) {
			for _, e := range read.rest() {
				require.NotContains(t, e.data, "message")
				yield(e.name)
			}
		}))
	})
}

func TestEventsOfARunAreReadWithoutThoseBefore(t *testing.T) {
	inBubble(t, &site{install: speaks(10), retention: storage.Retention{Events: 30}}, func(t *testing.T, s *site, client *http.Client) {
		elsewhere(t, s, 100)
		run, err := s.updater.Update(t.Context(), update.Request{Package: pkg})
		require.NoError(t, err)
		require.Equal(t, "started", listen(t, client, events+"?run="+run.ID).rest()[0].name)
		require.NotContains(t, s.log.String(), "last event", "a stream that ends is no failure")
	})
}

func TestEventsOfARunThatAreGoneAreCompacted(t *testing.T) {
	inBubble(t, &site{install: speaks(100), retention: storage.Retention{Events: 30}}, func(t *testing.T, s *site, client *http.Client) {
		run, err := s.updater.Update(t.Context(), update.Request{Package: pkg})
		require.NoError(t, err)
		all := listen(t, client, events+"?run="+run.ID).rest()
		require.Len(t, all, 1)
		require.Equal(t, "compacted", all[0].name)
		id, err := strconv.ParseInt(all[0].id, 10, 64)
		require.NoError(t, err)
		require.LessOrEqual(t, id, int64(1<<53-1), "JavaScript can hold it")
		r := s.get(fmt.Sprintf("%s?run=%s&after=%s", events, run.ID, all[0].id))
		require.Equal(t, http.StatusNoContent, r.StatusCode, "who comes back has been told")
		all = listen(t, client, events+"?after=90&run="+run.ID).rest()
		require.Equal(t, "ended", all[len(all)-1].name, "what is kept can be resumed")
		r = s.get(fmt.Sprintf("%s?run=%s&after=%s", events, run.ID, all[len(all)-1].id))
		require.Equal(t, http.StatusNoContent, r.StatusCode, "and has an end")
		require.Equal(t, http.StatusNotFound, s.get(events+"?run=unknown").StatusCode)
		require.Equal(t, http.StatusNotFound, s.get(events+"?run=").StatusCode)
	})
}

func TestEventsOfALiveRunGoOnAfterThoseThatAreGone(t *testing.T) {
	inBubble(t, &site{install: speaks(100), retention: storage.Retention{Events: 30}}, func(t *testing.T, s *site, client *http.Client) {
		run, err := s.updater.Start(t.Context(), update.Request{Package: pkg})
		require.NoError(t, err)
		time.Sleep(100 * time.Second) // of 150
		all := listen(t, client, events+"?run="+run.ID).rest()
		require.Equal(t, "compacted", all[0].name)
		require.Empty(t, all[0].id, "it does not move where to resume")
		require.Greater(t, len(all), 20)
		require.Equal(t, "ended", all[len(all)-1].name)
		r := s.get(fmt.Sprintf("%s?run=%s&after=%s", events, run.ID, all[len(all)-1].id))
		require.Equal(t, http.StatusNoContent, r.StatusCode)
	})
}

func TestEventsOfARunThatAreAllGoneEnd(t *testing.T) {
	inBubble(t, &site{install: speaks(10), retention: storage.Retention{Events: 30}}, func(t *testing.T, s *site, client *http.Client) {
		run, err := s.updater.Update(t.Context(), update.Request{Package: pkg})
		require.NoError(t, err)
		elsewhere(t, s, 100)
		for _, after := range []string{"", "&after=5"} {
			all := listen(t, client, events+"?run="+run.ID+after).rest()
			require.Len(t, all, 1)
			require.Equal(t, "compacted", all[0].name)
			r := s.send("GET", events+"?run="+run.ID, "", as(admin), header("Last-Event-ID", all[0].id))
			require.Equal(t, http.StatusNoContent, r.StatusCode)
		}
	})
}
