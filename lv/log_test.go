package lv_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// lines is a logger that keeps what it is told, without times.
func lines(out io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// logged is a log that can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

// take returns what has been written since it was called last.
func (l *logged) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

func TestWhatChangesForVisitorsIsLoggedWithWhoAndWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := serve(t, lv.Config{Store: memory.New(), Logger: lines(&log)})
		v := s.save("a", "1")
		why := lv.By{Actor: "ada", Reason: "spring sale"}
		said := func(want string, _ any, err error) {
			t.Helper()
			require.NoError(t, err)
			require.Equal(t, strings.ReplaceAll(want, "TABLE", "app=app schema=banners")+"\n", log.String())
			log.Reset()
		}
		first, err := s.Publish(t.Context(), "g", why, "a")
		said(`level=INFO msg="lv: release applied" TABLE env=g release=2 rows=1 ids=[a] actor=ada reason="spring sale"`, first, err)
		back, err := s.Revert(t.Context(), first.ID, lv.By{Actor: "bob", Reason: "it looks wrong"})
		said(`level=INFO msg="lv: release applied" TABLE env=g release=3 reverts=2 rows=1 ids=[a] actor=bob reason="it looks wrong"`, back, err)
		strategy, err := s.SaveStrategy(t.Context(), lv.Strategy{Title: "greeted", Target: v, Rules: greeted}, lv.By{Actor: "ada", Reason: "a trial"})
		said(`level=INFO msg="lv: strategy saved" TABLE strategy=4 title=greeted row=a version=1 disabled=false actor=ada reason="a trial"`, strategy, err)
		err = s.DeleteStrategy(t.Context(), strategy.ID, bob)
		said(`level=INFO msg="lv: strategy deleted" TABLE strategy=4 title=greeted row=a version=1 disabled=false actor=bob reason=""`, nil, err)

		draft, err := s.Draft(t.Context(), lv.Release{Changes: []lv.Change{{Row: "a", To: v}}}, why)
		said(`level=INFO msg="lv: release drafted" TABLE env=production release=6 rows=1 ids=[a] actor=ada reason="spring sale"`, draft, err)
		_, err = s.Approve(t.Context(), draft.ID, bob)
		said(`level=INFO msg="lv: release approved" TABLE env=production release=6 rows=1 ids=[a] actor=bob reason=""`, nil, err)
		_, err = s.Schedule(t.Context(), draft.ID, time.Now().Add(time.Hour), bob)
		said(`level=INFO msg="lv: release scheduled" TABLE env=production release=6 rows=1 ids=[a] actor=bob reason=""`, nil, err)
		err = s.Cancel(t.Context(), draft.ID, lv.By{Actor: "bob", Reason: "too early"})
		said(`level=WARN msg="lv: release cancelled" TABLE env=production release=6 rows=1 ids=[a] actor=bob reason="too early"`, nil, err)

		late := s.due(time.Minute, lv.Change{Row: "a", To: v})
		s.publish(lv.Production, "a")
		log.Reset()
		go s.service.Run(context.Background())
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, lv.ReleaseFailed, s.stored(late.ID).State)
		said(`level=ERROR msg="lv: release failed" TABLE env=production release=`+fmt.Sprint(late.ID)+` rows=1 ids=[a] err="lv: conflict: \"a\" is at version 1 and not 0" actor=bob reason=why`, nil, err)
	})
}

func TestFewRowsOfAReleaseAreNamedInTheLog(t *testing.T) {
	var log bytes.Buffer
	s := serve(t, lv.Config{Store: memory.New(), Logger: lines(&log)})
	for _, row := range []string{"a", "b", "c", "d"} {
		s.save(row, "1")
	}
	s.publish("g", "a", "b", "c")
	require.Contains(t, log.String(), " rows=3 ids=\"[a b c]\" ")
	log.Reset()
	s.publish("h", "a", "b", "c", "d")
	require.Contains(t, log.String(), " rows=4 actor=")
}

func TestTheDefaultLoggerIsThatOfTheProgram(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(lines(&log))
	service, err := lv.New(lv.Config{Store: memory.New()})
	require.NoError(t, err)
	defer service.Close()
	table := service.Table("app", "banners")
	_, err = table.Save(t.Context(), "a", page("1"), ada)
	require.NoError(t, err)
	require.Empty(t, log.String(), "nobody sees it")
	_, err = table.Publish(t.Context(), lv.Production, ada, "a")
	require.NoError(t, err)
	require.Contains(t, log.String(), "lv: release applied")
}

func TestWhatWasThereBeforeIsNotLoggedAgain(t *testing.T) {
	for name, read := range map[string]bool{"nobody reads the table": false, "somebody reads the table": true} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s := serve(t, lv.Config{Store: memory.New(), Logger: lines(&log)})
			if read {
				s.shows(lv.View{})
			}
			v := s.save("a", "1")
			request := func(id string) lv.By { return lv.By{Actor: "ada", Reason: "sale", RequestID: id} }
			again := func(call func() (lv.Release, error)) lv.Release {
				t.Helper()
				log.Reset()
				first, err := call()
				require.NoError(t, err)
				require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
				second, err := call()
				require.NoError(t, err)
				require.Equal(t, first, second)
				require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
				return first
			}
			again(func() (lv.Release, error) { return s.Publish(t.Context(), lv.Production, request("1"), "a") })
			again(func() (lv.Release, error) { return s.Release(t.Context(), "g", ada, v) })
			again(func() (lv.Release, error) {
				return s.Draft(t.Context(), lv.Release{Changes: []lv.Change{{Row: "a", To: v}}}, request("2"))
			})
			log.Reset()
			_, err := s.Publish(t.Context(), lv.Production, bob, "a")
			require.NoError(t, err)
			require.Empty(t, log.String(), "bob has moved nothing")
		})
	}
}

func TestWhatFailsAgainAndAgainIsLoggedWhenItBeginsChangesAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		r := &relay{Service: s.service}
		r.away.Store(true)
		var log logged
		service, err := lv.New(lv.Config{Reader: r, Logger: lines(&log)})
		require.NoError(t, err)
		defer service.Close()
		service.Table(s.ID.App, s.ID.Schema)
		go service.Run(t.Context())
		said := func(want string) {
			t.Helper()
			time.Sleep(time.Hour)
			synctest.Wait()
			require.Equal(t, want, log.take())
		}
		said(`level=ERROR msg="lv: following failed" err="reading table \"banners\" of \"app\": away"` + "\n")
		said("")
		r.away.Store(false)
		said(`level=INFO msg="lv: following works again"` + "\n")
		said("")
	})
}
