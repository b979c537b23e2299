package static_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/wiretest"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/static"
	"github.com/upkeep-go/upkeep/rollout/traffic"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// process is one of several that serve, each with a Deployer and a Router of
// its own, on one store.
type process struct {
	c      *rollout.Controller
	router *traffic.Router
	dead   *atomic.Bool // it can release no lease
	end    func()       // once
}

// mortal is the Locker of a process, which releases nothing when that is dead.
type mortal struct {
	lease.Locker
	dead *atomic.Bool
}

func (m mortal) Release(ctx context.Context, l lease.Lease) error {
	if m.dead.Load() {
		return errors.New("the process is dead")
	}
	return m.Locker.Release(ctx, l)
}

// begins begins a process, which ends with the test at the latest.
func begins(t *testing.T, db *memory.DB, network *wiretest.Network, wrap func(*static.Deployer) rollout.Deployer) *process {
	p := &process{router: traffic.New(traffic.Config{Transport: network.Transport(t), QueueTime: 50 * time.Millisecond}), dead: new(atomic.Bool)}
	addresses := static.New(static.Config{Transport: network.Transport(t)})
	config := rollout.Config{
		RunStore: db.Rollouts(), Locker: mortal{db.Locker(), p.dead}, Deployer: addresses, Router: p.router,
		Logger: slog.New(slog.DiscardHandler), Strategy: rollout.Strategy{Tolerance: rollout.Tolerance{Off: true}},
	}
	if wrap != nil {
		config.Deployer = wrap(addresses)
	}
	var err error
	p.c, err = rollout.New(config)
	require.NoError(t, err)
	ran, ended := make(chan error, 1), false
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ran <- p.c.Run(ctx) }()
	p.end = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		<-ran
		_ = p.c.Close()
		_ = addresses.Close()
		_ = p.router.Set(context.Background(), v1.Service, rollout.Table{Generation: 1 << 40}) // closes what is kept
	}
	t.Cleanup(func() { p.end(); time.Sleep(time.Second) })
	return p
}

// ask returns who answers a request to the process.
func (p *process) ask() string {
	w := httptest.NewRecorder()
	p.router.Handler(v1.Service).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusOK {
		return w.Result().Status
	}
	return w.Body.String()
}

// answers counts who answers 100 requests to the process.
func (p *process) answers() map[string]int {
	got := map[string]int{}
	for range 100 {
		got[p.ask()]++
	}
	return got
}

func (p *process) rolls(t *testing.T, version string, s *rollout.Strategy, addresses ...string) {
	t.Helper()
	_, err := p.c.Roll(t.Context(), rollout.Request{
		Service: v1.Service, Version: version, Spec: rollout.Spec{Addresses: addresses}, Strategy: s,
	})
	require.NoError(t, err)
}

func TestEveryProcessServesWhileOneOfThemRolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network wiretest.Network
		db, one, two := memory.New(), named(t, &network, "one"), named(t, &network, "two")
		a, b := begins(t, db, &network, nil), begins(t, db, &network, nil)
		a.rolls(t, "v1", nil, one)
		time.Sleep(2 * time.Second)
		require.Equal(t, map[string]int{"one": 100}, b.answers())

		run, err := a.c.Start(t.Context(), rollout.Request{
			Service: v1.Service, Version: "v2", Spec: rollout.Spec{Addresses: []string{two}},
			Strategy: &rollout.Strategy{Tolerance: rollout.Tolerance{Off: true}, Steps: []rollout.Step{
				{Percent: 50, Hold: 10 * time.Second}, {Percent: 100, Hold: 10 * time.Second, Manual: true},
			}},
		})
		require.NoError(t, err)
		waits := func(share string) {
			for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
				for _, p := range []*process{a, b} {
					require.Contains(t, []string{"one", "two"}, p.ask(), "nothing is lost meanwhile")
				}
				if st, err := a.c.Status(t.Context(), v1.Service); err == nil && st.Split.String() == share {
					break
				}
				require.Less(t, time.Since(begun), time.Minute)
			}
			time.Sleep(time.Second)
		}
		waits("v1 50 v2 50")
		half := map[string]int{"one": 50, "two": 50}
		require.Equal(t, half, a.answers())
		require.Equal(t, half, b.answers())
		third := begins(t, db, &network, nil) // in mid-run
		time.Sleep(time.Second)
		require.Equal(t, half, third.answers())

		waits("v2 100")
		late := begins(t, db, &network, nil)
		time.Sleep(time.Second)
		for _, p := range []*process{a, b, third, late} {
			require.Equal(t, map[string]int{"two": 100}, p.answers())
		}
		time.Sleep(30 * time.Second)
		require.NoError(t, b.c.Resume(t.Context(), run.ID, 1, rollout.By{Actor: "ann"}))
		run, err = a.c.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		time.Sleep(15 * time.Minute) // what was replaced is gone
		for _, p := range []*process{a, b, third, late} {
			require.Equal(t, map[string]int{"two": 100}, p.answers())
			st, err := p.c.Status(t.Context(), v1.Service)
			require.NoError(t, err)
			require.Len(t, st.Replicas, 1, "nothing else is in use")
		}
	})
}

func TestAProcessServesASecondAfterOneThatDiedInMidRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network wiretest.Network
		db, one, two := memory.New(), named(t, &network, "one"), named(t, &network, "two")
		first := begins(t, db, &network, nil)
		first.rolls(t, "v1", nil, one)
		run, err := first.c.Start(t.Context(), rollout.Request{Service: v1.Service, Version: "v2", Spec: rollout.Spec{Addresses: []string{two}}})
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		require.Equal(t, map[string]int{"one": 90, "two": 10}, first.answers())
		first.dead.Store(true)
		first.end()

		next := begins(t, db, &network, nil)
		time.Sleep(time.Second)
		require.Equal(t, map[string]int{"one": 90, "two": 10}, next.answers())
		run, err = next.c.Get(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, rollout.StateAnalysing, run.State)
		run, err = next.c.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, map[string]int{"two": 100}, next.answers())
	})
}

// lagging is a Deployer that sees a version late.
type lagging struct {
	*static.Deployer
	version string
	from    time.Time
}

func (l *lagging) Observe(ctx context.Context, s rollout.ServiceID) ([]rollout.Replica, error) {
	all, err := l.Deployer.Observe(ctx, s)
	var seen []rollout.Replica
	for _, r := range all {
		if r.Revision.Version != l.version || time.Now().After(l.from) {
			seen = append(seen, r)
		}
	}
	return seen, err
}

func (l *lagging) Changed(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	go func() {
		defer close(changed)
		timer := time.NewTimer(time.Until(l.from) + time.Millisecond)
		defer timer.Stop()
		own := l.Deployer.Changed(ctx)
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			case <-own:
			}
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}()
	return changed
}

func TestAProcessThatSeesTheNewRevisionLateServesTheOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network wiretest.Network
		db, one, two := memory.New(), named(t, &network, "one"), named(t, &network, "two")
		until := time.Now().Add(time.Minute)
		a := begins(t, db, &network, nil)
		b := begins(t, db, &network, func(d *static.Deployer) rollout.Deployer { return &lagging{d, "v2", until} })
		a.rolls(t, "v1", nil, one)
		_, err := a.c.Start(t.Context(), rollout.Request{
			Service: v1.Service, Version: "v2", Spec: rollout.Spec{Addresses: []string{two}},
			Strategy: &rollout.Strategy{Tolerance: rollout.Tolerance{Off: true}, Steps: []rollout.Step{
				{Percent: 100, Hold: 2 * time.Minute},
			}},
		})
		require.NoError(t, err)
		for time.Now().Before(until) {
			require.Equal(t, "one", b.ask())
			time.Sleep(100 * time.Millisecond)
		}
		require.Equal(t, "two", a.ask())
		time.Sleep(time.Second)
		require.Equal(t, map[string]int{"two": 100}, b.answers())
	})
}
