package rollout_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// strict takes what the router of package traffic takes.
type strict struct {
	*splitter
	router *traffic.Router
}

func (s strict) Set(ctx context.Context, id rollout.ServiceID, t rollout.Table) error {
	if err := s.router.Set(ctx, id, t); err != nil {
		return err
	}
	return s.splitter.Set(ctx, id, t)
}

func TestARollToAnEndpointThatNoRouterTakesGoesBack(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{
		"http://127.0.0.1:", "http://127.0.0.1:0", "http://127.0.0.1:70000", "http://127.0.0.1:+80", "http://a:80:80", "http://a/%zz", "http://a/%2",
		"http://[::1", "http://[127.0.0.1]", "http://::1", "http://[::1%25a]", "http://ann:secret@a", "http://a b", "http://a?b", "https://a",
		"http://" + strings.Repeat("a", 9000),
	} {
		passes(t, func(t *testing.T, w *world) {
			c := w.controller(func(c *rollout.Config) { c.Router = strict{w.router, traffic.New(traffic.Config{})} })
			w.tend(c)
			w.rolls(c, request("v1"))
			run, err := c.Start(t.Context(), request("v2"))
			require.NoError(t, err)
			w.until("it is there", func() bool { _, all := w.fleet.count("v2"); return all > 0 })
			w.fleet.change("v2", func(r *rollout.Replica) { r.Endpoint = endpoint })
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			run, err = c.Wait(ctx, run.ID)
			require.ErrorIs(t, err, rollout.ErrFailed, endpoint)
			require.Equal(t, rollout.StateRolledBack, run.State)
			require.Contains(t, run.Reason, "its endpoint is no http URL of host, port and path alone")
			for e, err := range w.db.Rollouts().Watch(ctx, 0) {
				require.NoError(t, err)
				require.NotContains(t, e.Message, "secret")
				if e.Kind == rollout.EventEnded && e.Run == run.ID {
					break
				}
			}
			require.Equal(t, "v1 100", w.router.table(web).Split.String())
		})
	}
}

// picky refuses a table in which a version has a share.
type picky struct {
	*splitter
	version string
}

func (p picky) Set(ctx context.Context, id rollout.ServiceID, t rollout.Table) error {
	if strings.Contains(t.Split.String(), p.version) {
		return errors.Join(rollout.ErrInvalid, errors.New("never"))
	}
	return p.splitter.Set(ctx, id, t)
}

func TestARunGoesBackFromASplitThatTheRouterRefuses(t *testing.T) {
	t.Parallel()
	passes(t, func(t *testing.T, w *world) {
		c := w.controller(func(c *rollout.Config) { c.Router = picky{w.router, "v2"} })
		w.tend(c)
		w.rolls(c, request("v1"))
		run, err := c.Start(t.Context(), request("v2"))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		run, err = c.Wait(ctx, run.ID)
		require.ErrorIs(t, err, rollout.ErrFailed)
		require.Equal(t, rollout.StateRolledBack, run.State)
		require.Contains(t, run.Reason, "the Router refuses the table")
		require.Equal(t, "v1 100", w.router.table(web).Split.String())
		require.Less(t, run.EndedAt.Sub(run.CreatedAt), 5*time.Minute)
	})
}

func TestAServiceThatNoRouterTakesIsCorrupt(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*rollout.Service){
		"a rule of nothing": func(s *rollout.Service) { s.Split.Rules = []rollout.Rule{{Version: "v1"}} },
		"a rule of two": func(s *rollout.Service) {
			s.Split.Rules = []rollout.Rule{{Version: "v1", Match: rollout.Match{Header: "A", Cookie: "b"}}}
		},
		"a sticky of nothing": func(s *rollout.Service) { s.Split.Sticky = &rollout.Sticky{} },
		"a path that is none": func(s *rollout.Service) { s.Path = "a;b" },
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, func(t *testing.T, w *world) {
				c := w.controller()
				w.tend(c)
				w.written("web", change)
				time.Sleep(10 * time.Second)
				_, err := c.Status(t.Context(), web)
				require.ErrorIs(t, err, rollout.ErrCorrupt)
				require.NotErrorIs(t, err, rollout.ErrInvalid)
				_, err = c.Start(t.Context(), request("v2"))
				require.ErrorIs(t, err, rollout.ErrCorrupt)
			})
		})
	}
}
