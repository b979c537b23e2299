package lvtest_test

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
)

const (
	strategyReturns  = "a strategy comes back as it was written"
	strategyReplaced = "a strategy is replaced by its rev"
	strategyTargets  = "a strategy needs a version of the table"
	strategyOrder    = "strategies come in the order in which they are tried"
	strategyDeleted  = "a deleted strategy is gone"
)

// showing changes what PutStrategy is given.
func showing(change func(s lv.VersionStore, t lv.TableID, st *lv.Strategy)) breaking {
	return badStrategy(func(s lv.VersionStore) strategyFunc {
		return func(ctx context.Context, t lv.TableID, st lv.Strategy, by lv.By) (lv.Strategy, error) {
			change(s, t, &st)
			return s.PutStrategy(ctx, t, st, by)
		}
	})
}

// forgivingStrategy does nothing instead of returning an error.
func forgivingStrategy(target error) breaking {
	return badStrategy(func(s lv.VersionStore) strategyFunc {
		return func(ctx context.Context, t lv.TableID, st lv.Strategy, by lv.By) (lv.Strategy, error) {
			answer, err := s.PutStrategy(ctx, t, st, by)
			if errors.Is(err, target) {
				return st, nil
			}
			return answer, err
		}
	})
}

// listingStrategies changes the strategies of a table.
func listingStrategies(change func([]lv.Strategy) []lv.Strategy) breaking {
	return eachTable(func(_ lv.VersionStore, i *lv.TableInfo) bool {
		i.Strategies = change(i.Strategies)
		return true
	})
}

var strategyMutants = []mutant{
	{What: "drops what it does not read", Caught: strategyReturns, Wrap: showing(func(_ lv.VersionStore, _ lv.TableID, st *lv.Strategy) { st.Extra = nil }), Unnoted: true},
	{What: "drops the value of a rule", Caught: strategyReturns, Wrap: showing(func(_ lv.VersionStore, _ lv.TableID, st *lv.Strategy) {
		st.Rules = slices.Clone(st.Rules)
		for i := range st.Rules {
			st.Rules[i].Value = nil
		}
	})},
	{What: "takes who saves it from the caller", Caught: strategyReturns, Wrap: badStrategy(func(s lv.VersionStore) strategyFunc {
		return func(ctx context.Context, t lv.TableID, st lv.Strategy, by lv.By) (lv.Strategy, error) {
			answer, err := s.PutStrategy(ctx, t, st, by)
			answer.By = st.By
			return answer, err
		}
	})},
	{What: "takes the row from the caller", Caught: strategyReturns, Wrap: badStrategy(func(s lv.VersionStore) strategyFunc {
		return func(ctx context.Context, t lv.TableID, st lv.Strategy, by lv.By) (lv.Strategy, error) {
			answer, err := s.PutStrategy(ctx, t, st, by)
			answer.Row = cmp.Or(st.Row, answer.Row)
			return answer, err
		}
	}), Unnoted: true},
	{What: "replaces any rev of a strategy", Caught: strategyReplaced, Wrap: showing(func(s lv.VersionStore, t lv.TableID, st *lv.Strategy) {
		for _, info := range items(s.Tables(context.Background(), t)) {
			for _, old := range info.Strategies {
				if old.ID == st.ID {
					st.Rev = old.Rev
				}
			}
		}
	})},
	{What: "creates what it should replace", Caught: strategyReplaced, Wrap: badStrategy(func(s lv.VersionStore) strategyFunc {
		return func(ctx context.Context, t lv.TableID, st lv.Strategy, by lv.By) (lv.Strategy, error) {
			answer, err := s.PutStrategy(ctx, t, st, by)
			if errors.Is(err, lv.ErrNotFound) && st.ID != 0 && !st.Deleted {
				st.ID = 0
				return s.PutStrategy(ctx, t, st, by)
			}
			return answer, err
		}
	})},
	{What: "keeps the target", Caught: strategyReplaced, Wrap: showing(func(s lv.VersionStore, t lv.TableID, st *lv.Strategy) {
		for _, info := range items(s.Tables(context.Background(), t)) {
			for _, old := range info.Strategies {
				if old.ID == st.ID {
					st.Target = old.Target
				}
			}
		}
	})},
	{What: "shows any version", Caught: strategyTargets, Wrap: forgivingStrategy(lv.ErrNotFound)},
	{What: "tries the oldest first", Caught: strategyOrder, Wrap: listingStrategies(func(all []lv.Strategy) []lv.Strategy {
		slices.SortFunc(all, func(a, b lv.Strategy) int {
			return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.ID, b.ID))
		})
		return all
	})},
	{What: "tries the last changed first", Caught: strategyOrder, Wrap: listingStrategies(func(all []lv.Strategy) []lv.Strategy {
		slices.SortFunc(all, func(a, b lv.Strategy) int {
			return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(b.Seq, a.Seq))
		})
		return all
	})},
	{What: "lists no disabled strategies", Caught: strategyOrder, Wrap: listingStrategies(func(all []lv.Strategy) []lv.Strategy {
		return slices.DeleteFunc(all, func(s lv.Strategy) bool { return s.Disabled })
	}), Unnoted: true},
	{What: "disables what it should delete", Caught: strategyDeleted, Wrap: showing(func(_ lv.VersionStore, _ lv.TableID, st *lv.Strategy) {
		st.Disabled, st.Deleted = st.Disabled || st.Deleted, false
	})},
	{What: "brings a deleted strategy back", Caught: strategyDeleted, Wrap: forgivingStrategy(lv.ErrNotFound)},
	{What: "forgets requests for strategies", Caught: "a repeated strategy returns the first answer", Wrap: badStrategy(func(s lv.VersionStore) strategyFunc {
		return func(ctx context.Context, t lv.TableID, st lv.Strategy, by lv.By) (lv.Strategy, error) {
			by.RequestID = ""
			return s.PutStrategy(ctx, t, st, by)
		}
	}), Unnoted: true},
}

const (
	callEnded   = "a context that has ended writes and reads nothing"
	callResults = "what a call returns is the caller's to change"
	callGiven   = "what a call was given is the caller's to change"
	listAgain   = "a list can be left and read again"
	listSlowly  = "a list may be read slowly and is not disturbed by writes"
	listCut     = "a list that is cut short says why"
)

var callMutants = []mutant{
	{What: "writes after the context", Caught: callEnded, Unnoted: true, Wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			answer, err := s.Write(context.WithoutCancel(ctx), t, edits, by)
			return answer, errors.Join(err, ctx.Err())
		}
	})},
	{What: "releases after the context", Caught: callEnded, Unnoted: true, Wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			return s.PutRelease(context.WithoutCancel(ctx), t, r, by)
		}
	})},
	{What: "reads after the context", Caught: callEnded, Unnoted: true, Wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			return s.Rows(context.WithoutCancel(ctx), t, v)
		}
	})},
	{What: "returns the contents that it keeps", Caught: callResults, Unnoted: true, Wrap: sharesRows},
	{What: "returns the changes that it keeps", Caught: callResults, Unnoted: true, Wrap: sharesReleases},
	{What: "keeps the edits that it was given", Caught: callGiven, Unnoted: true, Wrap: keepsEdits},
	{What: "lists once", Caught: listAgain, Unnoted: true, Wrap: badVersions(func(s lv.VersionStore) versionsFunc {
		return func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
			return provetest.Once(s.Versions(ctx, t, q))
		}
	})},
	{What: "lists rows once", Caught: listAgain, Unnoted: true, Wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			return provetest.Once(s.Rows(ctx, t, v))
		}
	})},
	{What: "reads for five seconds at most", Caught: listSlowly, Unnoted: true, Wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			return func(yield func(lv.Row, error) bool) {
				ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
				defer cancel()
				s.Rows(ctx, t, v)(yield)
			}
		}
	})},
	{What: "cannot write while it lists", Caught: listSlowly, Unnoted: true, Wrap: exclusive},
	{What: "reads row by row", Caught: listSlowly, Unnoted: true, Wrap: badRows(rowByRow)},
	{What: "cuts a list short in silence", Caught: listCut, Unnoted: true, Wrap: badRows(func(s lv.VersionStore) rowsFunc {
		return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			return func(yield func(lv.Row, error) bool) {
				s.Rows(ctx, t, v)(func(r lv.Row, err error) bool { return err == nil && yield(r, nil) })
			}
		}
	})},
}

// sharesRows returns one slice for each content.
func sharesRows(s lv.VersionStore) lv.VersionStore {
	var mu sync.Mutex
	kept := make(map[lv.VersionID][]byte)
	return eachRow(func(_ lv.VersionStore, _ lv.TableID, _ lv.View, r *lv.Row) bool {
		mu.Lock()
		defer mu.Unlock()
		if kept[r.Version] == nil {
			kept[r.Version] = r.Content
		}
		r.Content = kept[r.Version]
		return true
	})(s)
}

// sharesReleases returns one slice for the changes of a release.
func sharesReleases(s lv.VersionStore) lv.VersionStore {
	kept := make(map[int64][]lv.Change)
	return badReleases(func(s lv.VersionStore) releasesFunc {
		return func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
			return provetest.Each(s.Releases(ctx, t, q), func(_ int, r *lv.Release) bool {
				if kept[r.ID] == nil {
					kept[r.ID] = r.Changes
				}
				r.Changes = kept[r.ID]
				return true
			})
		}
	})(s)
}

// keepsEdits shows the slices that Write was given.
func keepsEdits(s lv.VersionStore) lv.VersionStore {
	given := make(map[lv.VersionID][]byte)
	return &store{
		VersionStore: s,
		write: func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			answer, err := s.Write(ctx, t, edits, by)
			for i, v := range answer {
				given[v.ID] = edits[i].Content
			}
			return answer, err
		},
		rows: func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			return provetest.Each(s.Rows(ctx, t, v), func(_ int, r *lv.Row) bool {
				if given[r.Version] != nil {
					r.Content = given[r.Version]
				}
				return true
			})
		},
	}
}

// exclusive cannot be written while somebody reads rows or events.
func exclusive(s lv.VersionStore) lv.VersionStore {
	var reading atomic.Int64
	return &store{
		VersionStore: s,
		write: func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			if reading.Load() > 0 {
				return nil, storage.ErrBusy
			}
			return s.Write(ctx, t, edits, by)
		},
		rows: func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
			return provetest.Counted(&reading, s.Rows(ctx, t, v))
		},
		watch: func(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
			return provetest.Counted(&reading, s.Watch(ctx, after))
		},
	}
}

// rowByRow reads each row at a moment of its own.
func rowByRow(s lv.VersionStore) rowsFunc {
	return func(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
		if len(v.Rows) > 0 {
			return s.Rows(ctx, t, v)
		}
		return func(yield func(lv.Row, error) bool) {
			v := v
			for more := true; more; {
				more = false
				for r, err := range s.Rows(ctx, t, v) {
					if !yield(r, err) || err != nil {
						return
					}
					more, v.After = true, r.ID
					time.Sleep(10 * time.Microsecond)
					break
				}
			}
		}
	}
}

const (
	manyWrite    = "many writers leave one order of versions"
	manyPublish  = "many publishers leave one order of releases"
	oneSucceeds  = "one of many who expect the same succeeds"
	oneRequest   = "one of many does what a request asks"
	readersWhole = "readers see a release whole"
)

var manyMutants = []mutant{
	{What: "refuses who comes while another writes", Caught: manyWrite, Unnoted: true, Wrap: func(s lv.VersionStore) lv.VersionStore {
		var writing atomic.Bool
		return badWrite(func(s lv.VersionStore) writeFunc {
			return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
				if !writing.CompareAndSwap(false, true) {
					return nil, storage.ErrBusy
				}
				defer writing.Store(false)
				time.Sleep(time.Millisecond)
				return s.Write(ctx, t, edits, by)
			}
		})(s)
	}},
	{What: "says what was there before it began", Caught: manyPublish, Unnoted: true, Wrap: looksTooEarly},
	{What: "looks before it releases", Caught: oneSucceeds, Unnoted: true, Wrap: badRelease(looksFirst)},
	{What: "looks for a request before it writes", Caught: oneRequest, Unnoted: true, Wrap: badWrite(func(s lv.VersionStore) writeFunc {
		var requests sync.Map
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			if answer, ok := requests.Load(by.RequestID); ok && by.RequestID != "" {
				return answer.([]lv.Version), nil
			}
			time.Sleep(time.Millisecond)
			request := by.RequestID
			by.RequestID = ""
			answer, err := s.Write(ctx, t, edits, by)
			if err == nil {
				requests.Store(request, answer)
			}
			return answer, err
		}
	})},
	{What: "shows a release by and by", Caught: readersWhole, Unnoted: true, Wrap: badRows(rowByRow)},
	{What: "releases by and by", Caught: readersWhole, Unnoted: true, Wrap: badRelease(movesSingly)},
}

// looksTooEarly says of a release what was there before it was put.
func looksTooEarly(s lv.VersionStore) lv.VersionStore {
	var before sync.Map
	return &store{
		VersionStore: s,
		putRelease: func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			at := pointer(s, t, r.Env, r.Changes[0].Row)
			time.Sleep(time.Millisecond)
			answer, err := s.PutRelease(ctx, t, r, by)
			before.Store(answer.ID, at)
			return answer, err
		},
		releases: func(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
			return provetest.Each(s.Releases(ctx, t, q), func(_ int, r *lv.Release) bool {
				at, _ := before.Load(r.ID)
				r.Changes[0].From = at.(lv.VersionID)
				return true
			})
		},
	}
}

// looksFirst checks revs and expectations before it writes.
func looksFirst(s lv.VersionStore) releaseFunc {
	return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
		for _, old := range items(s.Releases(ctx, t, lv.Query{})) {
			if old.ID == r.ID && old.Rev != r.Rev {
				return r, lv.ErrStale
			}
		}
		for _, c := range r.Changes {
			if c.Expect != nil && pointer(s, t, r.Env, c.Row) != *c.Expect {
				return r, lv.ErrConflict
			}
		}
		time.Sleep(time.Millisecond)
		r.Changes = slices.Clone(r.Changes)
		expectsNothing(s, t, &r)
		return s.PutRelease(ctx, t, r, by)
	}
}
