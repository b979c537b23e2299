package rollouttest_test

import (
	"context"
	"errors"
	"iter"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/rollout"
)

// store is a RunStore some of whose methods are replaced.
type store struct {
	rollout.RunStore
	create, save writeFunc
	get          func(ctx context.Context, id string) (rollout.Run, error)
	history      historyFunc
	service      func(ctx context.Context, id rollout.ServiceID) (rollout.Service, error)
	services     servicesFunc
	watch        provetest.WatchOf[rollout.Event]
}

type (
	writeFunc    = func(ctx context.Context, t rollout.Transition) (rollout.Transition, error)
	historyFunc  = func(ctx context.Context, q rollout.Query) iter.Seq2[rollout.Run, error]
	servicesFunc = func(ctx context.Context, q rollout.ServiceQuery) iter.Seq2[rollout.Service, error]
)

func (s *store) Create(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
	if s.create == nil {
		return s.RunStore.Create(ctx, t)
	}
	return s.create(ctx, t)
}

func (s *store) Save(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
	if s.save == nil {
		return s.RunStore.Save(ctx, t)
	}
	return s.save(ctx, t)
}

func (s *store) Get(ctx context.Context, id string) (rollout.Run, error) {
	if s.get == nil {
		return s.RunStore.Get(ctx, id)
	}
	return s.get(ctx, id)
}

func (s *store) History(ctx context.Context, q rollout.Query) iter.Seq2[rollout.Run, error] {
	if s.history == nil {
		return s.RunStore.History(ctx, q)
	}
	return s.history(ctx, q)
}

func (s *store) Service(ctx context.Context, id rollout.ServiceID) (rollout.Service, error) {
	if s.service == nil {
		return s.RunStore.Service(ctx, id)
	}
	return s.service(ctx, id)
}

func (s *store) Services(ctx context.Context, q rollout.ServiceQuery) iter.Seq2[rollout.Service, error] {
	if s.services == nil {
		return s.RunStore.Services(ctx, q)
	}
	return s.services(ctx, q)
}

func (s *store) Watch(ctx context.Context, after int64) iter.Seq2[rollout.Event, error] {
	if s.watch == nil {
		return s.RunStore.Watch(ctx, after)
	}
	return s.watch(ctx, after)
}

// feed breaks the Watch.
var feed = provetest.Feed[rollout.RunStore, rollout.Event]{
	Watch: rollout.RunStore.Watch,
	Bad: provetest.Bad(func(sound rollout.RunStore, watch provetest.WatchOf[rollout.Event]) rollout.RunStore {
		return &store{RunStore: sound, watch: watch}
	}),
	Compacted: rollout.ErrCompacted,
}

type wrap = func(rollout.RunStore) rollout.RunStore

// writing replaces both writes: do is called with the sound one.
func writing(do func(s rollout.RunStore, write writeFunc, ctx context.Context, t rollout.Transition) (rollout.Transition, error)) wrap {
	return func(s rollout.RunStore) rollout.RunStore {
		with := func(write writeFunc) writeFunc {
			return func(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
				return do(s, write, ctx, t.Clone())
			}
		}
		return &store{RunStore: s, create: with(s.Create), save: with(s.Save)}
	}
}

// given changes what is written.
func given(change func(*rollout.Transition)) wrap {
	return writing(func(_ rollout.RunStore, write writeFunc, ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
		change(&t)
		return write(ctx, t)
	})
}

// ofRun changes the run that is written.
func ofRun(change func(*rollout.Run)) wrap {
	return given(func(t *rollout.Transition) {
		if t.Run != nil {
			change(t.Run)
		}
	})
}

// answeredRun changes the run that a write returns.
func answeredRun(change func(given rollout.Run, answer *rollout.Run)) wrap {
	return writing(func(_ rollout.RunStore, write writeFunc, ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
		answer, err := write(ctx, t)
		if err == nil && t.Run != nil {
			change(*t.Run, answer.Run)
		}
		return answer, err
	})
}

// creating replaces Create.
func creating(do func(s rollout.RunStore, ctx context.Context, t rollout.Transition) (rollout.Transition, error)) wrap {
	return func(s rollout.RunStore) rollout.RunStore {
		return &store{RunStore: s, create: func(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
			return do(s, ctx, t.Clone())
		}}
	}
}

// getting replaces Get.
func getting(do func(s rollout.RunStore, ctx context.Context, id string) (rollout.Run, error)) wrap {
	return func(s rollout.RunStore) rollout.RunStore {
		return &store{RunStore: s, get: func(ctx context.Context, id string) (rollout.Run, error) { return do(s, ctx, id) }}
	}
}

// listing replaces History.
func listing(do func(s rollout.RunStore, ctx context.Context, q rollout.Query) iter.Seq2[rollout.Run, error]) wrap {
	return func(s rollout.RunStore) rollout.RunStore {
		return &store{RunStore: s, history: func(ctx context.Context, q rollout.Query) iter.Seq2[rollout.Run, error] { return do(s, ctx, q) }}
	}
}

// querying changes the question.
func querying(change func(*rollout.Query)) wrap {
	return listing(func(s rollout.RunStore, ctx context.Context, q rollout.Query) iter.Seq2[rollout.Run, error] {
		change(&q)
		return s.History(ctx, q)
	})
}

// listingServices replaces Services.
func listingServices(do func(s rollout.RunStore, ctx context.Context, q rollout.ServiceQuery) iter.Seq2[rollout.Service, error]) wrap {
	return func(s rollout.RunStore) rollout.RunStore {
		return &store{RunStore: s, services: func(ctx context.Context, q rollout.ServiceQuery) iter.Seq2[rollout.Service, error] {
			return do(s, ctx, q)
		}}
	}
}

// sorted lists all in another order.
func sorted[T any](list iter.Seq2[T, error], order func([]T)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var all []T
		for item, err := range list {
			if err != nil {
				yield(item, err)
				return
			}
			all = append(all, item)
		}
		order(all)
		for _, item := range all {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// forgiving answers what is refused with err as if it had been done.
func forgiving(err error) wrap {
	return writing(func(_ rollout.RunStore, write writeFunc, ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
		answer, got := write(ctx, t)
		if errors.Is(got, err) {
			return t, nil
		}
		return answer, got
	})
}
