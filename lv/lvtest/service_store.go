package lvtest

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// serviceStore is a lv.VersionStore made of a Service, so that histories can be
// played on it. What a Service has no verb for goes to the store beneath it, as
// if another process did it.
type serviceStore struct {
	lv.VersionStore
	service *lv.Service
	shared  *sharedStore
}

// sharedStore is what the services of one state share.
type sharedStore struct {
	mu     sync.Mutex
	latest map[lv.TableID]int64         // the last event that readers must see
	by     map[lv.TableID]*serviceStore // whose write it was; nil is the store's
}

// overServices is a harness whose stores are services. They play a tenth of the
// histories.
func (h Harness) overServices() Harness {
	over := Harness{RealTime: h.RealTime, Histories: max(1, cmp.Or(h.Histories, 10_000)/10)}
	over.Open = func(t testing.TB) lv.VersionStore {
		shared := &sharedStore{latest: map[lv.TableID]int64{}, by: map[lv.TableID]*serviceStore{}}
		return serve(t, h.Open(t), shared)
	}
	over.Again = func(t testing.TB, first lv.VersionStore) lv.VersionStore {
		s := first.(*serviceStore)
		if h.Again == nil {
			return serve(t, s.VersionStore, s.shared)
		}
		return serve(t, h.Again(t, s.VersionStore), s.shared)
	}
	return over
}

// serve runs a service over a store until the test ends.
func serve(t testing.TB, s lv.VersionStore, shared *sharedStore) *serviceStore {
	t.Helper()
	service := newService(t, lv.Config{VersionStore: unscheduled{s}, Approve: anybody})
	return &serviceStore{s, service, shared}
}

// unscheduled is a store of which Run applies nothing: a history says itself
// when a release is applied.
type unscheduled struct{ lv.VersionStore }

func (u unscheduled) Releases(ctx context.Context, id lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
	if q.State == lv.ReleaseScheduled {
		return func(func(lv.Release, error) bool) {}
	}
	return u.VersionStore.Releases(ctx, id, q)
}

func anybody(context.Context, lv.Release, lv.By) error { return nil }

// newService returns a service that runs until the test ends.
func newService(t testing.TB, c lv.Config) *lv.Service {
	t.Helper()
	c.Logger = slog.New(slog.DiscardHandler)
	service, err := lv.New(c)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- service.Run(context.Background()) }()
	t.Cleanup(func() {
		require.NoError(t, service.Close())
		require.ErrorIs(t, <-ended, lv.ErrClosed, "what runs ends with the service")
	})
	return service
}

func (s *serviceStore) table(id lv.TableID) *lv.Table { return s.service.Table(id.App, id.Schema) }

// wrote notes whose write was the last event of a table.
func (s *sharedStore) wrote(id lv.TableID, seq int64, by *serviceStore) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq > s.latest[id] {
		s.latest[id], s.by[id] = seq, by
	}
}

// Write is Save, Delete, Restore or Edit.
func (s *serviceStore) Write(ctx context.Context, id lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
	t := s.table(id)
	if len(edits) != 1 || edits[0].Op == lv.OpForget || edits[0].Expect != nil {
		return t.Edit(ctx, by, edits...)
	}
	var v lv.Version
	var err error
	switch e := edits[0]; e.Op {
	case lv.OpSave:
		v, err = t.Save(ctx, e.Row, e.Content, by)
	case lv.OpDelete:
		v, err = t.Delete(ctx, e.Row, by)
	default:
		v, err = t.Restore(ctx, e.Version, by)
	}
	if err != nil {
		return nil, err
	}
	return []lv.Version{v}, nil
}

// PutRelease is the verb that does what r asks for, or that of the store.
func (s *serviceStore) PutRelease(ctx context.Context, id lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
	verb := s.planning(ctx, id, r, by)
	if r.ID == 0 {
		verb = s.releasing(ctx, id, r, by)
	}
	writer := s
	if verb == nil {
		writer, verb = nil, func() (lv.Release, error) { return s.VersionStore.PutRelease(ctx, id, r, by) }
	}
	answer, err := verb()
	if errors.Is(err, errSuperseded) {
		writer = nil
		answer, err = s.VersionStore.PutRelease(ctx, id, r, by)
	}
	s.shared.wrote(id, answer.Seq, writer)
	return strip(answer), err
}

// strip leaves out what a verb says of a release beyond what a history asked.
func strip(r lv.Release) lv.Release {
	r.Approver, r.At = "", time.Time{}
	return r
}

// errSuperseded is the ErrStale of a deletion that Table.Release refuses.
var errSuperseded = errors.New("lvtest: the row has been saved again")

// releasing returns the verb that makes a release, or nil if there is none.
func (s *serviceStore) releasing(ctx context.Context, id lv.TableID, r lv.Release, by lv.By) func() (lv.Release, error) {
	t := s.table(id)
	all := func(is func(lv.Change) bool) bool {
		return !slices.ContainsFunc(r.Changes, func(c lv.Change) bool { return !is(c) })
	}
	var rows []string
	var versions []lv.VersionID
	for _, c := range r.Changes {
		rows, versions = append(rows, c.Row), append(versions, c.To)
	}
	switch {
	case r.State == lv.ReleaseDraft:
		if all(func(c lv.Change) bool { return c.Expect != nil }) {
			return func() (lv.Release, error) { return t.Draft(ctx, r, by) }
		}
	case r.Reverts != 0:
		return func() (lv.Release, error) { return t.Revert(ctx, r.Reverts, by) }
	case all(func(c lv.Change) bool { return c.Working }):
		return func() (lv.Release, error) { return t.Publish(ctx, r.Env, by, rows...) }
	case r.Env != lv.Production && all(func(c lv.Change) bool { return c.To == 0 && c.Expect == nil }):
		return func() (lv.Release, error) { return t.Reset(ctx, r.Env, by, rows...) }
	case all(func(c lv.Change) bool { return c.Expect == nil && s.isOf(ctx, id, c) }):
		return func() (lv.Release, error) {
			answer, err := t.Release(ctx, r.Env, by, versions...)
			if errors.Is(err, lv.ErrStale) {
				err = errSuperseded
			}
			return answer, err
		}
	}
	return nil
}

// isOf reports whether a change names a version of its row.
func (s *serviceStore) isOf(ctx context.Context, id lv.TableID, c lv.Change) bool {
	for v, err := range s.VersionStore.Versions(ctx, id, lv.Query{Row: c.Row, ID: int64(c.To)}) {
		return err == nil && v.ID == c.To
	}
	return false
}

// planning returns the verb that brings a plan further, or nil.
func (s *serviceStore) planning(ctx context.Context, id lv.TableID, r lv.Release, by lv.By) func() (lv.Release, error) {
	t := s.table(id)
	old := lv.Release{}
	for found := range s.VersionStore.Releases(ctx, id, lv.Query{ID: r.ID}) {
		old = found
		break
	}
	if old.ID != r.ID || old.Rev != r.Rev {
		return nil
	}
	switch [2]lv.ReleaseState{old.State, r.State} {
	case [2]lv.ReleaseState{lv.ReleaseDraft, lv.ReleaseApproved}:
		return func() (lv.Release, error) { return t.Approve(ctx, r.ID, by) }
	case [2]lv.ReleaseState{lv.ReleaseApproved, lv.ReleaseScheduled}:
		return func() (lv.Release, error) {
			return t.Schedule(ctx, r.ID, time.Now().AddDate(1, 0, 0).Truncate(time.Millisecond), by)
		}
	case [2]lv.ReleaseState{lv.ReleaseApproved, lv.ReleaseApplied}, [2]lv.ReleaseState{lv.ReleaseScheduled, lv.ReleaseApplied}:
		return func() (lv.Release, error) { return t.Apply(ctx, r.ID, by) }
	}
	return nil
}

// PutStrategy is SaveStrategy.
func (s *serviceStore) PutStrategy(ctx context.Context, id lv.TableID, st lv.Strategy, by lv.By) (lv.Strategy, error) {
	put, writer := s.table(id).SaveStrategy, s
	if st.Deleted {
		writer, put = nil, func(ctx context.Context, st lv.Strategy, by lv.By) (lv.Strategy, error) {
			return s.VersionStore.PutStrategy(ctx, id, st, by)
		}
	}
	answer, err := put(ctx, st, by)
	s.shared.wrote(id, answer.Seq, writer)
	return answer, err
}

// Rows is Table.Rows, once it has seen what others wrote.
func (s *serviceStore) Rows(ctx context.Context, id lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	return func(yield func(lv.Row, error) bool) {
		s.shared.mu.Lock()
		seq, mine := s.shared.latest[id], s.shared.by[id] == s
		s.shared.mu.Unlock()
		for range 5000 {
			if seen, err := s.table(id).Seq(ctx); mine || err != nil || seen >= seq {
				break
			}
			time.Sleep(time.Millisecond)
		}
		s.table(id).Rows(ctx, v)(yield)
	}
}

// Versions is Table.History.
func (s *serviceStore) Versions(ctx context.Context, id lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
	return s.table(id).History(ctx, q)
}

// Releases is Table.Releases, but for what is hidden from the service.
func (s *serviceStore) Releases(ctx context.Context, id lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
	releases := s.table(id).Releases(ctx, q)
	if q.State == lv.ReleaseScheduled {
		releases = s.VersionStore.Releases(ctx, id, q)
	}
	return func(yield func(lv.Release, error) bool) {
		for r, err := range releases {
			if !yield(strip(r), err) {
				return
			}
		}
	}
}

// Tables is Service.Tables.
func (s *serviceStore) Tables(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
	return s.service.Tables(ctx, ids...)
}

// Watch is Service.Watch.
func (s *serviceStore) Watch(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
	return s.service.Watch(ctx, after)
}
