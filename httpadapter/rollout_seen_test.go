package httpadapter_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/rollout"
)

func TestArgumentsOfCommandsAreShownToAdminsOnly(t *testing.T) {
	rolling(t, new(site), func(t *testing.T, s *site) {
		for _, key := range []string{secret, "none"} {
			s.port.roll(t, rollout.Request{Service: web1, Spec: rollout.Spec{
				Command: []string{"serve", "--key", key}, Extra: map[string]string{"image_info.server_addr": "https://ann:" + key + "@example.invalid"},
			}})
		}
		back := `{"env_id":"test","server_name":"web","version_name":"v1","rollback":true,"snapshot_name":"run-2"}`
		for token, told := range map[string]bool{reader: false, admin: true} {
			plan := s.send("POST", ownRollouts+"/plan", back, as(token))
			require.Equal(t, http.StatusOK, plan.StatusCode, plan.text)
			require.Contains(t, plan.text, `"field":"Command"`)
			require.Contains(t, plan.text, `"field":"Extra.image_info.server_addr"`)
			require.NotContains(t, plan.text, secret, "a plan shows them to nobody")
			run := s.send("GET", ownRollouts+"/runs/run-2", "", as(token))
			require.Contains(t, run.text, "image_info.server_addr")
			require.Contains(t, run.text, `"command":["serve",`, "the program is for all to see")
			require.Equal(t, told, strings.Contains(run.text, secret), run.text)
		}
	})
}

func TestWhatRulesLookForIsShownToAdminsOnly(t *testing.T) {
	rolling(t, new(site), func(t *testing.T, s *site) {
		split := `{"weights":[{"version":"v1","percent":100}],"rules":[{"version":"v1","header":"X-Key","value":"looked-for"}]}`
		done := s.send("POST", ownRollouts+"/services/web/split"+inTest, split, as(admin))
		require.Equal(t, http.StatusOK, done.StatusCode, done.text)
		run := s.port.roll(t, rollout.Request{Service: web1, Spec: imaged(), Restart: true, Strategy: &rollout.Strategy{Steps: []rollout.Step{
			{Percent: 50, Hold: -1, Match: []rollout.Match{{Cookie: "key", Value: "looked-for"}}}, {Percent: 100, Hold: -1},
		}}})
		body := `{"env_id":"test","server_name":"web","version_name":"v1","upload_type":"image","image_info":{"image_url":"web:9"}}`
		for token, told := range map[string]bool{reader: false, admin: true} {
			for _, path := range []string{
				"/runs/" + run.ID, "/runs", "/services", "/services/web" + inTest, "/events?run=" + run.ID,
			} {
				r := s.send("GET", ownRollouts+path, "", as(token))
				require.Equal(t, http.StatusOK, r.StatusCode, r.text)
				require.Equal(t, told, strings.Contains(r.text, "looked-for"), "%s: %s", path, r.text)
				require.Contains(t, r.text, "X-Key", "what they look at is for all to see: %s", path)
			}
			plan := s.send("POST", ownRollouts+"/plan", body, as(token))
			require.Equal(t, http.StatusOK, plan.StatusCode, plan.text)
			require.NotContains(t, plan.text, "looked-for")
		}
	})
}

// busy is a Router that has open what one has of a service that is asked.
type busy struct{ rollout.Router }

func (b busy) Stats(ctx context.Context, id rollout.ServiceID) (rollout.Stats, error) {
	stats, err := b.Router.Stats(ctx, id)
	stats.Waiting, stats.Open = 2, 3
	return stats, err
}

func TestAServiceSaysWhatItHasOpen(t *testing.T) {
	s := &site{prepareRollout: func(c *rollout.Config) { c.Router = busy{c.Router} }}
	rolling(t, s, func(t *testing.T, s *site) {
		r := s.send("GET", ownWeb+inTest, "", as(reader))
		require.Equal(t, http.StatusOK, r.StatusCode, r.text)
		stats := r.json(t)["stats"].(map[string]any)
		require.Equal(t, []any{2.0, 3.0}, []any{stats["waiting"], stats["open"]})
	})
}

func TestServicesWithoutAnEnvironmentAreListedAlone(t *testing.T) {
	rolling(t, new(site), func(t *testing.T, s *site) {
		s.port.roll(t, rollout.Request{Service: rollout.ServiceID{Name: "alone"}, Version: "v1", Spec: imaged()})
		names := func(query string) (names []any) {
			for _, one := range s.get(ownRollouts + "/services" + query).json(t)["services"].([]any) {
				names = append(names, one.(map[string]any)["name"])
			}
			return names
		}
		require.Equal(t, []any{"alone", "web"}, names(""))
		require.Equal(t, []any{"alone"}, names("?env="))
		require.Equal(t, []any{"web"}, names(inTest))
	})
}

func TestEventsAreNotPassedOverWhileNobodySaysWhoMaySeeThem(t *testing.T) {
	var down atomic.Bool
	s := &site{configure: func(c *httpadapter.Config) {
		c.Environments = func(context.Context, httpadapter.Principal, string) error {
			if down.Load() {
				return errors.New("ldap is down")
			}
			return nil
		}
	}}
	rolling(t, s, func(t *testing.T, s *site) {
		l, _ := s.listen(t)
		client := &http.Client{Transport: &http.Transport{DialContext: l.dial}}
		defer client.CloseIdleConnections()
		down.Store(true)
		refused := listen(t, client, ownRollouts+"/events?after=0")
		defer time.AfterFunc(time.Minute, func() { _ = refused.body.Close() }).Stop()
		text, err := io.ReadAll(refused.text)
		require.NoError(t, err, "it ends, and a browser comes back")
		require.NotContains(t, string(text), "id:")
		require.Contains(t, s.log.String(), "ldap is down")
		down.Store(false)
		first, err := listen(t, client, ownRollouts+"/events?after=0").next()
		require.NoError(t, err)
		require.Equal(t, []any{"1", "started"}, []any{first.id, first.name})
	})
}
