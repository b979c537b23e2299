package rollout_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/rollout"
)

func TestHistoriesThatBrokeAPromise(t *testing.T) {
	t.Parallel()
	for _, steps := range [][]historytest.Step{
		{{161, 4, 135}, {102, 249, 197}, {75, 163, 252}, {240, 88, 64}, {190, 15, 154}, {137, 166, 146}, {200, 247, 95}},
	} {
		passes(t, func(_ *testing.T, w *world) { newHistory(w).play(steps) })
	}
}

func TestRandomHistoriesBreakNoPromise(t *testing.T) {
	t.Parallel()
	play := func(steps []historytest.Step) (why string) {
		synctest.Test(t, func(t *testing.T) {
			why = historytest.Failure(t, func(t testing.TB) {
				w := newWorld(t)
				newHistory(w).play(steps)
				w.holds()
			})
		})
		return why
	}
	historytest.Run(t, historytest.Unraced(10_000), play, play)
}

// history is one service, and the processes that look after it, of which one at
// a time is alive, and others may be dead.
type history struct {
	w       *world
	p       *process
	c       *rollout.Controller
	end     func()
	version int
	told    map[string]int
}

func newHistory(w *world) *history {
	h := &history{w: w, told: map[string]int{}}
	h.begin()
	w.t.Cleanup(func() { h.end() })
	return h
}

// begin begins a process.
func (h *history) begin() {
	router := newSplitter()
	router.rate, router.bad = h.w.router.rate, h.w.router.bad
	h.w.router, h.p = router, &process{at: -1}
	h.c = h.w.controller(h.w.within(h.p, router), func(config *rollout.Config) {
		config.OnFinish = func(run rollout.Run) { h.told[run.ID]++ }
	})
	c, done := h.c, make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { defer close(done); _ = c.Run(ctx) }()
	h.end = func() { cancel(); <-done; _ = c.Close() }
}

func (h *history) last() (run rollout.Run) {
	for run := range h.w.db.Rollouts().History(context.Background(), rollout.Query{Service: web}) {
		return run
	}
	return run
}

// play does one step after the other, and then waits until all is quiet.
func (h *history) play(steps []historytest.Step) {
	for _, s := range steps {
		h.step(s)
		synctest.Wait()
	}
	h.w.fleet.heal()
	if h.p.ended() {
		h.end()
		h.begin()
	}
	for begun := time.Now(); ; time.Sleep(10 * time.Second) {
		run := h.last()
		if run.ID == "" || run.State.Done() {
			break
		}
		if run.State == rollout.StatePaused {
			_ = h.c.Promote(context.Background(), run.ID, ann)
		}
		require.Less(h.w.t, time.Since(begun), 3*time.Hour, "run %s is %s: %s", run.ID, run.State, run.Reason)
	}
	time.Sleep(3 * time.Minute)
	synctest.Wait()
	h.quiet()
}

// quiet checks that all is as the record says.
func (h *history) quiet() {
	t := h.w.t
	svc, err := h.w.db.Rollouts().Service(context.Background(), web)
	if err != nil {
		return
	}
	require.Empty(t, svc.Untold)
	for run := range h.w.db.Rollouts().History(context.Background(), rollout.Query{Service: web}) {
		require.NotZero(t, h.told[run.ID], "nobody was told of run %s", run.ID)
	}
	byRun := map[string]int{}
	h.w.fleet.mu.Lock()
	for _, r := range h.w.fleet.replicas {
		byRun[r.Revision.Run]++
	}
	h.w.fleet.mu.Unlock()
	sum := 0
	for _, rev := range svc.Revisions {
		require.False(t, rev.Replaced, "%s is kept for too long", rev.ID)
		require.Equal(t, rev.Replicas, byRun[rev.ID.Run], "replicas of %s", rev.ID)
		require.GreaterOrEqual(t, rev.Replicas, *rev.Spec.MinReplicas)
		delete(byRun, rev.ID.Run)
	}
	require.Empty(t, byRun, "replicas of nobody")
	for _, weight := range svc.Split.Weights {
		sum += weight.Percent
	}
	if len(svc.Revisions) == 0 {
		return
	}
	require.Equal(t, 100, sum)
	table := h.w.router.table(web)
	require.Equal(t, shares(svc.Split), shares(table.Split))
	require.Equal(t, svc.Generation, table.Generation)
}

func (h *history) step(s historytest.Step) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	run, n := h.last(), int(s[1])
	switch s[0] % 16 {
	case 0, 1, 2:
		h.start(ctx, s)
	case 3:
		_ = h.c.Cancel(ctx, run.ID, ann)
	case 4:
		_ = h.c.Pause(ctx, run.ID, ann)
	case 5:
		_ = h.c.Resume(ctx, run.ID, run.Step, ann)
	case 6:
		_ = h.c.Promote(ctx, run.ID, ann)
	case 7:
		h.p.kill()
		if n%2 == 0 {
			time.Sleep(time.Duration(n) * time.Second)
		}
		h.end()
		h.begin()
	case 8:
		h.w.fleet.kill(fmt.Sprintf("v%d", n%3), 1+n%2)
	case 9:
		h.w.fleet.mu.Lock()
		h.w.fleet.sick[fmt.Sprintf("v%d", n%3)] = "sick"
		h.w.fleet.mu.Unlock()
	case 10:
		h.w.fleet.heal()
	case 11:
		h.p.mu.Lock()
		h.p.at, h.p.after, h.p.fails = len(h.p.calls)+n%5, n%2 == 0, []error{errDown, rollout.ErrStale}[n%3%2]
		h.p.mu.Unlock()
	case 12:
		_, _ = h.c.Rollback(ctx, run.ID, ann)
	case 13:
		if err := h.c.Remove(ctx, web, []string{"v0", "v1", "v2", ""}[n%4], ann); err == nil {
			h.w.high = false
		}
	case 14:
		if n%2 == 0 {
			_ = h.c.Hold(ctx, web, ann)
		} else {
			_ = h.c.Open(ctx, web, ann)
		}
	case 15:
		time.Sleep(time.Duration(n*n) * 10 * time.Millisecond)
	}
	time.Sleep(time.Duration(s[2]%16) * 500 * time.Millisecond)
}

// start asks for a run of some kind.
func (h *history) start(ctx context.Context, s historytest.Step) {
	n := int(s[1])
	r := steps(fmt.Sprintf("v%d", n%3), 1+n/3%3, 10, 50, 100)
	r.Spec.Environment = map[string]string{"N": fmt.Sprint(h.version)}
	h.version++
	r.Strategy.KeepOld = []time.Duration{-1, time.Minute}[n/9%2]
	r.Strategy.Steps[n%3].Manual = n/18%2 == 0
	switch n / 36 % 4 {
	case 1:
		r.Strategy.Unavailable = 1
	case 2:
		r.Version = ""
	case 3:
		r.Share = new(int(s[2]) % 101)
	}
	r.Supersede = s[2]%5 == 0
	_, _ = h.c.Start(ctx, r)
}
