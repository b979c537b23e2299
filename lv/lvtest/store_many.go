package lvtest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

func manyWriters(t *storeTest) {
	const writers, writes = 8, 25
	var wg sync.WaitGroup
	got := make([][]lv.VersionID, writers)
	for i := range writers {
		wg.Go(func() {
			for n := range writes {
				edits := []lv.Edit{saving("shared", fmt.Sprint(i, " ", n)), saving(fmt.Sprint("own ", i), fmt.Sprint(n))}
				versions, err := t.Write(t.Context(), pages, edits, ann)
				if !assert.NoError(t, err) {
					return
				}
				got[i] = append(got[i], ids(versions)...)
			}
		})
	}
	wg.Wait()
	for _, ids := range got {
		require.True(t, slices.IsSorted(ids), "ids rise for everybody")
	}
	var all []lv.VersionID
	for _, v := range t.history(lv.Query{}) {
		all = append(all, v.ID)
	}
	slices.Reverse(all)
	require.Equal(t, slices.Sorted(slices.Values(slices.Concat(got...))), all, "every version is there, once")
	shared := t.history(lv.Query{Row: "shared"})
	require.Len(t, shared, writers*writes)
	require.Equal(t, shared[0].ID, t.row(lv.View{Working: true, Rows: []string{"shared"}}).Version, "the newest version is the working row")
}

func manyPublishers(t *storeTest) {
	const publishers, publications = 8, 20
	var versions []lv.Version
	for i := range publishers * publications {
		versions = append(versions, t.save("a", fmt.Sprint(i)))
	}
	var wg sync.WaitGroup
	for i := range publishers {
		wg.Go(func() {
			for n := range publications {
				_, err := t.PutRelease(t.Context(), pages, applied(lv.Production, to(versions[n*publishers+i])), ann)
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	at := lv.VersionID(0)
	var seq int64
	releases := t.releases(lv.Query{})
	require.Len(t, releases, len(versions))
	for _, r := range slices.Backward(releases) {
		require.Len(t, r.Changes, 1)
		require.Equal(t, at, r.Changes[0].From, "every release says what it has found")
		require.Greater(t, r.Seq, seq, "releases and events have one order")
		at, seq = r.Changes[0].To, r.Seq
	}
	require.Equal(t, at, t.row(lv.View{}).Version, "the last release is what production shows")
}

// one lets many try at once, of whom one may succeed; the others must get
// target.
func one(t *storeTest, target error, try func(i int) error) {
	t.Helper()
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if err := try(i); err == nil {
				won.Add(1)
			} else {
				assert.ErrorIs(t, err, target)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, won.Load(), "one of those who try at once succeeds")
}

func oneOfMany(t *storeTest) {
	v := t.save("a", "1")
	t.publish(lv.Production, "a")
	var next []lv.Version
	for i := range 16 {
		next = append(next, t.save("a", fmt.Sprint("next ", i)))
	}
	one(t, lv.ErrConflict, func(i int) error {
		_, err := t.PutRelease(t.Context(), pages, applied(lv.Production, expecting(to(next[i]), v.ID)), ann)
		return err
	})
	plan := t.put(draft(to(v)))
	one(t, lv.ErrStale, func(i int) error {
		mine := plan
		mine.Approver = fmt.Sprint(i)
		_, err := t.PutRelease(t.Context(), pages, mine, ann)
		return err
	})
	plan = nth(t, 0, t.releases(lv.Query{State: lv.ReleaseDraft}))
	plan.State = lv.ReleaseApplied
	one(t, lv.ErrTooLate, func(int) error {
		_, err := t.PutRelease(t.Context(), pages, plan, ann)
		return err
	})
	s := t.putStrategy(strategy(v))
	one(t, lv.ErrStale, func(i int) error {
		mine := s
		mine.Title = fmt.Sprint(i)
		_, err := t.PutStrategy(t.Context(), pages, mine, ann)
		return err
	})
}

func oneOfManyRequests(t *storeTest) {
	t.save("a", "1")
	before := len(t.log())
	by := lv.By{Actor: "ann", RequestID: "save"}
	publishing := lv.By{Actor: "ann", RequestID: "publish"}
	var mu sync.Mutex
	answers := make(map[lv.VersionID]bool)
	releases := make(map[int64]bool)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			versions, err := t.Write(t.Context(), pages, []lv.Edit{saving("a", "2"), saving("a", "3")}, by)
			if !assert.NoError(t, err) {
				return
			}
			r, err := t.PutRelease(t.Context(), pages, applied(green, working("a")...), publishing)
			assert.NoError(t, err)
			mu.Lock()
			defer mu.Unlock()
			answers[versions[0].ID], releases[r.ID] = true, true
		})
	}
	wg.Wait()
	require.Len(t, answers, 1, "all who ask get one answer")
	require.Len(t, releases, 1, "all who ask get one answer")
	require.Len(t, t.log(), before+2, "it is done once")
}

func readersSeeWhole(t *storeTest) {
	rows := make([]string, 20)
	for i := range rows {
		rows[i] = fmt.Sprintf("row %02d", i)
	}
	saveAll := func(name string) {
		var edits []lv.Edit
		for _, row := range rows {
			edits = append(edits, saving(row, name))
		}
		t.write(edits...)
	}
	saveAll("0")
	t.publish(lv.Production, rows...)
	t.publish(green, rows...)

	var done atomic.Bool
	var reads, wg sync.WaitGroup
	for i := range 8 {
		v := []lv.View{{}, {Env: green}, {Working: true}, {Rows: rows}}[i%4]
		reads.Add(1)
		wg.Go(func() {
			for n := 0; !done.Load() || n < 3; n++ {
				seen := make(map[string]int)
				for r, err := range t.Rows(t.Context(), pages, v) {
					if !assert.NoError(t, err) {
						break
					}
					seen[string(r.Content)]++
				}
				assert.Len(t, seen, 1, "a release and a write are seen whole: %+v", v)
				if n == 2 {
					reads.Done()
				}
				time.Sleep(50 * time.Microsecond)
			}
		})
	}
	reads.Wait()
	for i := range 30 {
		saveAll(fmt.Sprint(i + 1))
		t.publish(lv.Production, rows...)
		t.publish(green, rows...)
		time.Sleep(100 * time.Microsecond)
	}
	done.Store(true)
	wg.Wait()
}

func twoHandlesRows(t *storeTest) {
	other := t.again()
	v1 := t.save("a", "1")
	t.publish(lv.Production, "a")
	t.publish(green, "a")
	plan := t.put(draft(to(v1)))
	s := t.putStrategy(strategy(v1))
	t.remove("a")
	require.Equal(t, readAll(t, t.VersionStore, pages), readAll(t, other, pages), "every handle sees the same")

	v3, err := other.Write(t.Context(), pages, []lv.Edit{saving("b", "1"), rolling(v1)}, ann)
	require.NoError(t, err)
	require.Greater(t, t.save("c", "1").ID, nth(t, 1, v3).ID, "ids rise for all handles")
	plan.State = lv.ReleaseApplied
	_, err = other.PutRelease(t.Context(), pages, plan, ann)
	require.NoError(t, err, "any handle applies a plan")
	_, err = t.PutRelease(t.Context(), pages, plan, ann)
	require.ErrorIs(t, err, lv.ErrTooLate, "another handle has applied it")
	_, err = other.PutStrategy(t.Context(), pages, s, ann)
	require.NoError(t, err, "any handle changes a strategy")
	_, err = t.PutStrategy(t.Context(), pages, s, ann)
	require.ErrorIs(t, err, lv.ErrStale, "another handle has changed it")
	require.Equal(t, readAll(t, t.VersionStore, pages), readAll(t, other, pages), "every handle sees the same")
	for _, info := range list(t, t.Tables(t.Context())) {
		requireTable(t, other, info.ID)
	}
}

func twoHandlesConflict(t *storeTest) {
	other := t.again()
	v := t.save("a", "1")
	stores := []lv.VersionStore{t.VersionStore, other}
	one(t, lv.ErrConflict, func(i int) error {
		_, err := stores[i%2].PutRelease(t.Context(), pages, applied(lv.Production, expecting(to(v), 0)), ann)
		if err == nil {
			return nil
		}
		var conflict *lv.ConflictError
		if assert.True(t, errors.As(err, &conflict), "%v", err) && assert.Len(t, conflict.Changes, 1) {
			assert.Equal(t, v.ID, conflict.Changes[0].From, "every handle sees the pointer")
		}
		return err
	})
	by := lv.By{Actor: "ann", RequestID: "1"}
	first, err := t.Write(t.Context(), pages, []lv.Edit{saving("a", "2")}, by)
	require.NoError(t, err)
	t.save("a", "3")
	again, err := other.Write(t.Context(), pages, []lv.Edit{saving("a", "2")}, by)
	require.NoError(t, err)
	require.Equal(t, ids(first), ids(again), "every handle knows the request")
}
