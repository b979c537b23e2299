package rollouttest_test

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/rollouttest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// The proof of a suite is an engine that is broken on purpose. A mutant breaks
// one promise; the case it names must catch it, and every case of a suite is
// named by a mutant.

type mutant = provetest.Broken[rollout.RunStore]

func TestEveryCaseOfRunStoreCatchesABrokenEngine(t *testing.T) {
	cases := func(m mutant) []suitetest.Case { return harness(m).Cases() }
	all := slices.Concat(recordMutants, valueMutants, runMutants, historyMutants, watchMutants, feed.Broken())
	sound := append(cases(mutant{}), fragileHarness("in no way").Cases()...)
	provetest.Prove(t, sound, append(provetest.Of(all, cases), fragileMutants()...))
}

func harness(m mutant) rollouttest.StoreHarness {
	h := m.Harness(func(events int, age time.Duration) rollout.RunStore {
		return memory.Open(memory.Config{Retention: storage.Retention{Events: events, Age: age}}).Rollouts()
	})
	return rollouttest.StoreHarness{Open: h.Open, Again: h.Again, Retain: h.Retain}
}

func TestAStoreBehindAWrapperThatDoesNothingPasses(t *testing.T) {
	rollouttest.RunStore(t, harness(mutant{Wrap: given(func(*rollout.Transition) {})}))
}

const (
	recordTrip    = "a run and its service come back as they were saved"
	recordSave    = "a save replaces what it has and nothing else"
	recordRevs    = "a save needs the stored revs"
	recordFence   = "a service is fenced by the greatest token that wrote"
	recordRefused = "what is refused leaves nothing"
)

var recordMutants = []mutant{
	{What: "makes a record of every service", Caught: "a new store has no runs and no services", Wrap: ofNew(func(t *rollout.Transition) {
		if t.Service == nil {
			t.Service = &rollout.Service{ID: t.Run.Service}
		}
	})},
	{What: "drops progress", Caught: recordTrip, Wrap: ofRun(func(r *rollout.Run) { r.Progress = nil })},
	{What: "keeps milliseconds", Caught: recordTrip, Wrap: ofRun(func(r *rollout.Run) {
		for i := range r.States {
			r.States[i].StartedAt = r.States[i].StartedAt.Truncate(time.Millisecond)
		}
	})},
	{What: "keeps a reason that is over", Caught: recordSave,
		Wrap: writing(func(s rollout.RunStore, write writeFunc, ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
			if t.Run != nil && t.Run.Reason == "" {
				old, _ := s.Get(ctx, t.Run.ID)
				t.Run.Reason = old.Reason
			}
			return write(ctx, t)
		})},
	{What: "takes empty for nothing", Caught: "what is empty is not what is not there", Wrap: ofRun(func(r *rollout.Run) {
		if len(r.Spec.Command) == 0 {
			r.Spec.Command = nil
		}
	})},
	{What: "saves over any rev of a run", Caught: recordRevs,
		Wrap: writing(func(s rollout.RunStore, write writeFunc, ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
			if t.Run != nil {
				if old, err := s.Get(ctx, t.Run.ID); err == nil {
					t.Run.Rev = old.Rev
				}
			}
			return write(ctx, t)
		})},
	{What: "saves over any rev of a service", Caught: recordRevs, Wrap: writing(anyServiceRev)},
	{What: "looks before it saves", Caught: "one of many saves of a rev wins",
		Wrap: writing(func(s rollout.RunStore, write writeFunc, ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
			if old, err := s.Get(ctx, t.Run.ID); err == nil {
				if old.Rev != t.Run.Rev {
					return rollout.Transition{}, rollout.ErrStale
				}
				time.Sleep(time.Millisecond)
				old, _ = s.Get(ctx, t.Run.ID)
				t.Run.Rev = old.Rev
				return anyServiceRev(s, write, ctx, t)
			}
			return write(ctx, t)
		})},
	{What: "saves for any token", Caught: recordFence, Wrap: forgiving(rollout.ErrStale)},
	{What: "fences records of services alone", Caught: recordFence,
		Wrap: ofRun(func(r *rollout.Run) { r.Token = max(r.Token, 9) })},
	{What: "has one fence for all services", Caught: recordFence, Wrap: func(s rollout.RunStore) rollout.RunStore {
		var mu sync.Mutex
		var greatest int64
		return writing(func(_ rollout.RunStore, write writeFunc, ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
			mu.Lock()
			defer mu.Unlock()
			if t.Run != nil && t.Run.Token < greatest {
				return rollout.Transition{}, rollout.ErrStale
			}
			answer, err := write(ctx, t)
			if err == nil && t.Run != nil {
				greatest = max(greatest, t.Run.Token)
			}
			return answer, err
		})(s)
	}},
	{What: "writes the events of what it refuses", Caught: recordRefused,
		Wrap: writing(func(s rollout.RunStore, write writeFunc, ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
			answer, err := write(ctx, t)
			if err != nil {
				_, _ = s.Save(ctx, rollout.Transition{Events: t.Events})
			}
			return answer, err
		})},
	{What: "keeps the service that it refuses", Caught: recordRefused,
		Wrap: writing(func(s rollout.RunStore, write writeFunc, ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
			answer, err := write(ctx, t)
			if err != nil && t.Service != nil {
				_, _ = s.Save(ctx, rollout.Transition{Service: t.Service})
			}
			return answer, err
		})},
}

func anyServiceRev(s rollout.RunStore, write writeFunc, ctx context.Context, t rollout.Transition) (rollout.Transition, error) { //nolint:revive // as of writing
	if t.Service != nil {
		old, _ := s.Service(ctx, t.Service.ID)
		t.Service.Rev = old.Rev
	}
	return write(ctx, t)
}

// ofNew changes what is created.
func ofNew(change func(*rollout.Transition)) wrap {
	return creating(func(s rollout.RunStore, ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
		if t.Run != nil {
			change(&t)
		}
		return s.Create(ctx, t)
	})
}

// asked changes what is asked of new runs.
func asked(change func(*rollout.Request)) wrap {
	return ofNew(func(t *rollout.Transition) { change(&t.Run.Request) })
}

const valueText = "texts come back byte by byte"

var valueMutants = []mutant{
	{What: "trims texts", Caught: valueText, Wrap: ofRun(func(r *rollout.Run) { r.Reason = strings.TrimSpace(r.Reason) })},
	{What: "replaces what is not UTF-8", Caught: valueText, Wrap: ofRun(func(r *rollout.Run) { r.Owner = strings.ToValidUTF8(r.Owner, "\ufffd") })},
	{What: "cuts texts", Caught: valueText, Wrap: ofRun(func(r *rollout.Run) { r.Reason = r.Reason[:min(len(r.Reason), 1<<16)] })},
	{What: "takes no number for zero", Caught: "numbers that are not finite come back", Wrap: ofRun(func(r *rollout.Run) {
		for _, s := range r.States {
			for _, m := range s.Measurements {
				maps.DeleteFunc(m.Values, func(_ string, v float64) bool { return math.IsNaN(v) })
			}
		}
	})},
	{What: "names services in any case", Caught: "services do not see each other", Wrap: func(s rollout.RunStore) rollout.RunStore {
		return &store{RunStore: s, service: func(ctx context.Context, id rollout.ServiceID) (rollout.Service, error) {
			return s.Service(ctx, rollout.ServiceID{Env: id.Env, Name: strings.ToLower(id.Name)})
		}}
	}},
	{What: "saves after the context", Caught: "a context that has ended writes and reads nothing",
		Wrap: writing(func(_ rollout.RunStore, write writeFunc, ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
			answer, err := write(context.WithoutCancel(ctx), t)
			return answer, errors.Join(err, ctx.Err())
		})},
	{What: "returns what it keeps", Caught: "what a call returns is the caller's to change", Wrap: func(s rollout.RunStore) rollout.RunStore {
		kept := map[string]rollout.Run{}
		return getting(func(s rollout.RunStore, ctx context.Context, id string) (rollout.Run, error) {
			r, err := s.Get(ctx, id)
			if old, ok := kept[id]; ok && old.Rev == r.Rev {
				return old, nil
			}
			kept[id] = r
			return r, err
		})(s)
	}},
	{What: "keeps what it was given", Caught: "what a call was given is the caller's to change", Wrap: func(s rollout.RunStore) rollout.RunStore {
		var mine rollout.Split
		return &store{
			RunStore: s,
			create: func(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
				mine = t.Run.Split
				return s.Create(ctx, t)
			},
			get: func(ctx context.Context, id string) (rollout.Run, error) {
				r, err := s.Get(ctx, id)
				r.Split = mine
				return r, err
			},
		}
	}},
}

const (
	runOnce    = "a run is created once"
	runRequest = "a request begins one run of a service"
	runLive    = "a service has one live run"
	runTimes   = "runs and services have the engine's times"
	runEnd     = "a run has an end exactly when it is done"
	runFirst   = "a run knows its first event"
	runUnknown = "what is unknown is not found"
)

var runMutants = []mutant{
	{What: "makes up an id", Caught: "a run needs an id", Wrap: ofNew(func(t *rollout.Transition) { t.Run.ID = cmp.Or(t.Run.ID, "new") })},
	{What: "writes another service along", Caught: "a service beside a run is the run's", Wrap: given(func(t *rollout.Transition) {
		if t.Run != nil && t.Service != nil {
			t.Service.ID = t.Run.Service
		}
	})},
	{What: "does not return the earlier run", Caught: runOnce,
		Wrap: creating(func(s rollout.RunStore, ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
			answer, err := s.Create(ctx, t)
			if err != nil {
				return rollout.Transition{}, err
			}
			return answer, nil
		})},
	{What: "is busy before it knows a run", Caught: runOnce,
		Wrap: creating(func(s rollout.RunStore, ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
			for r := range s.History(ctx, rollout.Query{Live: true}) {
				if t.Run != nil && r.Service == t.Run.Service {
					return rollout.Transition{}, rollout.ErrBusy
				}
			}
			return s.Create(ctx, t)
		})},
	{What: "lets a request begin two runs", Caught: runRequest, Wrap: asked(func(r *rollout.Request) { r.By.RequestID = "" })},
	{What: "takes requests in any case", Caught: runRequest, Wrap: asked(func(r *rollout.Request) { r.By.RequestID = strings.ToLower(r.By.RequestID) })},
	{What: "takes no request for one", Caught: runRequest, Wrap: asked(func(r *rollout.Request) { r.By.RequestID = cmp.Or(r.By.RequestID, "none") })},
	{What: "has two live runs", Caught: runLive, Wrap: forgiving(rollout.ErrBusy)},
	{What: "lets two runs live that were not created so", Caught: runLive,
		Wrap: func(s rollout.RunStore) rollout.RunStore {
			return &store{RunStore: s, save: func(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
				answer, err := s.Save(ctx, t)
				if errors.Is(err, rollout.ErrBusy) {
					return t, nil
				}
				return answer, err
			}}
		}},
	{What: "does not renew UpdatedAt", Caught: runTimes, Wrap: answeredRun(func(_ rollout.Run, a *rollout.Run) { a.UpdatedAt = a.CreatedAt })},
	{What: "takes the caller's times", Caught: runTimes, Wrap: answeredRun(func(r rollout.Run, a *rollout.Run) { a.CreatedAt = r.CreatedAt })},
	{What: "never ends a run", Caught: runEnd, Wrap: answeredRun(func(_ rollout.Run, a *rollout.Run) { a.EndedAt = time.Time{} })},
	{What: "ends a run again", Caught: runEnd, Wrap: answeredRun(func(_ rollout.Run, a *rollout.Run) {
		if a.State.Done() {
			a.EndedAt = a.UpdatedAt
		}
	})},
	{What: "makes up a first event", Caught: runFirst, Wrap: answeredRun(func(_ rollout.Run, a *rollout.Run) { a.Seq = max(a.Seq, 1) })},
	{What: "believes who writes", Caught: runFirst, Wrap: answeredRun(func(r rollout.Run, a *rollout.Run) {
		if r.Rev > 0 {
			a.Seq = r.Seq
		}
	})},
	{What: "changes the request", Caught: "a save never changes what a run is", Wrap: answeredRun(func(r rollout.Run, a *rollout.Run) { a.Request = r.Request })},
	{What: "finds ids in any case", Caught: runUnknown, Wrap: getting(func(s rollout.RunStore, ctx context.Context, id string) (rollout.Run, error) {
		return s.Get(ctx, strings.ToLower(id))
	})},
	{What: "creates what it is to save", Caught: runUnknown, Wrap: func(s rollout.RunStore) rollout.RunStore {
		return &store{RunStore: s, save: func(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
			answer, err := s.Save(ctx, t)
			if errors.Is(err, rollout.ErrNotFound) {
				return s.Create(ctx, t)
			}
			return answer, err
		}}
	}},
	{What: "keeps runs in the handle", Caught: "two handles see and overtake each other", Again: another},
	{What: "keeps events in the handle", Caught: "watch sees the events of other handles", Again: another},
}

func another(rollout.RunStore) rollout.RunStore { return memory.New().Rollouts() }

var watchMutants = []mutant{
	{What: "does not say the state", Caught: "watch yields what was written in order", Wrap: feed.Each(func(_ context.Context, _ int, e *rollout.Event) bool {
		e.State = ""
		return true
	})},
	{What: "numbers in twos", Caught: "watch yields what was written in order", Wrap: feed.Each(func(_ context.Context, _ int, e *rollout.Event) bool {
		e.Seq *= 2
		return true
	})},
	{What: "forgets who asked", Caught: "an event comes back as it was saved", Wrap: given(func(t *rollout.Transition) {
		for i := range t.Events {
			t.Events[i].Actor = ""
		}
	})},
	{What: "cannot save while it watches", Caught: "a watcher may use the store", Wrap: func(s rollout.RunStore) rollout.RunStore {
		var mu sync.Mutex
		readers := 0
		count := func(n int) { mu.Lock(); readers += n; mu.Unlock() }
		return &store{
			RunStore: s,
			save: func(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
				mu.Lock()
				defer mu.Unlock()
				if readers > 0 {
					return rollout.Transition{}, storage.ErrBusy
				}
				return s.Save(ctx, t)
			},
			watch: func(ctx context.Context, after int64) iter.Seq2[rollout.Event, error] {
				return func(yield func(rollout.Event, error) bool) {
					count(1)
					defer count(-1)
					s.Watch(ctx, after)(yield)
				}
			},
		}
	}},
}
