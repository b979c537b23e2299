package storagetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/rollouttest"
	"github.com/upkeep-go/upkeep/storage"
)

var rolloutStore = store{
	domain: "rollout", table: "upkeep_rollout_run", key: "id",

	of:        func(b storage.Backend) any { return b.Rollouts() },
	run:       runRollouts,
	reopening: []backendCase{{"services and rollouts survive reopening", rolloutsSurvive}},

	write: func(ctx context.Context, b storage.Backend, id string) error {
		_, err := b.Rollouts().Create(ctx, aRollout(id))
		return err
	},
	has: func(ctx context.Context, b storage.Backend, id string) (bool, error) {
		_, err := b.Rollouts().Get(ctx, id)
		if errors.Is(err, rollout.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	},
	calls: func(ctx context.Context, b storage.Backend) []call {
		s := b.Rollouts()
		return []call{
			calling("Create", func() (rollout.Transition, error) { return s.Create(ctx, aRollout("another")) }),
			calling("Save", func() (rollout.Transition, error) { return s.Save(ctx, rollout.Transition{}) }),
			calling("Get", func() (rollout.Run, error) { return s.Get(ctx, "work 1") }),
			listing("History", s.History(ctx, rollout.Query{})),
			calling("Service", func() (rollout.Service, error) { return s.Service(ctx, rollout.ServiceID{Name: "work 1"}) }),
			listing("Services", s.Services(ctx, rollout.ServiceQuery{})),
			listing("Watch", s.Watch(ctx, 0)),
			listing("Watch", s.Watch(ctx, -1)),
		}
	},
	refused: func(t testing.TB, b storage.Backend) {
		kept, err := b.Rollouts().Create(t.Context(), aRollout("kept"))
		require.NoError(t, err)
		half := aRollout("half")
		half.Run.Service, half.Service.ID = kept.Run.Service, kept.Run.Service
		_, err = b.Rollouts().Create(t.Context(), half)
		require.ErrorIs(t, err, rollout.ErrBusy)
		half.Run.Request.By.RequestID = "for kept"
		_, err = b.Rollouts().Create(t.Context(), half)
		require.ErrorIs(t, err, rollout.ErrExists)
		kept.Service.Rev++
		_, err = b.Rollouts().Save(t.Context(), kept)
		require.ErrorIs(t, err, rollout.ErrStale)
	},
	work: func(t testing.TB, b storage.Backend, n int) {
		w, err := b.Rollouts().Create(t.Context(), aRollout(fmt.Sprint("work ", n)))
		require.NoError(t, err)
		require.EqualValues(t, 2*n-1, w.Run.Seq, "a run knows its first event")
		w.Run.State, w.Service.Generation = rollout.StateSucceeded, 2
		w.Events = []rollout.Event{{Kind: rollout.EventEnded, Run: w.Run.ID}}
		w, err = b.Rollouts().Save(t.Context(), w)
		require.NoError(t, err)
		require.EqualValues(t, 2, w.Service.Rev)
		require.Len(t, all(t, b.Rollouts().History(t.Context(), rollout.Query{})), n)
		require.Len(t, all(t, b.Rollouts().Services(t.Context(), rollout.ServiceQuery{})), n)
	},
	events: 2,
	watch: func(ctx context.Context, b storage.Backend, after int64) iter.Seq2[int64, error] {
		return seqs(b.Rollouts().Watch(ctx, after), func(e rollout.Event) int64 { return e.Seq })
	},
}

// instanceStore is of the same domain, so a case of tables has it twice.
var instanceStore = store{
	domain: rolloutStore.domain, table: rolloutStore.table, key: rolloutStore.key,

	of:        func(b storage.Backend) any { return b.Instances("host") },
	run:       runInstances,
	reopening: []backendCase{{"instances survive reopening", instancesSurvive}},

	write: func(ctx context.Context, b storage.Backend, id string) error {
		return b.Instances("host").Put(ctx, rollout.Instance{ID: id})
	},
	has: func(ctx context.Context, b storage.Backend, id string) (bool, error) {
		for i, err := range b.Instances("host").List(ctx) {
			if err != nil || i.ID == id {
				return err == nil, err
			}
		}
		return false, nil
	},
	calls: func(ctx context.Context, b storage.Backend) []call {
		s := b.Instances("host")
		return []call{
			{"Put", func() error { return s.Put(ctx, rollout.Instance{ID: "another"}) }},
			{"Remove", func() error { return s.Remove(ctx, "another") }},
			listing("List", s.List(ctx)),
		}
	},
	refused: func(t testing.TB, b storage.Backend) {
		require.NoError(t, b.Instances("host").Put(t.Context(), rollout.Instance{ID: "kept"}))
		require.ErrorIs(t, b.Instances("host").Put(t.Context(), rollout.Instance{}), rollout.ErrInvalid)
	},
	work: func(t testing.TB, b storage.Backend, n int) {
		s := b.Instances("host")
		require.NoError(t, s.Put(t.Context(), rollout.Instance{ID: fmt.Sprint("work ", n), Process: "1"}))
		require.NoError(t, s.Put(t.Context(), rollout.Instance{ID: "gone"}))
		require.NoError(t, s.Remove(t.Context(), "gone"))
		require.Len(t, all(t, s.List(t.Context())), n)
	},
}

func runRollouts(t *testing.T, h Harness) {
	s, first := harnessOf(h, storage.Backend.Rollouts)
	u := rollouttest.StoreHarness{Open: s.Open, Again: s.Again, Retain: s.Retain, RealTime: s.RealTime}
	if h.Damage != nil {
		u.Damage = func(t testing.TB, _ rollout.RunStore, run string, service rollout.ServiceID) {
			if run == "" {
				h.Damage(t, first(), `UPDATE upkeep_rollout_service SET detail = '{"held":' WHERE env = ? AND name = ?`, []byte(service.Env), []byte(service.Name))
				return
			}
			h.Damage(t, first(), `UPDATE upkeep_rollout_run SET detail = '{"from":' WHERE id = ?`, []byte(run))
			h.Damage(t, first(), `UPDATE upkeep_rollout_event SET record = '' WHERE run = ?`, []byte(run))
		}
		u.Newer = func(t testing.TB, _ rollout.RunStore, run string, service rollout.ServiceID) func() {
			runs := `UPDATE upkeep_rollout_run SET detail = `
			services := `UPDATE upkeep_rollout_service SET detail = `
			ofRun, ofService := []any{[]byte(run)}, []any{[]byte(service.Env), []byte(service.Name)}
			// At the top, in an object, and in the entries of a list.
			const grown = `replace(replace(replace('{"newer":{"list":[1,2]},' || substr(detail, 2),
				'"port":', '"newer_port":65536,"port":'), '"version":', '"newer_version":1.50,"version":'), '"state":', '"newer_state":"x","state":')`
			h.Damage(t, first(), runs+grown+` WHERE id = ?`, ofRun...)
			h.Damage(t, first(), services+grown+` WHERE env = ? AND name = ?`, ofService...)
			return func() {
				const kept = ` AND detail LIKE '%"newer":{"list":[1,2]}%' AND detail LIKE '%"newer_port":65536%' AND detail LIKE '%"newer_version":1.50%'`
				h.Damage(t, first(), runs+`detail WHERE id = ?`+kept+` AND detail LIKE '%"newer_state":"x"%'`, ofRun...)
				h.Damage(t, first(), services+`detail WHERE env = ? AND name = ?`+kept, ofService...)
			}
		}
	}
	t.Run("Rollouts", func(t *testing.T) { rollouttest.RunStore(t, u) })
}

func runInstances(t *testing.T, h Harness) {
	s, first := harnessOf(h, func(b storage.Backend) rollouttest.Hosts { return b })
	u := rollouttest.InstanceHarness{Open: s.Open, Again: s.Again, RealTime: s.RealTime}
	if h.Damage != nil {
		u.Damage = func(t testing.TB, _ rollouttest.Hosts, host, id string) {
			h.Damage(t, first(), `UPDATE upkeep_rollout_instance SET record = '' WHERE host = ? AND id = ?`, []byte(host), []byte(id))
		}
	}
	t.Run("Instances", func(t *testing.T) { rollouttest.RunInstances(t, u) })
}

// aRollout is a new run with its service and its first event.
func aRollout(id string) rollout.Transition {
	service := rollout.ServiceID{Name: id}
	r := rollout.Run{ID: id, Service: service, State: rollout.StateAccepted, Token: 5}
	r.Request.By.RequestID = "for " + id
	return rollout.Transition{
		Run: &r, Service: &rollout.Service{ID: service, Generation: 1, Token: 5},
		Events: []rollout.Event{{Kind: rollout.EventStarted, Run: id, Service: service}},
	}
}

func rolloutsSurvive(t testing.TB, h Harness) {
	first := h.open(t)
	s := first.Rollouts()
	one, err := s.Create(t.Context(), aRollout("1"))
	require.NoError(t, err)
	one.Run.State, one.Run.Reason, one.Service.Held, one.Events = rollout.StateRolledBack, "too slow", true, nil
	one, err = s.Save(t.Context(), one)
	require.NoError(t, err)
	_, err = s.Create(t.Context(), aRollout("2"))
	require.NoError(t, err)
	events := rolloutEvents(t, first, 2)

	b := h.reopen(t, first)
	s = b.Rollouts()
	run, err := s.Get(t.Context(), "1")
	require.NoError(t, err)
	require.Equal(t, *one.Run, run, "runs survive reopening")
	service, err := s.Service(t.Context(), one.Service.ID)
	require.NoError(t, err)
	require.Equal(t, *one.Service, service, "services survive reopening")
	require.Equal(t, events, rolloutEvents(t, b, 2), "events survive reopening")
	var ids []string
	for _, run := range all(t, s.History(t.Context(), rollout.Query{})) {
		ids = append(ids, run.ID)
	}
	require.Equal(t, []string{"2", "1"}, ids, "the order of runs survives reopening")
	late := one.Clone()
	late.Service.Token = 4
	_, err = s.Save(t.Context(), late)
	require.ErrorIs(t, err, rollout.ErrStale, "the token that has written survives reopening")
	third := aRollout("3")
	third.Run.Service, third.Service = rollout.ServiceID{Name: "2"}, nil
	_, err = s.Create(t.Context(), third)
	require.ErrorIs(t, err, rollout.ErrBusy, "the live run survives reopening")
	_, err = s.Create(t.Context(), aRollout("3"))
	require.NoError(t, err)
	require.EqualValues(t, 3, rolloutEvents(t, b, 3)[2].Seq, "Seq goes on through reopening")
}

// rolloutEvents returns the first n events, which must be there.
func rolloutEvents(t testing.TB, b storage.Backend, n int) []rollout.Event {
	t.Helper()
	return suitetest.Collect(t, n, func(ctx context.Context) iter.Seq2[rollout.Event, error] { return b.Rollouts().Watch(ctx, 0) })
}

func instancesSurvive(t testing.TB, h Harness) {
	first := h.open(t)
	i := rollout.Instance{ID: "1", Process: "10 20 30", Endpoint: "http://127.0.0.1:1", Spec: rollout.Spec{Command: []string{"web"}}}
	require.NoError(t, first.Instances("host").Put(t.Context(), i))
	b := h.reopen(t, first)
	require.Equal(t, []rollout.Instance{i}, all(t, b.Instances("host").List(t.Context())))
	require.Empty(t, all(t, b.Instances("other").List(t.Context())))
}

// Rollouts returns the RunStore behind the fault.
func (f *Faulty) Rollouts() rollout.RunStore { return faultyRollouts{f} }

type faultyRollouts struct{ *Faulty }

func (f faultyRollouts) Create(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
	return through(f.Faulty, "Create", func() (rollout.Transition, error) { return f.Backend.Rollouts().Create(ctx, t) })
}

func (f faultyRollouts) Save(ctx context.Context, t rollout.Transition) (rollout.Transition, error) {
	return through(f.Faulty, "Save", func() (rollout.Transition, error) { return f.Backend.Rollouts().Save(ctx, t) })
}

func (f faultyRollouts) Get(ctx context.Context, id string) (rollout.Run, error) {
	return through(f.Faulty, "Get", func() (rollout.Run, error) { return f.Backend.Rollouts().Get(ctx, id) })
}

func (f faultyRollouts) History(ctx context.Context, q rollout.Query) iter.Seq2[rollout.Run, error] {
	return list(f.Faulty, "History", f.Backend.Rollouts().History(ctx, q))
}

func (f faultyRollouts) Service(ctx context.Context, id rollout.ServiceID) (rollout.Service, error) {
	return through(f.Faulty, "Service", func() (rollout.Service, error) { return f.Backend.Rollouts().Service(ctx, id) })
}

func (f faultyRollouts) Services(ctx context.Context, q rollout.ServiceQuery) iter.Seq2[rollout.Service, error] {
	return list(f.Faulty, "Services", f.Backend.Rollouts().Services(ctx, q))
}

func (f faultyRollouts) Watch(ctx context.Context, after int64) iter.Seq2[rollout.Event, error] {
	return list(f.Faulty, "Watch", f.Backend.Rollouts().Watch(ctx, after))
}

// Instances returns the InstanceStore of a host behind the fault.
func (f *Faulty) Instances(host string) rollout.InstanceStore { return faultyInstances{f, host} }

type faultyInstances struct {
	*Faulty
	host string
}

func (f faultyInstances) behind() rollout.InstanceStore { return f.Backend.Instances(f.host) }

func (f faultyInstances) Put(ctx context.Context, i rollout.Instance) error {
	return f.fault("Put", func() error { return f.behind().Put(ctx, i) })
}

func (f faultyInstances) Remove(ctx context.Context, id string) error {
	return f.fault("Remove", func() error { return f.behind().Remove(ctx, id) })
}

func (f faultyInstances) List(ctx context.Context) iter.Seq2[rollout.Instance, error] {
	return list(f.Faulty, "List", f.behind().List(ctx))
}
