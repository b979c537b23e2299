package httpadapter_test

import (
	"context"
	"iter"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
)

// requireInternal requires an answer that tells nothing but where the log has
// the rest.
func (s *site) requireInternal(t *testing.T, target target, got reply) {
	require.Equal(t, http.StatusInternalServerError, got.StatusCode, got.text)
	require.NoError(t, envelope(target, got))
	require.NotContains(t, got.text, "secret")
	require.Contains(t, s.log.String(), "/secret/path")
	require.Contains(t, s.log.String(), "stack=", "a stack")
	if target.method != http.MethodHead && !documentsFirmware(target.Pattern) && !documentsRollouts(target.Pattern) { // which have no place for it
		_, id, told := strings.Cut(got.text, "request ")
		require.True(t, told, got.text)
		require.Contains(t, s.log.String(), "request_id="+id[:26])
	}
}

// requireWorks requires that the target serves its good request, and that an
// update can be made.
func (s *site) requireWorks(t *testing.T, target target) {
	got, err := s.answer(target.good())
	require.NoError(t, err)
	require.Less(t, got.StatusCode, 500, got.text)
	s.settle(t)
	synctest.Wait()
	_, err = s.db.Locker().Holder(t.Context(), lease.Item("update", update.DefaultLock))
	require.ErrorIs(t, err, lease.ErrFree, "the lock is released")
	updated := s.send("POST", "/api/v1/update", updateBody(admin))
	require.Equal(t, "success", updated.json(t)["status"], updated.text)
	saved := s.own("PUT", "rows/new", `{"content":1}`)
	require.Equal(t, http.StatusOK, saved.StatusCode, saved.text)
}

// eachTarget tests targets at once, each in a bubble of its own.
func eachTarget(t *testing.T, targets []target, test func(t *testing.T, target target)) {
	t.Run("routes", func(t *testing.T) {
		for _, target := range targets {
			t.Run(target.method+" "+target.Pattern, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { test(t, target) })
			})
		}
	})
}

func TestEngineThatPanicsIsAnsweredInTheEnvelopeOfEveryRoute(t *testing.T) {
	var asked atomic.Int64
	eachTarget(t, hostileSite(t, nil).targets(), func(t *testing.T, target target) {
		s := hostileSite(t, nil)
		mend := s.engine.breaks()
		got, err := s.answer(target.good())
		mend()
		require.NoError(t, err)
		if s.engine.panics.Load() > 0 {
			asked.Add(1)
			s.requireInternal(t, target, got)
		} else {
			require.Less(t, got.StatusCode, 500, "from memory")
		}
		s.requireWorks(t, target)
	})
	require.Greater(t, asked.Load(), int64(50), "most routes ask the engine")
}

func TestAuthenticatorThatPanicsIsAnsweredInTheEnvelopeOfEveryRoute(t *testing.T) {
	eachTarget(t, hostileSite(t, nil).attacked(), func(t *testing.T, target target) {
		var broken atomic.Bool
		s := (&site{configure: func(c *httpadapter.Config) {
			secrets := c.Auth
			c.Auth = touchyAuth(func(ctx context.Context, credential httpadapter.Credential, needs httpadapter.Role) (httpadapter.Principal, error) {
				if broken.Load() {
					panic("the directory is gone: /secret/path")
				}
				return secrets.Authenticate(ctx, credential, needs)
			})
		}}).open(t)
		broken.Store(true)
		for range 20 { // more than one address may fail
			got, err := s.answer(target.good())
			require.NoError(t, err)
			s.requireInternal(t, target, got)
		}
		broken.Store(false)
		s.requireWorks(t, target)
	})
}

type touchyAuth func(context.Context, httpadapter.Credential, httpadapter.Role) (httpadapter.Principal, error)

func (f touchyAuth) Authenticate(ctx context.Context, c httpadapter.Credential, needs httpadapter.Role) (httpadapter.Principal, error) {
	return f(ctx, c, needs)
}

// touchySource is a Source that panics while it is broken.
type touchySource struct {
	update.Source
	broken *atomic.Bool
}

func (s touchySource) Versions(ctx context.Context, pkg string) iter.Seq2[update.Release, error] {
	if s.broken.Load() {
		panic("the registry is gone: /secret/path")
	}
	return s.Source.Versions(ctx, pkg)
}

func TestPluginOfAnUpdateThatPanicsReleasesTheLock(t *testing.T) {
	panics := func(context.Context, *update.Task) error { panic("the installer is gone: /secret/path") }
	tests := []struct {
		name string
		site func(broken *atomic.Bool) *site
		says string // the message of the documented route
	}{
		{"a source", func(broken *atomic.Bool) *site {
			return &site{source: touchySource{source.Static("1.0.0"), broken}}
		}, "Internal error: request "},
		{"a check", func(broken *atomic.Bool) *site {
			return &site{check: func(ctx context.Context, task *update.Task) error {
				if broken.Load() {
					return panics(ctx, task)
				}
				return nil
			}}
		}, "Update failed (request "},
		{"a step", func(broken *atomic.Bool) *site {
			return &site{install: func(ctx context.Context, task *update.Task) error {
				if broken.Load() {
					return panics(ctx, task)
				}
				return nil
			}}
		}, "Update failed (run "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var broken atomic.Bool
				s := tt.site(&broken).open(t)
				broken.Store(true)
				failed := s.send("POST", "/api/v1/update", updateBody(admin))
				checkEnvelope(t, "/api/v1/update", failed)
				require.Contains(t, failed.json(t)["message"], tt.says)
				require.NotContains(t, failed.text, "secret")
				started := s.post(runs, `{"package":"demo/site"}`)
				checkEnvelope(t, runs, started)
				s.settle(t)
				broken.Store(false)
				s.requireWorks(t, s.target("GET", runs))
			})
		})
	}
}

// effects are what can be counted of a site: versions, releases and runs.
func (s *site) effects(t *testing.T) (n int) {
	table := s.rows.Table("app", "table")
	for _, err := range table.History(t.Context(), lv.Query{}) {
		require.NoError(t, err)
		n++
	}
	for _, err := range table.Releases(t.Context(), lv.Query{}) {
		require.NoError(t, err)
		n++
	}
	return n + len(s.history(t))
}

func TestSameChangeAHundredTimesAtOnceHasNoEffectThatNobodyIsTold(t *testing.T) {
	var changing []target
	for _, target := range hostileSite(t, nil).targets() {
		if target.Changes {
			changing = append(changing, target)
		}
	}
	eachTarget(t, changing, func(t *testing.T, target target) {
		s := hostileSite(t, nil)
		before := s.effects(t)
		replies := make(chan reply, 100)
		for range 100 {
			go func() {
				got, err := s.answer(target.good())
				if err == nil {
					err = envelope(target, got)
				}
				assert.NoError(t, err)
				replies <- got
			}()
		}
		told := map[string]bool{} // of different effects
		for range 100 {
			got := <-replies
			require.Less(t, got.StatusCode, 500, got.text)
			if got.StatusCode < 300 {
				told[got.text] = true
			}
		}
		s.settle(t)
		require.LessOrEqual(t, s.effects(t)-before, len(told))
	})
}
