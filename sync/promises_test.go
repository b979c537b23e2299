package sync_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// leisurely are Files that take their time for each that is read.
type leisurely struct{ cloudsync.Files }

func (s leisurely) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	time.Sleep(10 * time.Millisecond)
	return s.Files.Open(ctx, path)
}

func TestProgressIsToldFourTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDesk(t, "laptop", memory.New().Remote("notes"), func(c *cloudsync.Config) { c.Files = leisurely{c.Files} })
		for i := range 500 {
			a.disk.write(fmt.Sprint("n", i), "some text")
		}
		began := time.Now()
		run := a.sync(cloudsync.Request{})
		seconds := time.Since(began).Seconds()
		require.Greater(t, seconds, 4.0)
		progress := 0
		for e, err := range a.Follow(t.Context(), run.ID) {
			require.NoError(t, err)
			if e.Kind == cloudsync.EventProgress {
				progress++
			}
		}
		require.LessOrEqual(t, float64(progress), 4*seconds+1)
		require.Greater(t, float64(progress), 2*seconds)
	})
}

func TestTheLastTenThousandRunsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDesk(t, "laptop", memory.New().Remote("notes"), nil)
		first := a.sync(cloudsync.Request{By: cloudsync.By{RequestID: "the first"}})
		second := a.sync(cloudsync.Request{})
		state := a.store.SyncState("notes")
		last := func(n int) { // as if so many had followed
			text, err := json.Marshal(n)
			require.NoError(t, err)
			_, err = state.Update(t.Context(), 0, []cloudsync.Entry{{Key: "last", Value: text}})
			require.NoError(t, err)
		}
		last(9_999)
		a.sync(cloudsync.Request{})
		_, err := a.Get(t.Context(), first.ID)
		require.NoError(t, err, "it is one of 10,000")
		run := a.sync(cloudsync.Request{})
		_, err = a.Get(t.Context(), first.ID)
		require.ErrorIs(t, err, cloudsync.ErrNotFound)
		_, err = a.Get(t.Context(), second.ID)
		require.NoError(t, err)
		for e, err := range state.List(t.Context(), "request/") {
			require.NoError(t, err)
			require.Fail(t, "a request is known whose run is not", e.Key)
		}
		again := a.sync(cloudsync.Request{By: cloudsync.By{RequestID: "the first"}})
		require.NotEqual(t, first.ID, again.ID)
		require.NotEqual(t, run.ID, again.ID)
		for e, err := range state.List(t.Context(), "run/") {
			require.NoError(t, err)
			require.NotEqual(t, fmt.Sprintf("run/%016x", int64(math.MaxInt64-1)), e.Key)
		}
	})
}

// shy is a Remote that deletes only what it is asked for twice.
type shy struct {
	cloudsync.Remote
	asked map[string]bool
}

func (s shy) Delete(ctx context.Context, name string) error {
	if !s.asked[name] && strings.HasPrefix(name, "packs/") {
		s.asked[name] = true
		return cloudsync.ErrUnavailable
	}
	return s.Remote.Delete(ctx, name)
}

func TestAThousandRetriesOfARunAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := shy{memory.New().Remote("notes"), make(map[string]bool)}
		a := newDesk(t, "laptop", cloud, nil)
		a.disk.write("n", "1")
		a.sync(cloudsync.Request{})
		for i := range 1100 { // what nobody needs
			require.NoError(t, cloud.PutIfAbsent(t.Context(), fmt.Sprintf("packs/00/%032x", i), body{bytes.NewReader([]byte("x"))}))
		}
		time.Sleep(30 * 24 * time.Hour)
		a.disk.write("n", "2")
		a.sync(cloudsync.Request{})
		run, err := a.Compact(t.Context(), cloudsync.Retention{}, cloudsync.By{})
		require.NoError(t, err)
		run, err = a.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.GreaterOrEqual(t, run.Compaction.Objects, 1100)
		retries := 0
		for e, err := range a.Follow(t.Context(), run.ID) {
			require.NoError(t, err)
			if e.Kind == cloudsync.EventRetry {
				retries++
			}
		}
		require.Equal(t, 1000, retries)
	})
}

// TestOnFinishIsToldAfterARestartToo: its process died before it could.
func TestOnFinishIsToldAfterARestartToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(map[string]int)
		a := newDesk(t, "laptop", memory.New().Remote("notes"), func(c *cloudsync.Config) {
			c.OnFinish = func(run cloudsync.Run) { told[run.ID]++ }
		})
		run := a.sync(cloudsync.Request{})
		synctest.Wait()
		require.Equal(t, 1, told[run.ID])
		require.NoError(t, a.Close())
		_, err := a.store.SyncState("notes").Update(t.Context(), 0, []cloudsync.Entry{{Key: "untold/" + run.ID, Value: []byte(run.ID)}})
		require.NoError(t, err)
		for range 2 { // and the next time not any more
			a.open()
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			require.ErrorIs(t, a.Run(ctx), context.DeadlineExceeded)
			stop()
			require.NoError(t, a.Close())
			require.Equal(t, 2, told[run.ID])
		}
	})
}

func TestRunCompactsOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDesk(t, "laptop", memory.New().Remote("notes"), func(c *cloudsync.Config) {
			c.Interval, c.Retain = time.Hour, cloudsync.Retention{Age: time.Minute}
		})
		a.disk.write("n", "1")
		a.running()
		compactions := func() (n int) {
			for _, run := range a.runs() {
				if run.Kind == cloudsync.KindCompact {
					require.Equal(t, cloudsync.StateSucceeded, run.State, run.Reason)
					n++
				}
			}
			return n
		}
		time.Sleep(20 * time.Hour)
		require.Equal(t, 1, compactions())
		time.Sleep(30 * time.Hour)
		synctest.Wait()
		require.Contains(t, []int{2, 3}, compactions())
	})
}

// reads counts what is read of a store.
type reads struct {
	cloudsync.FolderStore
	n *atomic.Int64
}

func (r reads) Get(ctx context.Context, key string) ([]byte, error) {
	r.n.Add(1)
	return r.FolderStore.Get(ctx, key)
}

func (r reads) List(ctx context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
	return func(yield func(cloudsync.Entry, error) bool) {
		for e, err := range r.FolderStore.List(ctx, prefix) {
			if r.n.Add(1); !yield(e, err) {
				return
			}
		}
	}
}

func TestARoundDoesNotReadTheRunsOfADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		a := newDesk(t, "laptop", memory.New().Remote("notes"), func(c *cloudsync.Config) {
			c.Interval, c.Retain = time.Minute, cloudsync.Retention{Age: time.Hour}
			c.FolderStore = reads{c.Store.SyncState(c.Name), &n}
		})
		a.disk.write("n", "1")
		a.running()
		hour := func() int64 {
			before := n.Load()
			time.Sleep(time.Hour)
			synctest.Wait()
			return n.Load() - before
		}
		hour()
		second := hour()
		hour()
		require.InDelta(t, second, hour(), float64(second)/10)
	})
}
