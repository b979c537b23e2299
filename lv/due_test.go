package lv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// due plans changes and has them applied after some time.
func (s site) due(after time.Duration, changes ...lv.Change) lv.Release {
	s.t.Helper()
	plan := s.plan(lv.Release{Changes: changes})
	s.approve(plan.ID)
	r, err := s.Schedule(context.Background(), plan.ID, time.Now().Add(after), bob)
	require.NoError(s.t, err)
	return r
}

// released returns the releases of all tables in the order in which they were
// applied.
func released(t *testing.T, store lv.VersionStore) (ids []int64) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel) // in a bubble: after all that is there
	for e, err := range store.Watch(ctx, 0) {
		if err != nil {
			break
		}
		if e.Kind == lv.EventReleased {
			ids = append(ids, e.Release)
		}
	}
	return ids
}

func TestPlansThatFallDueTogetherAreAppliedInOrderOfTheirTime(t *testing.T) {
	for name, scheduled := range map[string][]time.Duration{ // of the versions 0, 1, 2, in this order
		"after a time when nobody ran":    {time.Hour, 2 * time.Hour, 3 * time.Hour},
		"in one look":                     {time.Hour, time.Hour + time.Millisecond, time.Hour + 2*time.Millisecond},
		"at the same time":                {time.Hour, time.Hour, time.Hour},
		"long before they were scheduled": {-3 * time.Hour, -2 * time.Hour, -time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				var want []int64
				expect := lv.VersionID(0)
				for i, after := range scheduled {
					v := s.save("top", fmt.Sprint(i))
					want = append(want, s.due(after, lv.Change{To: v, Expect: &expect}).ID)
					expect = v
				}
				time.Sleep(4 * time.Hour)
				s.run()
				synctest.Wait()
				require.Equal(t, want, released(t, s.store))
				require.Equal(t, "top=2", s.shows(lv.View{}))
			})
		})
	}
}

func TestPlansOfAllTablesFallDueInOneOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New().Versions()
		var services []site
		for range 3 {
			services = append(services, serve(t, lv.Config{VersionStore: store}))
		}
		tables := []site{services[0], services[0], services[0]}
		for i, schema := range []string{"c", "a", "b"} {
			tables[i].Table = services[0].service.Table("app", schema)
		}
		const n = 30
		want := make([]int64, n)
		for i := range n {
			place := i * 7 % n // ids and times do not rise together
			table := tables[i%3]
			v := table.save("row", fmt.Sprint(i))
			want[place] = table.due(time.Hour+time.Duration(place)*time.Second, lv.Change{To: v, Expect: new(lv.Any)}).ID
		}
		var running sync.WaitGroup
		for _, s := range services[:2] {
			running.Go(func() { _ = s.service.Run(t.Context()) })
		}
		time.Sleep(time.Hour + 10*time.Second)
		require.Equal(t, want[:11], released(t, store))
		for _, s := range services {
			require.NoError(t, s.service.Close())
		}
		running.Wait()
		time.Sleep(time.Hour)
		serve(t, lv.Config{VersionStore: store}).run()
		synctest.Wait()
		require.Equal(t, want, released(t, store))
	})
}

// judged is a store that refuses some releases that are applied.
type judged struct {
	lv.VersionStore
	refuse func(lv.Release) error
}

func (j judged) PutRelease(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
	if r.State == lv.ReleaseApplied && j.refuse != nil {
		if err := j.refuse(r); err != nil {
			return lv.Release{}, err
		}
	}
	return j.VersionStore.PutRelease(ctx, t, r, by)
}

func TestAPlanThatFailsLetsTheLaterOnesHaveTheirTurn(t *testing.T) {
	for name, test := range map[string]struct {
		refuse func(tries int) error // the second of three
		want   []int
		state  lv.ReleaseState // of the second, once there was time enough
	}{
		"a conflict":             {func(int) error { return &lv.ConflictError{Changes: []lv.Change{{Row: "top"}}} }, []int{0, 2}, lv.ReleaseFailed},
		"a version that is gone": {func(int) error { return lv.ErrNotFound }, []int{0, 2}, lv.ReleaseFailed},
		"what passes keeps the order": {func(tries int) error {
			if tries < 4 {
				return errors.New("no space left")
			}
			return nil
		}, []int{0, 1, 2}, lv.ReleaseApplied},
		"what does not pass": {func(int) error { return errors.New("bad sector") }, []int{0, 2}, lv.ReleaseScheduled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bad int64
				tries := 0
				s := serve(t, lv.Config{VersionStore: judged{memory.New().Versions(), func(r lv.Release) error {
					if r.ID != bad {
						return nil
					}
					tries++
					return test.refuse(tries)
				}}})
				var plans []lv.Release
				for i := range 3 {
					plans = append(plans, s.due(time.Duration(i)*time.Minute, lv.Change{To: s.save("top", fmt.Sprint(i)), Expect: new(lv.Any)}))
				}
				bad = plans[1].ID
				time.Sleep(time.Hour)
				s.run()
				time.Sleep(time.Minute)
				var want []int64
				for _, i := range test.want {
					want = append(want, plans[i].ID)
				}
				require.Equal(t, want, released(t, s.store))
				require.Equal(t, test.state, s.stored(bad).State)
			})
		})
	}
}

func TestAPlanThatIsScheduledWhileOthersAreAppliedGetsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s site
		var meanwhile, late lv.Release
		store := judged{memory.New().Versions(), func(r lv.Release) error {
			if meanwhile.ID != 0 && late.ID == 0 { // the first is being applied
				var err error
				late, err = s.Schedule(context.Background(), meanwhile.ID, time.Now().Add(-90*time.Minute), bob)
				require.NoError(t, err)
			}
			return nil
		}}
		s = serve(t, lv.Config{VersionStore: &store})
		first := s.due(time.Minute, lv.Change{To: s.save("a", "1")})
		last := s.due(2*time.Hour, lv.Change{To: s.save("b", "1")})
		plan := s.plan(lv.Release{Changes: []lv.Change{{To: s.save("c", "1")}}})
		s.approve(plan.ID)
		meanwhile = plan
		time.Sleep(3 * time.Hour)
		s.run()
		synctest.Wait()
		require.Equal(t, []int64{first.ID, late.ID, last.ID}, released(t, store))
	})
}

func TestAPlanThatDoesNotPassIsTriedOnceUntilTheNextTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s site
		var bad, meanwhile int64
		var tries []time.Time
		s = serve(t, lv.Config{VersionStore: judged{memory.New().Versions(), func(r lv.Release) (err error) {
			if r.ID == bad {
				tries = append(tries, time.Now())
				return errors.New("bad sector")
			}
			if plan := meanwhile; plan != 0 { // all plans are read again
				meanwhile = 0
				_, err = s.Schedule(context.Background(), plan, time.Now().Add(-time.Minute), bob)
			}
			return err
		}}})
		bad = s.due(time.Minute, lv.Change{To: s.save("a", "1")}).ID
		s.due(2*time.Minute, lv.Change{To: s.save("b", "1")})
		meanwhile = s.plan(lv.Release{Changes: []lv.Change{{To: s.save("c", "1")}}}).ID
		s.approve(meanwhile)
		time.Sleep(time.Hour)
		s.run()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, "b=1 c=1", s.shows(lv.View{}))
		require.Len(t, slices.Compact(slices.Clone(tries)), len(tries))
	})
}

func TestACampaignIsPlannedWithItsEnd(t *testing.T) {
	for name, end := range map[string]func(begin lv.Release, old lv.VersionID) lv.Change{
		"after its begin": func(begin lv.Release, old lv.VersionID) lv.Change {
			return lv.Change{To: old, After: begin.ID}
		},
		"whatever is there": func(_ lv.Release, old lv.VersionID) lv.Change {
			return lv.Change{To: old, Expect: new(lv.Any)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				v1 := s.save("top", "1")
				s.publish(lv.Production, "top")
				v2 := s.save("top", "2")
				begin := s.due(time.Hour, lv.Change{To: v2})
				s.due(2*time.Hour, end(begin, v1))
				s.run()
				time.Sleep(90 * time.Minute)
				require.Equal(t, "top=2", s.shows(lv.View{}))
				time.Sleep(time.Hour)
				require.Equal(t, "top=1", s.shows(lv.View{}))
			})
		})
	}
}

func TestAPlanComesAfterOthersInEveryForm(t *testing.T) {
	s := newSite(t)
	v1 := s.save("a", "1")
	s.save("b", "1")
	gone := s.plan(lv.Release{Changes: []lv.Change{{Row: "a", To: 0}, {Row: "b", Working: true}}})
	again := s.plan(lv.Release{Changes: []lv.Change{{To: v1, After: gone.ID}}})
	require.Equal(t, lv.VersionID(0), *again.Changes[0].Expect, "it leaves nothing")
	require.Zero(t, again.Changes[0].After)
	last := s.plan(lv.Release{Changes: []lv.Change{{Row: "a", After: again.ID}, {Row: "b", After: gone.ID}}})
	require.Equal(t, v1, *last.Changes[0].Expect)
	any := s.plan(lv.Release{Changes: []lv.Change{{Row: "a", Working: true, Expect: new(lv.Any)}}})
	require.Nil(t, any.Changes[0].Expect)
	require.Nil(t, s.stored(any.ID).Changes[0].Expect)
	for _, id := range []int64{gone.ID, again.ID, last.ID} {
		s.approve(id)
		_, err := s.Apply(t.Context(), id, bob)
		require.NoError(t, err)
	}
	after := s.plan(lv.Release{Changes: []lv.Change{{To: v1, After: last.ID}}})
	require.Equal(t, lv.VersionID(0), *after.Changes[0].Expect, "of a release that is applied, too")
}

func TestWhatAPlanCannotComeAfter(t *testing.T) {
	s := newSite(t)
	v1 := s.save("a", "1")
	s.save("b", "1")
	other := s
	other.Table = s.service.Table("app", "other")
	other.save("a", "1")
	elsewhere := other.plan(lv.Release{Changes: []lv.Change{{Row: "a", Working: true}}})
	first := s.plan(lv.Release{Changes: []lv.Change{{To: v1}}})
	given := s.plan(lv.Release{Changes: []lv.Change{{To: v1}}})
	require.NoError(t, s.Cancel(t.Context(), given.ID, ada))
	for name, test := range map[string]struct {
		change lv.Change
		env    lv.Env
		want   error
	}{
		"none":                 {lv.Change{To: v1, After: 99}, "", lv.ErrNotFound},
		"a negative one":       {lv.Change{To: v1, After: -1}, "", lv.ErrNotFound},
		"one of another table": {lv.Change{To: v1, After: elsewhere.ID}, "", lv.ErrNotFound},
		"one of another row":   {lv.Change{Row: "b", Working: true, After: first.ID}, "", lv.ErrInvalid},
		"one of another env":   {lv.Change{To: v1, After: first.ID}, "g", lv.ErrInvalid},
		"one given up":         {lv.Change{To: v1, After: given.ID}, "", lv.ErrStale},
		"one and a version":    {lv.Change{To: v1, After: first.ID, Expect: &v1}, "", lv.ErrInvalid},
		"one and anything":     {lv.Change{To: v1, After: first.ID, Expect: new(lv.Any)}, "", lv.ErrInvalid},
	} {
		_, err := s.Draft(t.Context(), lv.Release{Env: test.env, Changes: []lv.Change{test.change}}, ada)
		require.ErrorIs(t, err, test.want, name)
	}
}

func TestAPlanWhosePredecessorIsGivenUpPublishesNothing(t *testing.T) {
	for name, state := range map[string]string{"cancelled": "cancelled", "failed": "failed", "not due yet": "scheduled"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				s := serve(t, lv.Config{Store: memory.New(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
				s.save("top", "1")
				s.publish(lv.Production, "top")
				begin := s.due(time.Hour, lv.Change{To: s.save("top", "2")})
				v3 := s.save("top", "3")
				next := s.due(2*time.Hour, lv.Change{To: v3, After: begin.ID})
				want := "top=1"
				switch name {
				case "cancelled":
					require.NoError(t, s.Cancel(t.Context(), begin.ID, ada))
				case "failed":
					s.save("top", "4")
					s.publish(lv.Production, "top")
					want = "top=4"
				default:
					_, err := s.Schedule(t.Context(), begin.ID, time.Now().Add(3*time.Hour), bob)
					require.NoError(t, err)
				}
				said := fmt.Sprintf("and not %d; release %d, which leaves", begin.Changes[0].To, begin.ID)
				if name != "failed" {
					_, err := s.Apply(t.Context(), next.ID, bob)
					require.ErrorIs(t, err, lv.ErrConflict)
					require.ErrorContains(t, err, said)
					require.ErrorContains(t, err, "is "+state)
				}
				s.run()
				time.Sleep(150 * time.Minute)
				require.Equal(t, want, s.shows(lv.View{}))
				require.Equal(t, lv.ReleaseFailed, s.stored(next.ID).State)
				synctest.Wait()
				require.Contains(t, log.String(), "is "+state)
			})
		})
	}
}

func TestAPlanThatExpectsWhatNeverIsIsRefused(t *testing.T) {
	service, err := lv.New(lv.Config{Store: memory.New(), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	pages, ann := service.Table("shop", "pages"), lv.By{Actor: "ann"}
	v, err := pages.Save(t.Context(), "home", []byte(`{}`), ann)
	require.NoError(t, err)
	for _, expect := range []lv.VersionID{-2, math.MinInt64} {
		_, err := pages.Draft(t.Context(), lv.Release{Changes: []lv.Change{{Row: "home", To: v.ID, Expect: &expect}}}, ann)
		require.ErrorIs(t, err, lv.ErrInvalid)
		require.ErrorContains(t, err, `"home"`)
	}
	for range pages.Releases(t.Context(), lv.Query{}) {
		require.Fail(t, "nothing is planned")
	}
}

func TestWhatIsDueIsAppliedByWhoeverStillRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		ctx, cancel := context.WithCancel(t.Context())
		for range 15 {
			go s.service.Run(ctx)
		}
		go s.service.Run(t.Context())
		synctest.Wait()
		s.due(time.Hour, lv.Change{To: s.save("top", "1")})
		synctest.Wait()
		cancel() // and with it, most likely, who has read what is scheduled
		time.Sleep(2 * time.Hour)
		require.Equal(t, "top=1", s.shows(lv.View{}))
	})
}

func TestAConflictIsNotExplainedByAReleaseOfAnotherEnvironment(t *testing.T) {
	s := newSite(t)
	s.save("a", "1")
	s.publish(lv.Production, "a")
	v2, v3 := s.save("a", "2"), s.save("a", "3")
	elsewhere := s.plan(lv.Release{Env: "g", Changes: []lv.Change{{To: v2}}})
	require.NoError(t, s.Cancel(t.Context(), elsewhere.ID, ada))
	release := s.plan(lv.Release{Changes: []lv.Change{{To: v3, Expect: &v2}}})
	s.approve(release.ID)
	_, err := s.Apply(t.Context(), release.ID, bob)
	require.ErrorIs(t, err, lv.ErrConflict)
	require.NotContains(t, err.Error(), "which leaves")
	here := s.plan(lv.Release{Changes: []lv.Change{{To: v2}}})
	require.NoError(t, s.Cancel(t.Context(), here.ID, ada))
	_, err = s.Apply(t.Context(), release.ID, bob)
	require.ErrorContains(t, err, fmt.Sprintf("release %d, which leaves", here.ID))
}
