package httpadapter_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/rollout"
)

const (
	ownRollouts = "/upkeep/v1/rollouts"
	ownWeb      = ownRollouts + "/services/web"
	inTest      = "?env=test"
)

// secret is a value that only an Admin may see.
const secret = "hunter2"

// rolledOut is a site with a service web in test, of which v1 has all traffic.
func rolledOut(t testing.TB, s *site) *site {
	s.open(t)
	spec := full()
	spec.Environment = map[string]string{"PASSWORD": secret}
	spec.Source.URL = "https://ann:" + secret + "@example.invalid/a"
	s.port.roll(t, rollout.Request{Service: web1, Version: "v1", Spec: spec})
	return s
}

// rolls begins a rollout that stops at half until somebody lets it go on.
func (s *site) rolls(t testing.TB) rollout.Run {
	run, err := s.port.Start(context.Background(), rollout.Request{
		Service: web1, Restart: true, By: rollout.By{Actor: "eve", Reason: "friday"},
		Strategy: &rollout.Strategy{
			Steps: []rollout.Step{{Percent: 50, Hold: -1, Manual: true}, {Percent: 100, Hold: -1}}, Tolerance: rollout.Tolerance{Off: true},
		},
	})
	require.NoError(t, err)
	time.Sleep(10 * time.Second)
	return run
}

// inBubbleOf runs a test of a site with a service.
func rolling(t *testing.T, s *site, test func(t *testing.T, s *site)) {
	synctest.Test(t, func(t *testing.T) { test(t, rolledOut(t, s)) })
}

func TestARunIsLedByOurOwnRoutes(t *testing.T) {
	rolling(t, new(site), func(t *testing.T, s *site) {
		run := ownRollouts + "/runs/" + s.rolls(t).ID
		paused := s.get(run).json(t)
		require.Equal(t, []any{"paused", "stopped", 0.0, "eve", "friday", "test", "web"}, []any{
			paused["state"], paused["status"], paused["step"], paused["actor"], paused["request_reason"], paused["env"], paused["service"],
		})
		require.Equal(t, "overtaken", s.post(run+"/resume", `{"step":1}`).problem(t), "of another pause")
		require.Equal(t, "invalid-body", s.post(run+"/resume", `{}`).problem(t))
		require.Equal(t, "in-progress", s.post(ownWeb+"/hold"+inTest, "").problem(t))
		resumed := s.post(run+"/resume", `{"step":0,"reason":"it looks good"}`)
		require.Equal(t, http.StatusAccepted, resumed.StatusCode, resumed.text)
		require.Equal(t, run, resumed.Header.Get("Location"))
		time.Sleep(time.Minute)
		done := s.get(run).json(t)
		require.Equal(t, []any{"succeeded", "finished", 100.0}, []any{done["state"], done["status"], done["percent"]})
		require.Equal(t, "overtaken", s.post(run+"/pause", "").problem(t))

		again := s.post(run+"/retry", `{"reason":"again","request_id":"r1"}`)
		require.Equal(t, http.StatusAccepted, again.StatusCode, again.text)
		require.Equal(t, []any{"ann", "again", "r1"}, []any{again.json(t)["actor"], again.json(t)["request_reason"], again.json(t)["request_id"]})
		require.Equal(t, again.json(t)["id"], s.post(run+"/retry", `{"request_id":"r1"}`).json(t)["id"])
		second := again.Header.Get("Location")
		require.Equal(t, http.StatusAccepted, s.post(second+"/pause", "").StatusCode)
		require.Equal(t, http.StatusAccepted, s.post(second+"/promote", "").StatusCode)
		time.Sleep(time.Minute)
		require.Equal(t, "succeeded", s.get(second).json(t)["state"])

		third := s.post(run+"/retry", "").Header.Get("Location")
		cancelled := s.post(third+"/cancel", `{"reason":"never mind"}`)
		require.Equal(t, map[string]any{"kind": "cancel", "step": 0.0, "actor": "ann", "reason": "never mind"}, cancelled.json(t)["wish"])
		time.Sleep(time.Minute)
		require.Equal(t, []any{"cancelled", "failed"}, []any{s.get(third).json(t)["state"], s.get(third).json(t)["status"]})
		require.Len(t, s.get(ownRollouts + "/runs?env=test&service=web").json(t)["runs"], 4)
		require.Empty(t, s.get(ownRollouts + "/runs?env=test&service=other").json(t)["runs"])
		require.Empty(t, s.get(ownRollouts + "/runs?live=true").json(t)["runs"])
		page := s.get(ownRollouts + "/runs?limit=1").json(t)
		require.Len(t, s.get(ownRollouts + "/runs?after=" + page["next"].(string)).json(t)["runs"], 3)
	})
}

func TestAPlanTakesTheDocumentedBody(t *testing.T) {
	rolling(t, new(site), func(t *testing.T, s *site) {
		s.port.fleet.check = func(rollout.Spec) ([]string, error) { return []string{"CPU"}, nil }
		plan := s.send("POST", ownRollouts+"/plan", rollBody(`"branch":"new","flow_ratio":100,"env_params":"{\"PASSWORD\":\"other\"}"`), as(reader))
		require.Equal(t, http.StatusOK, plan.StatusCode, plan.text)
		require.NotContains(t, plan.text, secret)
		require.NotContains(t, plan.text, "other")
		p := plan.json(t)
		require.Equal(t, []any{"v1", false, []any{"CPU"}}, []any{p["version"], p["up_to_date"], p["not_enforced"]})
		require.Len(t, p["steps"], 2)
		require.Contains(t, p["diff"], map[string]any{"field": "Environment.PASSWORD", "from": "***", "to": "***"})
		require.Len(t, s.get(ownRollouts + "/runs").json(t)["runs"], 1, "nothing has begun")
		for fields, slug := range map[string]string{
			`"flow_ratio":101`: "invalid-request", `"server_name":"nobody"`: "not-found", `"branch":1`: "invalid-body", `"env_id":""`: "invalid-request",
		} {
			require.Equal(t, slug, s.post(ownRollouts+"/plan", rollBody(fields)).problem(t), fields)
		}
		require.Contains(t, s.post(ownRollouts+"/plan", rollBody(`"flow_ratio":101`)).text, "flow_ratio", "it is said what is wrong")
		s.port.fleet.check = func(rollout.Spec) ([]string, error) { return nil, fmt.Errorf("images: %w", errors.ErrUnsupported) }
		require.Equal(t, "unsupported", s.post(ownRollouts+"/plan", rollBody("")).problem(t))
	})
}

func TestAServiceIsChangedByOurOwnRoutes(t *testing.T) {
	rolling(t, new(site), func(t *testing.T, s *site) {
		share := 20
		s.port.roll(t, rollout.Request{Service: web1, Version: "v2", Share: &share})
		weights := func() []any {
			return s.get(ownWeb + inTest).json(t)["service"].(map[string]any)["split"].(map[string]any)["weights"].([]any)
		}
		require.Equal(t, 80.0, weights()[0].(map[string]any)["percent"])
		split := s.post(ownWeb+"/split"+inTest, `{"weights":[{"version":"v1","percent":100},{"version":"v2","percent":0}],
			"rules":[{"version":"v2","header":"X-Preview","value":"1","priority":5}],"sticky":{"cookie":"v","issue":true,"max_age_ms":60000}}`)
		require.Equal(t, http.StatusOK, split.StatusCode, split.text)
		shown := split.json(t)["split"].(map[string]any)
		require.Equal(t, map[string]any{"cookie": "v", "issue": true, "max_age_ms": 60000.0}, shown["sticky"])
		require.Equal(t, "X-Preview", shown["rules"].([]any)[0].(map[string]any)["header"])
		require.Equal(t, 100.0, weights()[0].(map[string]any)["percent"])
		require.Equal(t, "invalid-request", s.post(ownWeb+"/split"+inTest, `{"weights":[{"version":"v1","percent":99}]}`).problem(t))
		require.Equal(t, "invalid-body", s.post(ownWeb+"/split"+inTest, `{}`).problem(t))
		require.Equal(t, "invalid-body", s.post(ownWeb+"/split"+inTest, `{"weights":[],"sticky":{"max_age_ms":99999999999999}}`).problem(t))
		require.Equal(t, true, s.post(ownWeb+"/hold"+inTest, "").json(t)["held"])
		require.Equal(t, false, s.post(ownWeb+"/open"+inTest, "").json(t)["held"])

		remove := func(version string) reply { return s.send("DELETE", ownWeb+inTest+"&version="+version, "", as(admin)) }
		require.Equal(t, "invalid-request", remove("v2").problem(t), "a rule leads to it")
		require.Equal(t, http.StatusOK, s.post(ownWeb+"/split"+inTest, `{"weights":[{"version":"v1","percent":100}]}`).StatusCode)
		require.Equal(t, http.StatusNoContent, remove("v2").StatusCode)
		require.Equal(t, "not-found", remove("v3").problem(t))
		require.Equal(t, "invalid-request", remove("v1").problem(t), "it has all of the traffic")
		require.Equal(t, "invalid-query", remove("").problem(t))
		require.Equal(t, "invalid-query", remove("v1&whole=true").problem(t))
		require.Equal(t, "invalid-query", remove("&whole=maybe").problem(t))
		require.Equal(t, "not-found", s.post(ownWeb+"/hold", "").problem(t), "there is no web without an environment")
		require.Equal(t, http.StatusNoContent, remove("&whole=true").StatusCode)
		require.Equal(t, "not-found", s.get(ownWeb+inTest).problem(t))
	})
}

func TestTheLastRunOfAServiceIsTakenBack(t *testing.T) {
	rolling(t, new(site), func(t *testing.T, s *site) {
		require.Equal(t, "invalid-request", s.post(ownWeb+"/rollback"+inTest, "").problem(t), "there is nothing before the first")
		branch := "new"
		s.port.roll(t, rollout.Request{Service: web1, Spec: rollout.Spec{Source: &rollout.Source{URL: "https://example.invalid/a", Branch: branch}}})
		require.Equal(t, "overtaken", s.post(ownWeb+"/rollback"+inTest, `{"run":"run-1"}`).problem(t))
		require.Equal(t, "not-found", s.post(ownWeb+"/rollback?env=", `{"run":"run-2"}`).problem(t), "it is of another service")
		back := s.post(ownWeb+"/rollback"+inTest, `{"reason":"oh","request_id":"b"}`)
		require.Equal(t, http.StatusAccepted, back.StatusCode, back.text)
		require.Equal(t, "run-2", back.json(t)["undoes"])
		time.Sleep(time.Minute)
		snapshots := s.get(ownWeb + "/snapshots" + inTest).json(t)["snapshots"].([]any)
		require.Len(t, snapshots, 3)
		var branches []any
		for _, one := range snapshots {
			branches = append(branches, one.(map[string]any)["spec"].(map[string]any)["source"].(map[string]any)["branch"])
		}
		require.Equal(t, []any{"old", "new", "old"}, branches)
		page := s.get(ownWeb + "/snapshots" + inTest + "&limit=1").json(t)
		require.Len(t, s.get(ownWeb + "/snapshots" + inTest + "&after=" + page["next"].(string)).json(t)["snapshots"], 2)
	})
}

func TestBelowAdminNoSecretIsShown(t *testing.T) {
	rolling(t, new(site), func(t *testing.T, s *site) {
		s.rolls(t)
		for _, path := range []string{
			ownRollouts + "/runs", ownRollouts + "/runs/run-2", ownRollouts + "/services", ownWeb + inTest, ownWeb + "/snapshots" + inTest,
		} {
			for token, told := range map[string]bool{reader: false, admin: true} {
				r := s.send("GET", path, "", as(token))
				require.Equal(t, http.StatusOK, r.StatusCode, r.text)
				require.Equal(t, told, strings.Contains(r.text, secret), "%s %s", token, path)
				require.Contains(t, r.text, "PASSWORD")
			}
		}
		status := s.send("GET", ownWeb+inTest, "", as(reader))
		require.NotContains(t, status.text, "127.0.0.1")
		require.Contains(t, s.get(ownWeb+inTest).text, "127.0.0.1")
		logs := ownWeb + "/revisions/run-1/logs" + inTest
		require.Equal(t, http.StatusForbidden, s.send("GET", logs, "", as(reader)).StatusCode)
		require.Equal(t, []any{"replica-1 hello"}, s.get(logs).json(t)["lines"])
		s.port.fleet.output = strings.Repeat("replica-1 "+strings.Repeat("x", 1000)+"\n", 5000)
		long := s.get(logs + "&tail=5000").json(t)
		require.Equal(t, true, long["cut"])
		require.InDelta(t, 1<<20/1011, len(long["lines"].([]any)), 2)
		require.Equal(t, "not-found", s.get(ownRollouts+"/services/other/revisions/run-1/logs"+inTest).problem(t))
	})
}

func TestEnvironmentsKeepApart(t *testing.T) {
	const tom = "the-token-of-tom"
	s := &site{configure: func(c *httpadapter.Config) {
		c.Auth.(httpadapter.Secrets)[tom] = httpadapter.Principal{ID: "tom", Role: httpadapter.Admin, Scopes: []string{"toms"}}
	}}
	rolling(t, s, func(t *testing.T, s *site) {
		s.port.roll(t, rollout.Request{Service: rollout.ServiceID{Env: "toms", Name: "a/b"}, Version: "v1", Spec: imaged()})
		l, _ := s.listen(t)
		client := &http.Client{Transport: &http.Transport{DialContext: l.dial}}
		defer client.CloseIdleConnections()
		run := s.rolls(t)
		for _, r := range []struct{ method, path, body string }{
			{"GET", "/runs/" + run.ID, ""}, {"GET", "/runs?env=test", ""}, {"GET", "/services?env=test", ""}, {"GET", "/events?run=" + run.ID, ""},
			{"POST", "/runs/" + run.ID + "/pause", ""}, {"POST", "/runs/" + run.ID + "/resume", `{"step":0}`},
			{"POST", "/runs/" + run.ID + "/promote", ""}, {"POST", "/runs/" + run.ID + "/cancel", ""}, {"POST", "/runs/" + run.ID + "/retry", ""},
			{"GET", "/services/web" + inTest, ""}, {"GET", "/services/web/snapshots" + inTest, ""},
			{"GET", "/services/web/revisions/run-1/logs" + inTest, ""}, {"POST", "/services/web/rollback" + inTest, ""},
			{"POST", "/services/web/split" + inTest, `{"weights":[]}`}, {"POST", "/services/web/hold" + inTest, ""},
			{"POST", "/services/web/open" + inTest, ""}, {"DELETE", "/services/web" + inTest + "&version=v1", ""},
			{"POST", "/plan", rollBody("")},
		} {
			got := s.send(r.method, ownRollouts+r.path, r.body, as(tom))
			require.Equal(t, http.StatusForbidden, got.StatusCode, "%s %s: %s", r.method, r.path, got.text)
		}
		require.Len(t, s.send("GET", ownRollouts+"/runs", "", as(tom)).json(t)["runs"], 1)
		services := s.send("GET", ownRollouts+"/services", "", as(tom)).json(t)["services"].([]any)
		require.Len(t, services, 1)
		require.Equal(t, "a/b", services[0].(map[string]any)["name"])
		require.Equal(t, http.StatusOK, s.send("GET", ownRollouts+"/services/a%2Fb?env=toms", "", as(tom)).StatusCode)
		page := s.get(ownRollouts + "/services?limit=1").json(t)
		require.Equal(t, "test/web", page["next"])
		rest := s.get(ownRollouts + "/services?after=" + url.QueryEscape("test/web")).json(t)["services"].([]any)
		require.Equal(t, services, rest)
		require.Equal(t, "invalid-query", s.get(ownRollouts+"/services?after=web").problem(t))

		events := listen(t, client, ownRollouts+"/events?after=0", as(tom), func(r *http.Request) { r.Header["Authorization"] = r.Header["Authorization"][1:] })
		require.NoError(t, s.port.Cancel(t.Context(), run.ID, rollout.By{}))
		_, err := s.port.Start(t.Context(), rollout.Request{Service: rollout.ServiceID{Env: "toms", Name: "a/b"}, Restart: true, By: rollout.By{Reason: "last"}})
		require.NoError(t, err)
		for {
			e, err := events.next()
			require.NoError(t, err)
			require.Equal(t, "toms", e.data["env"])
			if strings.Contains(fmt.Sprint(e.data["message"]), "last") {
				break
			}
		}
	})
}

func TestEnvironmentsAreDecidedByTheApplication(t *testing.T) {
	down := errors.New("ldap is down")
	answers := map[string]error{"test": nil, "other": fmt.Errorf("%w in other", httpadapter.ErrForbidden), "odd": down}
	s := &site{configure: func(c *httpadapter.Config) {
		c.Environments = func(_ context.Context, p httpadapter.Principal, env string) error {
			if p.ID == "rob" {
				return down
			}
			return answers[env]
		}
	}}
	rolling(t, s, func(t *testing.T, s *site) {
		require.Equal(t, http.StatusOK, s.get(ownWeb+inTest).StatusCode)
		require.Equal(t, "forbidden", s.get(ownWeb+"?env=other").problem(t))
		require.Equal(t, "internal", s.get(ownWeb+"?env=odd").problem(t))
		require.Equal(t, http.StatusInternalServerError, s.send("GET", ownRollouts+"/services", "", as(reader)).StatusCode, "not an empty list")
	})
	_, err := httpadapter.New(httpadapter.Config{Update: new(site).open(t).updater, Environments: s.adapterEnvironments})
	require.ErrorContains(t, err, "Environments")
}

func (s *site) adapterEnvironments(context.Context, httpadapter.Principal, string) error { return nil }

func TestEventsOfARolloutEndWithIt(t *testing.T) {
	rolling(t, new(site), func(t *testing.T, s *site) {
		l, _ := s.listen(t)
		client := &http.Client{Transport: &http.Transport{DialContext: l.dial}}
		defer client.CloseIdleConnections()
		run := s.rolls(t)
		live := listen(t, client, ownRollouts+"/events?run="+run.ID)
		first, err := live.next()
		require.NoError(t, err)
		require.Equal(t, "started", first.name)
		require.NoError(t, s.port.Promote(t.Context(), run.ID, rollout.By{Actor: "eve"}))
		all := live.rest()
		last := all[len(all)-1]
		require.Equal(t, []any{"ended", "succeeded", 100.0}, []any{last.name, last.data["state"], last.data["percent"]})
		resumed := listen(t, client, ownRollouts+"/events?run="+run.ID, header("Last-Event-ID", all[0].id)).rest()
		require.Equal(t, all[1:], resumed)
		over := s.get(ownRollouts + "/events?run=" + run.ID + "&after=" + last.id)
		require.Equal(t, http.StatusNoContent, over.StatusCode)
		quiet := listen(t, client, ownRollouts+"/events?run="+run.ID, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+reader) }).rest()
		for _, e := range quiet {
			require.NotContains(t, e.data, "message", "what is said is for who may see details")
		}
		require.Len(t, quiet, len(all)+1)
	})
}
