package httpadapter_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/lv"
)

// eachStream tests every route of the table whose reply does not end, and one
// that is added to it, in a bubble of its own.
func eachStream(t *testing.T, test func(t *testing.T, s *site, client *http.Client, stream target)) {
	t.Parallel()
	addStream := func(s *site) {
		s.adapter.AddStream(httpadapter.Route{
			API: httpadapter.UpkeepAPI, Methods: []string{"GET"}, Pattern: added, Needs: httpadapter.Reader, Summary: "Follow",
		}, s.addedEvents)
	}
	streams := 0
	for _, stream := range (&site{add: addStream}).open(t).attacked() {
		if !stream.wire.Stream {
			continue
		}
		streams++
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s HTTP2=%t", stream.Pattern, http2), func(t *testing.T) {
				t.Parallel()
				inBubble(t, &site{add: addStream, http2: http2}, func(t *testing.T, s *site, client *http.Client) {
					test(t, s, client, stream)
				})
			})
		}
	}
	require.Equal(t, 6, streams)
}

// addedEvents are those of the journal.
func (s *site) addedEvents(ctx context.Context, after int64) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		for e, err := range s.updater.Watch(ctx, after) {
			if !yield(e.Seq, err) {
				return
			}
		}
	}
}

// happen makes n events in every domain, with a text of that many bytes.
func (s *site) happen(t *testing.T, n, bytes int) {
	emitText(t, s.db, n, strings.Repeat("x", bytes))
	device := s.db.Firmware("4711")
	record, err := device.Load(t.Context())
	require.NoError(t, err)
	checked := firmware.Event{Kind: firmware.EventChecked, Message: strings.Repeat("x", bytes)}
	_, err = device.Save(t.Context(), record, slices.Repeat([]firmware.Event{checked}, n)...)
	require.NoError(t, err)
	s.rolledEvents(t, n, strings.Repeat("x", bytes))
	s.notebook.happen(n, strings.Repeat("x", bytes))
	for i := range n {
		content := fmt.Sprintf(`{"n":%d,"name":%q}`, i, strings.Repeat(string('a'+rune(time.Now().UnixNano()%26)), bytes))
		_, err := s.rows.Table("app", "table").Save(t.Context(), "a", json.RawMessage(content), lv.By{Actor: "ann"})
		require.NoError(t, err)
	}
}

// path is the good request's, with more in its query.
func (t target) asking(text string) string {
	r := t.good().asked(text)
	return r.path + "?" + r.query
}

// since returns a function that returns what has come over a stream since it
// was called last, once nothing moves any more.
func (l *listener) since() func() []sse {
	var events []sse
	var mu sync.Mutex
	go func() {
		for {
			e, err := l.next()
			if err != nil {
				return
			}
			mu.Lock()
			events = append(events, e)
			mu.Unlock()
		}
	}()
	return func() []sse {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		defer func() { events = nil }()
		return events
	}
}

// ids are those of events.
func ids(events []sse) []int64 {
	all := []int64{}
	for _, e := range events {
		id, err := strconv.ParseInt(e.id, 10, 64)
		if err != nil {
			id = -1
		}
		all = append(all, id)
	}
	return all
}

// upTo counts from one id to another.
func upTo(after, newest int64) []int64 {
	all := []int64{}
	for after < newest {
		after++
		all = append(all, after)
	}
	return all
}

func TestEveryStreamBeginsWhereTheReaderSays(t *testing.T) {
	now := func(newest int64) int64 { return newest }
	first := func(int64) int64 { return 0 }
	second := func(int64) int64 { return 1 }
	tests := []struct {
		name, query string // NEWEST is the id of the newest event
		ids         []string
		after       func(newest int64) int64
	}{
		{name: "nothing", after: now},
		{name: "an empty id", ids: []string{""}, after: now},
		{name: "an empty id beside a query", ids: []string{""}, query: "after=0", after: first},
		{name: "an empty query", query: "after=", after: now},
		{name: "0", ids: []string{"0"}, after: first},
		{name: "0 in the query", query: "after=0", after: first},
		{name: "zeros", ids: []string{"0001"}, after: second},
		{name: "the last but one", ids: []string{"NEWEST-1"}, after: func(newest int64) int64 { return newest - 1 }},
		{name: "the newest", ids: []string{"NEWEST"}, after: now},
		{name: "the newest in the query", query: "after=NEWEST", after: now},
		{name: "an id beside a query", ids: []string{"1"}, query: "after=NEWEST", after: second},
		{name: "an id beside a query of no number", ids: []string{"1"}, query: "after=x", after: second},
	}
	eachStream(t, func(t *testing.T, s *site, client *http.Client, stream target) {
		s.happen(t, 5, 1)
		all := ids(listen(t, client, stream.asking("after=0")).since()())
		newest := all[len(all)-1]
		require.Equal(t, upTo(0, newest), all)
		numbers := strings.NewReplacer("NEWEST-1", fmt.Sprint(newest-1), "NEWEST", fmt.Sprint(newest))
		var streams []func() []sse
		for _, tt := range tests {
			l := listen(t, client, stream.asking(numbers.Replace(tt.query)), func(r *http.Request) {
				for _, id := range tt.ids {
					r.Header.Add("Last-Event-ID", numbers.Replace(id))
				}
			})
			since := l.since()
			require.Equal(t, upTo(tt.after(newest), newest), ids(since()), tt.name)
			streams = append(streams, since)
		}
		s.happen(t, 2, 1)
		for i, since := range streams {
			require.Equal(t, upTo(newest, newest+2), ids(since()), tests[i].name)
		}
	})
}

func TestEveryStreamRefusesWhatIsNoID(t *testing.T) {
	eachStream(t, func(t *testing.T, s *site, client *http.Client, stream target) {
		refused := func(name, query string, ids ...string) {
			r := open(t, client, stream.asking(query), func(r *http.Request) {
				r.Header["Last-Event-Id"] = ids
			})
			defer r.Body.Close()
			require.Equal(t, http.StatusBadRequest, r.StatusCode, name)
			text, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.Equal(t, "invalid-query", reply{r, string(text), "GET"}.problem(t), name)
		}
		for _, id := range []string{
			"x", "-1", "-0", "+1", "1.0", "1e3", "0x10", "0b1", "1_000", "1 2", "1,2", "١", "NaN", "null", "true", "now",
			"9223372036854775808", "18446744073709551616", strings.Repeat("9", 1000), "1\t2", "\xff",
		} {
			refused(id, "", id)
			refused(id+" beside a query", "after=1", id)
			refused(id+" in the query", "after="+url.QueryEscape(id))
		}
		refused("two ids", "", "1", "2")
		refused("an id twice", "", "1", "1")
		refused("an empty id and another", "", "", "1")
		refused("two in the query", "after=1&after=1")
		require.Zero(t, s.adapter.OpenStreams())
	})
}

func TestEveryStreamTellsWhoComesFromAnotherHistory(t *testing.T) {
	eachStream(t, func(t *testing.T, s *site, client *http.Client, stream target) {
		s.happen(t, 5, 1)
		all := ids(listen(t, client, stream.asking("after=0")).since()())
		newest := all[len(all)-1]
		var streams []func() []sse
		for _, beyond := range []int64{newest + 1, newest + 1000, math.MaxInt64} {
			since := listen(t, client, stream.asking(""), header("Last-Event-ID", fmt.Sprint(beyond))).since()
			told := since()
			require.Len(t, told, 1)
			require.Equal(t, "compacted", told[0].name)
			require.Empty(t, told[0].id, "a reconnect is told again")
			require.Equal(t, float64(beyond), told[0].data["after"])
			streams = append(streams, since)
		}
		s.happen(t, 2, 1)
		for _, since := range streams {
			require.Equal(t, upTo(newest, newest+2), ids(since()), "and what happens is not kept from it")
		}
	})
}

func TestReaderThatDoesNotReadDelaysNobodyAndIsCutOff(t *testing.T) {
	eachStream(t, func(t *testing.T, s *site, client *http.Client, stream target) {
		stalled := listen(t, client, stream.asking(""))
		reading := listen(t, client, stream.asking("")).since()
		require.Empty(t, reading())
		begun, events, bytes := time.Now(), 100, 1<<10 // more than the queue takes
		if s.http2 {
			events, bytes = 500, 9<<10 // more than HTTP/2 takes unread
		}
		s.happen(t, events, bytes)
		seen := ids(reading())
		require.Len(t, seen, events)
		require.Equal(t, upTo(seen[0]-1, seen[events-1]), seen, "in order")
		require.Zero(t, time.Since(begun), "at once: no time has passed")
		require.Equal(t, 2, s.adapter.OpenStreams())

		time.Sleep(10*time.Second - time.Millisecond)
		synctest.Wait()
		require.Equal(t, 2, s.adapter.OpenStreams())
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, 1, s.adapter.OpenStreams())
		_, err := io.ReadAll(stalled.text)
		require.Error(t, err, "the reply is broken off, not ended")
		s.happen(t, 1, 1)
		require.Len(t, reading(), 1)
	})
}

func TestStreamThatIsLeftWhileEventsComeEnds(t *testing.T) {
	eachStream(t, func(t *testing.T, s *site, client *http.Client, stream target) {
		s.happen(t, 200, 1<<10)
		times := 20 // more than one principal may have at once
		if os.Getenv("UPKEEP_FULL") == "1" && strings.HasPrefix(stream.Pattern, ownRollouts) {
			times = 500
		}
		for range times {
			l := listen(t, client, stream.asking("after=0"))
			_, err := l.next()
			require.NoError(t, err)
			require.Equal(t, 1, s.adapter.OpenStreams())
			require.NoError(t, l.body.Close())
			synctest.Wait()
			require.Zero(t, s.adapter.OpenStreams())
		}
		require.Empty(t, s.log.String(), "who leaves is no error of ours")
	})
}

func TestThousandConnectsToAStreamAreBounded(t *testing.T) {
	eachStream(t, func(t *testing.T, s *site, client *http.Client, stream target) {
		ctx, leave := context.WithCancel(t.Context())
		statuses := make(chan int, 1000)
		var readers sync.WaitGroup
		for range 1000 {
			readers.Go(func() {
				r := open(t, client, stream.asking("after=0"), func(r *http.Request) { *r = *r.WithContext(ctx) })
				defer r.Body.Close()
				statuses <- r.StatusCode
				if r.StatusCode == http.StatusOK {
					<-ctx.Done()
				}
			})
		}
		synctest.Wait()
		counts := map[int]int{}
		for range 1000 {
			counts[<-statuses]++
		}
		require.Equal(t, map[int]int{200: 16, 429: 1000 - 16}, counts, "of one principal")
		require.Equal(t, 16, s.adapter.OpenStreams())
		leave()
		readers.Wait()
		synctest.Wait()
		require.Zero(t, s.adapter.OpenStreams())
	})
}

func TestBackendThatPanicsEndsTheStreamOnly(t *testing.T) {
	eachStream(t, func(t *testing.T, s *site, client *http.Client, stream target) {
		begun := listen(t, client, stream.asking("after=0"))
		synctest.Wait()
		mend := s.engine.breaks()
		late := open(t, client, stream.asking("after=0")) // which may be refused
		t.Cleanup(func() { _ = late.Body.Close() })
		require.Contains(t, []int{http.StatusOK, http.StatusInternalServerError}, late.StatusCode)
		s.happen(t, 1, 1)
		for err := error(nil); err == nil; {
			_, err = begun.next()
		}
		_, _ = io.Copy(io.Discard, late.Body)
		synctest.Wait()
		require.Zero(t, s.adapter.OpenStreams())
		require.Equal(t, 2, strings.Count(s.log.String(), "/secret/path"))
		require.Contains(t, s.log.String(), "engine_test.go", "a stack")
		mend()
		require.NotEmpty(t, listen(t, client, stream.asking("after=0")).since()())
	})
}

func TestStreamEndsWithTheEngine(t *testing.T) {
	eachStream(t, func(t *testing.T, s *site, client *http.Client, stream target) {
		l := listen(t, client, stream.asking(""))
		synctest.Wait()
		require.NoError(t, s.db.Close())
		_, err := l.next()
		require.ErrorIs(t, err, io.EOF)
	})
}
