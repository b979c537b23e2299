package rollouttest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// brokenRouter is a Router some of whose methods are replaced.
type brokenRouter struct {
	rollout.Router
	set     func(ctx context.Context, s rollout.ServiceID, t rollout.Table) error
	get     func(ctx context.Context, s rollout.ServiceID) (rollout.Table, error)
	drain   func(ctx context.Context, s rollout.ServiceID, endpoints ...string) error
	stats   func(ctx context.Context, s rollout.ServiceID) (rollout.Stats, error)
	changed func(ctx context.Context) <-chan struct{}
}

func (b *brokenRouter) Set(ctx context.Context, s rollout.ServiceID, t rollout.Table) error {
	return b.set(ctx, s, t)
}

func (b *brokenRouter) Get(ctx context.Context, s rollout.ServiceID) (rollout.Table, error) {
	return b.get(ctx, s)
}

func (b *brokenRouter) Drain(ctx context.Context, s rollout.ServiceID, endpoints ...string) error {
	return b.drain(ctx, s, endpoints...)
}

func (b *brokenRouter) Stats(ctx context.Context, s rollout.ServiceID) (rollout.Stats, error) {
	return b.stats(ctx, s)
}

func (b *brokenRouter) Changed(ctx context.Context) <-chan struct{} { return b.changed(ctx) }

// badRouter is a Router that breaks replaces methods of.
func badRouter(what, caught string, breaks func(sound *traffic.Router, b *brokenRouter)) provetest.Mutant {
	h := routed(func(r *traffic.Router) rollout.Router {
		b := &brokenRouter{Router: r, set: r.Set, get: r.Get, drain: r.Drain, stats: r.Stats, changed: r.Changed}
		breaks(r, b)
		return b
	})
	return provetest.Mutant{What: what, Caught: caught, Cases: h.Cases()}
}

// setting is a Router that sets other tables than it should.
func setting(what, caught string, change func(t *rollout.Table)) provetest.Mutant {
	return badRouter(what, caught, func(r *traffic.Router, b *brokenRouter) {
		b.set = func(ctx context.Context, s rollout.ServiceID, t rollout.Table) error {
			t.Split.Weights = append([]rollout.Weight(nil), t.Split.Weights...)
			t.Split.Rules = append([]rollout.Rule(nil), t.Split.Rules...)
			endpoints := map[string][]string{}
			for run, urls := range t.Endpoints {
				endpoints[run] = urls
			}
			t.Endpoints = endpoints
			change(&t)
			return r.Set(ctx, s, t)
		}
	})
}

// unless makes an error nil.
func unless(err, kind error) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}

func TestEveryCaseOfRunRouterCatchesARouterThatIsBrokenOnPurpose(t *testing.T) {
	sound := routed(func(r *traffic.Router) rollout.Router { return r })
	provetest.Prove(t, sound.Cases(), append(brokenTables(), brokenCalls()...))
}

func brokenTables() []provetest.Mutant {
	generation := int64(0)
	return []provetest.Mutant{
		setting("begins anew with each table", "the same generation again changes nothing", func(t *rollout.Table) {
			generation++
			t.Generation = generation
		}),
		setting("is one percent off", "any hundred requests in a row are split exactly", func(t *rollout.Table) {
			t.Split.Weights[0].Percent++
			t.Split.Weights[1].Percent--
		}),
		setting("uses one endpoint", "endpoints take turns", func(t *rollout.Table) { t.Endpoints["a"] = t.Endpoints["a"][:1] }),
		setting("takes the greatest priority", "a rule comes before weights, the smallest priority first", func(t *rollout.Table) {
			for i := range t.Split.Rules {
				t.Split.Rules[i].Priority *= -1
			}
		}),
		setting("gives the share of the others to what a rule names", "a rule comes before weights, the smallest priority first",
			func(t *rollout.Table) { t.Split.Weights[0].Percent, t.Split.Weights[1].Percent = 99, 1 }),
		setting("knows no visitors", "a visitor stays with a revision", func(t *rollout.Table) { t.Split.Sticky = nil }),
		setting("deals visitors anew", "a share that grows moves visitors to it only", func(t *rollout.Table) {
			endpoints := map[string][]string{}
			for i := range t.Split.Weights {
				w := &t.Split.Weights[i]
				name := w.Run + string(rune('0'+t.Generation))
				endpoints[name] = t.Endpoints[w.Run]
				w.Run = name
			}
			t.Endpoints = endpoints
		}),
		setting("gives its cookie for every path", "a new visitor is given a cookie", func(t *rollout.Table) { t.Path = "" }),
		setting("holds nothing", "held requests wait", func(t *rollout.Table) { t.Held = false }),
		setting("sends elsewhere what is not ready", "requests wait for what is ready", func(t *rollout.Table) {
			if len(t.Endpoints["a"]) == 0 {
				t.Split.Weights[0].Percent, t.Split.Weights[1].Percent = 0, 100
			}
		}),
	}
}

func brokenCalls() []provetest.Mutant {
	type id = rollout.ServiceID
	return []provetest.Mutant{
		badRouter("sets a table a minute late", "a table is in force once it is set", func(r *traffic.Router, b *brokenRouter) {
			b.set = func(_ context.Context, s id, t rollout.Table) error {
				time.AfterFunc(time.Minute, func() { _ = r.Set(context.Background(), s, t) })
				return nil
			}
		}),
		badRouter("says nothing of an older generation", "an older generation is stale", func(r *traffic.Router, b *brokenRouter) {
			b.set = func(ctx context.Context, s id, t rollout.Table) error {
				return unless(r.Set(ctx, s, t), rollout.ErrStale)
			}
		}),
		badRouter("says nothing of an invalid table", "a table that Check refuses is invalid", func(r *traffic.Router, b *brokenRouter) {
			b.set = func(ctx context.Context, s id, t rollout.Table) error {
				return unless(r.Set(ctx, s, t), rollout.ErrInvalid)
			}
		}),
		badRouter("keeps what it is given", "what is set and returned is the caller's to change", func(_ *traffic.Router, b *brokenRouter) {
			var kept rollout.Table
			b.set = func(_ context.Context, _ id, t rollout.Table) error { kept = t; return nil }
			b.get = func(context.Context, id) (rollout.Table, error) { return kept, nil }
		}),
		badRouter("knows every service", "a service without a table is not found", func(r *traffic.Router, b *brokenRouter) {
			b.get = func(ctx context.Context, s id) (rollout.Table, error) {
				t, err := r.Get(ctx, s)
				return t, unless(err, rollout.ErrNotFound)
			}
		}),
		badRouter("knows no environments", "services do not know of each other", func(r *traffic.Router, b *brokenRouter) {
			b.set = func(ctx context.Context, s id, t rollout.Table) error {
				return r.Set(ctx, id{Env: "prod", Name: s.Name}, t)
			}
		}),
		badRouter("tells nobody", "who watches is told that a request waits", func(_ *traffic.Router, b *brokenRouter) {
			b.changed = func(ctx context.Context) <-chan struct{} {
				c := make(chan struct{})
				context.AfterFunc(ctx, func() { close(c) })
				return c
			}
		}),
		badRouter("closes nothing", "a watch is closed with its context", func(_ *traffic.Router, b *brokenRouter) {
			b.changed = func(context.Context) <-chan struct{} { return make(chan struct{}) }
		}),
		badRouter("does not wait", "drain waits for what is open", func(_ *traffic.Router, b *brokenRouter) {
			b.drain = func(context.Context, id, ...string) error { return nil }
		}),
		badRouter("has an error of its own", "drain ends with its context", func(r *traffic.Router, b *brokenRouter) {
			b.drain = func(ctx context.Context, s id, endpoints ...string) error {
				if r.Drain(ctx, s, endpoints...) != nil {
					return errors.New("too slow")
				}
				return nil
			}
		}),
		badRouter("keeps connections", "drain leaves no connection", func(r *traffic.Router, b *brokenRouter) {
			b.set = func(ctx context.Context, s id, t rollout.Table) error {
				if len(t.Endpoints) == 0 {
					return nil
				}
				return r.Set(ctx, s, t)
			}
			b.drain = func(context.Context, id, ...string) error { return nil }
		}),
		badRouter("drains anything", "what is in the table is not drained", func(r *traffic.Router, b *brokenRouter) {
			b.drain = func(ctx context.Context, s id, endpoints ...string) error {
				return unless(r.Drain(ctx, s, endpoints...), rollout.ErrStale)
			}
		}),
		badRouter("takes who leaves for an error", "what is answered, failed and left is counted", func(r *traffic.Router, b *brokenRouter) {
			b.stats = func(ctx context.Context, s id) (rollout.Stats, error) {
				out, err := r.Stats(ctx, s)
				for run, c := range out.Revisions {
					c.Errors += c.Cancelled
					out.Revisions[run] = c
				}
				return out, err
			}
		}),
		badRouter("forgets what it has open", "what is open is counted", func(r *traffic.Router, b *brokenRouter) {
			b.stats = func(ctx context.Context, s id) (rollout.Stats, error) {
				out, err := r.Stats(ctx, s)
				out.Open = 0
				return out, err
			}
		}),
		setting("leaves an endpoint to one revision", "revisions may have an endpoint in common", func(t *rollout.Table) {
			if a, b := t.Endpoints["a"], t.Endpoints["b"]; len(a) > 0 && len(b) > 0 && a[0] == b[0] {
				t.Endpoints["b"] = b[1:]
			}
		}),
		badRouter("has a gap between two tables", "no request is lost while tables change", func(r *traffic.Router, b *brokenRouter) {
			b.set = func(ctx context.Context, s id, t rollout.Table) error {
				gap := t
				gap.Endpoints = map[string][]string{"a": {"http://10.2.0.1:80"}, "b": {"http://10.2.0.2:80"}}
				if err := r.Set(ctx, s, gap); err != nil {
					return err
				}
				time.Sleep(2 * time.Millisecond)
				return r.Set(ctx, s, t)
			}
		}),
	}
}
