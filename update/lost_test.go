package update_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/locktest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

// TestARunWhoseLeaseIsLostIsTakenUpAgainWhateverIsInTheWay is about a process that
// loses its lease, as one does that is stopped for a while, while it is the
// only one there is: what it works on is taken up again, whatever is in the way.
func TestARunWhoseLeaseIsLostIsTakenUpAgainWhateverIsInTheWay(t *testing.T) {
	type world struct {
		state *memory.DB
		wire  *locktest.Wire
	}
	tests := []struct {
		name  string
		often int // the lease is lost
		then  func(t *testing.T, w world)
	}{
		{"once", 1, func(*testing.T, world) {}},
		{"and lost again", 2, func(*testing.T, world) {}},
		{"while the engine is out of reach", 1, func(_ *testing.T, w world) {
			w.wire.Set(locktest.ErrCut, nil, 0)
			time.AfterFunc(10*time.Minute, func() { w.wire.Set(nil, nil, 0) })
		}},
		{"and the item held by somebody who does not update", 1, func(t *testing.T, w world) {
			_, err := w.state.Locker().Acquire(t.Context(), lease.Item("update", "core"), "somebody", time.Hour)
			require.NoError(t, err)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := world{state: memory.New()}
				w.wire = &locktest.Wire{Locker: w.state.Locker()}
				begun := make(chan int64, 10)
				slow := update.Step{Name: "slow", Do: func(ctx context.Context, task *update.Task) error {
					begun <- task.Run.Token
					select {
					case <-ctx.Done():
						return context.Cause(ctx)
					case <-time.After(ttl / 2):
						return nil
					}
				}}
				u, err := update.New(update.Config{Locker: w.wire, Journal: w.state.Journal(), Packages: []update.Package{app(slow)}})
				require.NoError(t, err)
				defer u.Close()
				type outcome struct {
					run update.Run
					err error
				}
				ended := make(chan outcome)
				go func() {
					ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
					defer cancel()
					run, err := u.Update(ctx, ask)
					ended <- outcome{run, err}
				}()
				for range tt.often {
					var token int64
					select {
					case token = <-begun:
					case got := <-ended:
						require.NoError(t, got.err)
					}
					held, err := w.state.Locker().Holder(t.Context(), lease.Item("update", "core"))
					require.NoError(t, err)
					require.Equal(t, token, held.Token)
					require.NoError(t, w.state.Locker().Release(t.Context(), held))
					tt.then(t, w)
				}
				got := <-ended
				require.NoError(t, got.err)
				require.Equal(t, update.StateSucceeded, got.run.State)
			})
		})
	}
}

func TestAnUpdaterThatIsClosedTakesNothingUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		step := update.Step{Name: "slow", Do: func(ctx context.Context, _ *update.Task) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}}
		u := newUpdaterOn(t, state, app(step))
		run, err := u.Start(t.Context(), ask)
		require.NoError(t, err)
		held, err := state.Locker().Holder(t.Context(), lease.Item("update", "core"))
		require.NoError(t, err)
		require.NoError(t, state.Locker().Release(t.Context(), held))
		_, err = state.Locker().Acquire(t.Context(), lease.Item("update", "core"), "somebody", time.Hour)
		require.NoError(t, err)
		time.Sleep(10 * time.Minute)
		began := time.Now()
		require.NoError(t, u.Close())
		require.Less(t, time.Since(began), 6*time.Second)
		run, err = u.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.False(t, run.State.Done(), "it is left for Recover")
	})
}

// bereft is a Journal that somebody has replaced by an older one.
type bereft struct {
	update.Journal
	replaced atomic.Bool
}

func (b *bereft) Get(ctx context.Context, id string) (update.Run, error) {
	if b.replaced.Load() {
		return update.Run{}, update.ErrNotFound
	}
	return b.Journal.Get(ctx, id)
}

func (b *bereft) Save(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
	if b.replaced.Load() {
		return update.Run{}, update.ErrNotFound
	}
	return b.Journal.Save(ctx, r, events...)
}

func TestARunThatIsGoneFromTheJournalIsGivenUpAndThatIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state, log := memory.New(), new(bytes.Buffer)
		journal := &bereft{Journal: state.Journal()}
		slow := update.Step{Name: "slow", Do: func(ctx context.Context, _ *update.Task) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}}
		u, err := update.New(update.Config{Locker: state.Locker(), Journal: journal, Packages: []update.Package{app(slow)},
			Logger: slog.New(slog.NewTextHandler(log, nil))})
		require.NoError(t, err)
		_, err = u.Start(t.Context(), ask)
		require.NoError(t, err)
		journal.replaced.Store(true)
		held, err := state.Locker().Holder(t.Context(), lease.Item("update", "core"))
		require.NoError(t, err)
		require.NoError(t, state.Locker().Release(t.Context(), held))
		time.Sleep(time.Hour)
		require.NoError(t, u.Close())
		require.Equal(t, 1, strings.Count(log.String(), "run is gone from the journal"))
		require.Less(t, strings.Count(log.String(), "\n"), 6)
	})
}
