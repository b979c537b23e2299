package update_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/locktest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

func TestARunDoesNothingAfterASleepThatItsLockDidNotOutlast(t *testing.T) {
	for name, act := range map[string]func(ctx context.Context, task *update.Task) error{
		"before the next step": func(context.Context, *update.Task) error { return nil },
		"before it undoes":     func(context.Context, *update.Task) error { return errors.New("no") },
		"before it saves": func(_ context.Context, task *update.Task) error {
			if err := task.Save(context.Background(), "data"); !errors.Is(err, lease.ErrLost) {
				return errors.New("saved")
			}
			return nil
		},
		"in the step, if it asks": func(ctx context.Context, _ *update.Task) error {
			if !errors.Is(context.Cause(ctx), lease.ErrLost) || ctx.Err() == nil {
				panic("the context of the step knows nothing")
			}
			return ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			locktest.Asleep(t, func(t *testing.T, l *locktest.Awake, sleep func(time.Duration)) {
				var c calls
				var other *lease.Held
				state := memory.New()
				a := c.step("a")
				a.Timeout = time.Hour
				a.Do = func(ctx context.Context, task *update.Task) error {
					if other != nil {
						return nil
					}
					sleep(5 * time.Minute)
					var err error
					other, err = lease.Hold(context.Background(), l, lease.Item("update", update.DefaultLock), lease.HoldConfig{})
					if err != nil {
						return err
					}
					return act(ctx, task)
				}
				u, err := update.New(update.Config{Locker: l, Journal: state.Journal(), Packages: []update.Package{app(a, c.step("b"))}})
				require.NoError(t, err)
				defer u.Close()
				run, err := u.Start(t.Context(), ask)
				require.NoError(t, err)
				time.Sleep(time.Minute)
				require.Empty(t, c.take(), "somebody else has the lock")
				now, err := u.Get(t.Context(), run.ID)
				require.NoError(t, err)
				require.EqualValues(t, 2, now.Rev, "created, and begun; not written to since")

				require.NoError(t, other.Release())
				require.NoError(t, u.Recover(t.Context()))
				run, err = u.Wait(t.Context(), run.ID)
				require.NoError(t, err)
				require.Equal(t, []string{"do b"}, c.take())
			})
		})
	}
}
