package httpadapter_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/update"
)

const events = "/upkeep/v1/updates/events"

// sse is one Server-Sent Event as a browser sees it.
type sse struct {
	id, name string
	data     map[string]any
}

// listener is an open event stream.
type listener struct {
	t    *testing.T
	body io.Closer
	text *bufio.Reader
	// quiet counts the comments that were skipped.
	quiet int
}

// listen opens a stream. It is closed with the test.
func listen(t *testing.T, client *http.Client, path string, prepare ...func(*http.Request)) *listener {
	r := open(t, client, path, prepare...)
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Equal(t, "text/event-stream", r.Header.Get("Content-Type"))
	require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	t.Cleanup(func() { _ = r.Body.Close() })
	return &listener{t: t, body: r.Body, text: bufio.NewReader(r.Body)}
}

func open(t *testing.T, client *http.Client, path string, prepare ...func(*http.Request)) *http.Response {
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://site"+path, nil)
	require.NoError(t, err)
	as(admin)(r)
	for _, f := range prepare {
		f(r)
	}
	reply, err := client.Do(r)
	require.NoError(t, err)
	return reply
}

// next returns the next event, or io.EOF when the stream has ended.
func (l *listener) next() (sse, error) {
	var e sse
	for {
		line, err := l.text.ReadString('\n')
		if err != nil {
			return e, err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			require.NoError(l.t, json.Unmarshal([]byte(value), &e.data))
		case "":
			if e.name != "" {
				return e, nil
			}
		case ":":
			l.quiet++
		case "retry":
			require.Equal(l.t, "2000", value)
		default:
			require.Fail(l.t, "unknown line", line)
		}
	}
}

// want reads n events and checks that they are the ones that follow id after.
func (l *listener) want(after, n int) {
	for i := range n {
		e, err := l.next()
		require.NoError(l.t, err)
		require.Equal(l.t, strconv.Itoa(after+1+i), e.id)
		require.EqualValues(l.t, after+1+i, e.data["seq"])
	}
}

// emit writes n events of two lines.
func emit(t *testing.T, db storage.Backend, n int) { emitText(t, db, n, "a line\nand another") }

func emitText(t *testing.T, db storage.Backend, n int, text string) {
	list := make([]update.Event, n)
	for i := range list {
		list[i] = update.Event{Kind: update.EventLog, Step: "install", Message: text}
	}
	list[0].Kind, list[0].Actor = update.EventStarted, "ann"
	_, err := db.Journal().Create(context.WithoutCancel(t.Context()), update.Run{
		ID: rand.Text(), Package: pkg, Item: "of no lock", State: update.StateRunning, Percent: 7,
	}, list...)
	require.NoError(t, err)
}

func TestEventTellsWhatHappened(t *testing.T) {
	inBubble(t, new(site), func(t *testing.T, s *site, client *http.Client) {
		emit(t, s.db, 2)
		l := listen(t, client, events+"?after=0")
		e, err := l.next()
		require.NoError(t, err)
		require.Equal(t, "started", e.name)
		require.Equal(t, "ann", e.data["actor"])
		require.Equal(t, pkg, e.data["package"])
		require.Equal(t, "running", e.data["state"])
		require.EqualValues(t, 7, e.data["percent"])
		e, err = l.next()
		require.NoError(t, err)
		require.Equal(t, "log", e.name)
		require.Equal(t, "a line\nand another", e.data["message"])
		require.NotContains(t, e.data, "actor")
	})
}

func TestEventsForReadersLeaveOutWhatStepsPrint(t *testing.T) {
	inBubble(t, new(site), func(t *testing.T, s *site, client *http.Client) {
		emit(t, s.db, 3)
		emit(t, s.db, 3)
		l := listen(t, client, events+"?after=0", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+reader) })
		for _, id := range []string{"1", "4"} {
			e, err := l.next()
			require.NoError(t, err)
			require.Equal(t, id, e.id)
			require.Equal(t, "started", e.name)
			require.NotContains(t, e.data, "message")
		}
	})
}

func TestIdleStreamShowsSignsOfLife(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		inBubble(t, &site{http2: http2}, func(t *testing.T, s *site, client *http.Client) {
			l := listen(t, client, events)
			go func() {
				time.Sleep(time.Minute - time.Second)
				emit(t, s.db, 1)
				time.Sleep(29 * time.Second)
				emit(t, s.db, 1)
			}()
			l.want(0, 1)
			require.Equal(t, 3, l.quiet, "one each 15 seconds, also past the server's WriteTimeout")
			l.want(1, 1)
			require.Equal(t, 4, l.quiet, "counted from the last event")
		})
	}
}

func TestSlowReaderLosesNothing(t *testing.T) {
	inBubble(t, new(site), func(t *testing.T, s *site, client *http.Client) {
		emit(t, s.db, 300)
		l := listen(t, client, events+"?after=0")
		for i := range 500 {
			if i%100 == 0 {
				emit(t, s.db, 100)
			}
			l.want(i, 1)
			time.Sleep(10 * time.Millisecond)
		}
	})
}

func TestStreamEndsWithItsReader(t *testing.T) {
	inBubble(t, new(site), func(t *testing.T, s *site, client *http.Client) {
		for range 20 { // more than one principal may have at once
			l := listen(t, client, events)
			require.Equal(t, 1, s.adapter.OpenStreams())
			require.NoError(t, l.body.Close())
			synctest.Wait()
			require.Zero(t, s.adapter.OpenStreams())
		}
		for range 16 {
			listen(t, client, events)
		}
	})
}

func TestHandlerWaitsForItsFeed(t *testing.T) {
	inBubble(t, new(site), func(t *testing.T, s *site, client *http.Client) {
		s.journal.watched = func() { time.Sleep(time.Second) }
		l := listen(t, client, events)
		require.NoError(t, l.body.Close())
		synctest.Wait()
		require.Equal(t, 1, s.adapter.OpenStreams())
		time.Sleep(time.Second)
		synctest.Wait()
		require.Zero(t, s.adapter.OpenStreams())
	})
}

// broken is a ResponseWriter of a server that does not end the request's
// context when it cannot write.
type broken struct{ http.ResponseWriter }

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestStreamEndsWhenNothingCanBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(site).open(t)
		r := httptest.NewRequest("GET", events, nil)
		as(admin)(r)
		s.mux.ServeHTTP(broken{httptest.NewRecorder()}, r)
		require.Zero(t, s.adapter.OpenStreams())
		require.Empty(t, s.log.String())
	})
}

func TestStreamsAreLimited(t *testing.T) {
	s := &site{configure: func(c *httpadapter.Config) { c.Limits.Streams = 17 }}
	inBubble(t, s, func(t *testing.T, s *site, client *http.Client) {
		rob := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+reader) }
		refused := func(prepare ...func(*http.Request)) {
			r := open(t, client, events, prepare...)
			defer r.Body.Close()
			require.Equal(t, http.StatusTooManyRequests, r.StatusCode)
			require.Equal(t, "15", r.Header.Get("Retry-After"))
			text, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.Equal(t, "too-many-streams", reply{r, string(text), "GET"}.problem(t))
		}
		var first *listener
		for i := range 16 {
			l := listen(t, client, events)
			if i == 0 {
				first = l
			}
		}
		refused() // one principal has 16
		listen(t, client, events, rob)
		refused(rob) // all have 17
		require.NoError(t, first.body.Close())
		synctest.Wait()
		listen(t, client, events)
		refused()
	})
}

func TestReaderThatComesTooLateIsToldAndGoesOn(t *testing.T) {
	inBubble(t, &site{retention: storage.Retention{Events: 5}}, func(t *testing.T, s *site, client *http.Client) {
		emit(t, s.db, 10)
		l := listen(t, client, events+"?after=2")
		e, err := l.next()
		require.NoError(t, err)
		require.Equal(t, "compacted", e.name)
		require.Empty(t, e.id, "a reconnect is told again")
		require.Equal(t, map[string]any{"after": 2.0}, e.data)
		synctest.Wait()
		emit(t, s.db, 3)
		l.want(10, 3)
	})
}

// Watch implements update.Journal.
func (j *touchyJournal) Watch(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
	if j.watch != nil {
		j.watch()
	}
	return func(yield func(update.Event, error) bool) {
		if j.watched != nil {
			defer j.watched()
		}
		j.Journal.Watch(ctx, after)(yield)
	}
}
