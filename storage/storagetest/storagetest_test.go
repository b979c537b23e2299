package storagetest_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/storage/storagetest"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/update"
)

// handle is one of many on an engine in memory, which outlives it.
type handle struct {
	*storagetest.Faulty
	db       *memory.DB
	journal  journal
	versions versions
	close    context.CancelFunc
}

func (h *handle) Journal() update.Journal   { return &h.journal }
func (h *handle) Versions() lv.VersionStore { return &h.versions }
func (h *handle) Close() error              { h.close(); return nil }

// journal ends its watches with the handle.
type journal struct {
	update.Journal
	open context.Context
}

func (j *journal) Watch(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
	return whileOpen(ctx, j.open, func(ctx context.Context) iter.Seq2[update.Event, error] { return j.Journal.Watch(ctx, after) })
}

// versions ends its watches with the handle.
type versions struct {
	lv.VersionStore
	open context.Context
}

func (s *versions) Watch(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
	return whileOpen(ctx, s.open, func(ctx context.Context) iter.Seq2[lv.Event, error] { return s.VersionStore.Watch(ctx, after) })
}

// Firmware ends its watches with the handle.
func (h *handle) Firmware(name string) firmware.DeviceStore {
	return device{h.Faulty.Firmware(name), h.versions.open}
}

type device struct {
	firmware.DeviceStore
	open context.Context
}

func (d device) Watch(ctx context.Context, after int64) iter.Seq2[firmware.Event, error] {
	return whileOpen(ctx, d.open, func(ctx context.Context) iter.Seq2[firmware.Event, error] { return d.DeviceStore.Watch(ctx, after) })
}

// Rollouts ends its watches with the handle.
func (h *handle) Rollouts() rollout.RunStore { return rollouts{h.Faulty.Rollouts(), h.versions.open} }

type rollouts struct {
	rollout.RunStore
	open context.Context
}

func (r rollouts) Watch(ctx context.Context, after int64) iter.Seq2[rollout.Event, error] {
	return whileOpen(ctx, r.open, func(ctx context.Context) iter.Seq2[rollout.Event, error] { return r.RunStore.Watch(ctx, after) })
}

// SyncState ends its watches with the handle.
func (h *handle) SyncState(name string) cloudsync.FolderStore {
	return folder{h.Faulty.SyncState(name), h.versions.open}
}

type folder struct {
	cloudsync.FolderStore
	open context.Context
}

func (f folder) Watch(ctx context.Context, after int64) iter.Seq2[cloudsync.Event, error] {
	return whileOpen(ctx, f.open, func(ctx context.Context) iter.Seq2[cloudsync.Event, error] { return f.FolderStore.Watch(ctx, after) })
}

// whileOpen ends a list with a handle.
func whileOpen[T any](ctx, open context.Context, list func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(open, cancel)()
		for e, err := range list(ctx) {
			if err != nil && open.Err() != nil {
				err = storage.ErrClosed
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// handleOn returns a handle that answers with err once it is closed.
func handleOn(db *memory.DB, err error) *handle {
	open, closing := context.WithCancel(context.Background())
	f := storagetest.NewFaulty(db, func(_ string, call func() error) error {
		if open.Err() != nil {
			return err
		}
		return call()
	})
	return &handle{f, db, journal{f.Journal(), open}, versions{f.Versions(), open}, closing}
}

// harness is of handles: Run passes on it.
func harness() storagetest.Harness {
	return storagetest.Harness{
		Open: func(testing.TB) storage.Backend { return handleOn(memory.New(), storage.ErrClosed) },
		Again: func(_ testing.TB, first storage.Backend) storage.Backend {
			return handleOn(first.(*handle).db, storage.ErrClosed)
		},
		Retain: func(_ testing.TB, r storage.Retention) storage.Backend {
			return handleOn(memory.Open(memory.Config{Retention: r}), storage.ErrClosed)
		},
		Histories: 30,
	}
}

func TestAnEngineBehindAFaultThatDoesNothingPasses(t *testing.T) {
	storagetest.Run(t, harness())
}

// opening is the harness with another Open.
func opening(open func() storage.Backend) storagetest.Harness {
	h := harness()
	h.Open = func(testing.TB) storage.Backend { return open() }
	h.Again = func(_ testing.TB, first storage.Backend) storage.Backend { return first }
	return h
}

// changed is an engine some of whose methods are replaced.
type changed struct {
	storage.Backend
	stores func() update.Journal
	close  func() error
}

func (c *changed) Journal() update.Journal {
	if c.stores == nil {
		return c.Backend.Journal()
	}
	return c.stores()
}

func (c *changed) Close() error {
	if c.close == nil {
		return c.Backend.Close()
	}
	return c.close()
}

// closedOnce is an engine that cannot be closed twice.
func closedOnce() storage.Backend {
	b, closed := memory.New(), false
	return &changed{Backend: b, close: func() error {
		if closed {
			return storage.ErrClosed
		}
		closed = true
		return b.Close()
	}}
}

func TestEveryCaseCatchesABrokenEngine(t *testing.T) {
	forgetful := harness()
	forgetful.Again = func(testing.TB, storage.Backend) storage.Backend { return memory.New() }
	var mutants []provetest.Mutant
	for _, m := range []struct {
		what, caught string
		h            storagetest.Harness
	}{
		{"makes stores when asked", "an engine always returns the same stores", opening(func() storage.Backend {
			b := memory.New()
			return &changed{Backend: b, stores: func() update.Journal { return &journal{Journal: b.Journal()} }}
		})},
		{"shares one state", "an engine always returns the same stores", func() storagetest.Harness {
			b := memory.New()
			return opening(func() storage.Backend { return &changed{Backend: b, close: func() error { return nil }} })
		}()},
		{"cannot be closed twice", "an engine may be closed twice", opening(closedOnce)},
		{"works when closed", "a closed engine refuses every call", opening(func() storage.Backend {
			return &changed{Backend: memory.New(), close: func() error { return nil }}
		})},
		{"says another reason", "a closed engine refuses every call", opening(func() storage.Backend {
			return handleOn(memory.New(), update.ErrClosed)
		})},
		{"watches versions on", "closing an engine ends every watch", opening(func() storage.Backend {
			h := handleOn(memory.New(), storage.ErrClosed)
			h.versions.open = context.Background()
			return h
		})},
		{"writes rows when closed", "a closed engine refuses every call", opening(func() storage.Backend {
			h := handleOn(memory.New(), storage.ErrClosed)
			h.versions.VersionStore = h.db.Versions()
			return h
		})},
		{"watches on", "closing an engine ends every watch", opening(func() storage.Backend {
			return &changed{Backend: memory.New(), close: func() error { return nil }}
		})},
		{"breaks calls off", "a call that meets the closing is done or refused", opening(func() storage.Backend {
			return handleOn(memory.New(), context.Canceled)
		})},
		{"forgets what it acknowledged", "a call that meets the closing is done or refused", forgetful},
		{"leaves a goroutine", "a closed engine leaves no goroutine behind", opening(func() storage.Backend {
			go time.Sleep(time.Hour)
			return memory.New()
		})},
		{"forgets locks", "leases and tokens survive reopening", forgetful},
		{"forgets rows", "rows and what was released survive reopening", forgetful},
		{"locks for itself alone", "programs of a fleet update one at a time", forgetful},
		{"forgets devices", "devices survive reopening", forgetful},
		{"forgets services", "services and rollouts survive reopening", forgetful},
		{"forgets instances", "instances survive reopening", forgetful},
		{"forgets what is noted of folders", "what is noted of a folder survives reopening", forgetful},
		{"forgets remotes", "remotes survive reopening", forgetful},
		{"forgets runs", "runs and events survive reopening", forgetful},
	} {
		mutants = append(mutants, provetest.Mutant{What: m.what, Caught: m.caught, Cases: m.h.Cases()})
	}
	provetest.Prove(t, harness().Cases(), mutants)
}

func TestAFaultDropsRequestsAndReplies(t *testing.T) {
	ctx := t.Context()
	errLost := errors.New("lost")
	var seen []string
	fault := func(op string, call func() error) error { return call() }
	b := storagetest.NewFaulty(memory.New(), func(op string, call func() error) error {
		seen = append(seen, op)
		return fault(op, call)
	})

	fault = func(string, func() error) error { return errLost }
	_, err := b.Locker().Acquire(ctx, "request", "me", time.Hour)
	require.ErrorIs(t, err, errLost)
	for _, err := range b.Journal().History(ctx, update.Query{}) {
		require.ErrorIs(t, err, errLost)
	}

	fault = func(_ string, call func() error) error { return errors.Join(errLost, call()) }
	held, err := b.Locker().Acquire(ctx, "reply", "me", time.Hour)
	require.ErrorIs(t, err, errLost)
	require.Zero(t, held, "a reply that is lost says nothing")

	fault = func(_ string, call func() error) error { return call() }
	_, err = b.Locker().Holder(ctx, "request")
	require.ErrorIs(t, err, lease.ErrFree, "a request that is lost does nothing")
	_, err = b.Locker().Holder(ctx, "reply")
	require.NoError(t, err, "a call whose reply is lost was made")
	run, err := b.Journal().Create(ctx, update.Run{ID: "1"})
	require.NoError(t, err)
	again, err := b.Journal().Create(ctx, update.Run{ID: "1"})
	require.ErrorIs(t, err, update.ErrExists)
	require.Equal(t, run, again, "the engine's own error comes with its result")
	require.Equal(t, []string{"Acquire", "History", "Acquire", "Holder", "Holder", "Create", "Create"}, seen)
}
