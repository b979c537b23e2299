package httpadapter_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhyADocumentedRouteRefusesIsInTheLog(t *testing.T) {
	rolling(t, new(site), func(t *testing.T, s *site) {
		run := s.rolls(t)
		for _, tt := range []struct {
			path, body, reason string
		}{
			{rollPath + "?access_token=" + admin, rollBody(`"env_params":"{\"PASSWORD\":\"other\"}"`), "is paused"},
			{rollPath + "?access_token=" + admin, rollBody(`"flow_ratio":101`), "flow_ratio is no whole number from 0 to 100"},
			{rollPath + "?access_token=" + admin, rollBody(`"upload_type":null`), "missing field: upload_type"},
			{"/api/v1/update", `{"api_token":"` + admin + `","package":"demo/none"}`, "demo/none"},
		} {
			before := len(s.log.String())
			require.NotContains(t, s.post(tt.path, tt.body).text, tt.reason)
			said := s.log.String()[before:]
			require.Equal(t, 1, strings.Count(said, "\n"), said)
			require.Contains(t, said, `level=INFO msg="httpadapter: refused"`)
			require.Contains(t, said, tt.reason)
			require.Contains(t, said, "principal=ann")
			require.NotContains(t, said, "other")
			require.NotContains(t, said, admin)
		}
		quiet := s.log.String()
		s.post(rollPath+"?access_token=nobody", rollBody(""))
		require.Equal(t, "invalid-request", s.post(ownRollouts+"/plan", rollBody(`"flow_ratio":101`)).problem(t), "says it itself")
		require.Equal(t, quiet, s.log.String())

		plan := s.post(ownRollouts+"/plan", rollBody("")).json(t)
		require.Equal(t, run.ID, plan["live"], "which says why it is refused")
	})
}

func TestRefusalsThatComeAgainDoNotFillTheLog(t *testing.T) {
	rolling(t, new(site), func(t *testing.T, s *site) {
		s.rolls(t)
		said := func(do func()) []string {
			before := len(s.log.String())
			do()
			return slices.Collect(strings.Lines(s.log.String()[before:]))
		}
		again := func() {
			for range 100 {
				s.post(rollPath+"?access_token="+admin, rollBody(`"env_params":"{\"PASSWORD\":\"other\"}"`))
				time.Sleep(10 * time.Millisecond)
			}
		}
		require.Len(t, said(again), 1, "who is told to come again later")
		require.Empty(t, said(again))
		other := said(func() { s.post(rollPath+"?access_token="+admin, rollBody(`"flow_ratio":101`)) })
		require.Len(t, other, 1, "another reason")
		require.Contains(t, other[0], "left_out=199")
		time.Sleep(time.Minute)
		lines := said(again)
		require.Len(t, lines, 1)
		require.NotContains(t, lines[0], "left_out")
		time.Sleep(time.Minute)
		lines = said(again)
		require.Len(t, lines, 1)
		require.Contains(t, lines[0], "left_out=99")

		many := func() {
			for n := range 100 {
				s.post("/api/v1/update", fmt.Sprintf(`{"api_token":%q,"package":"demo/none%d"}`, admin, n))
			}
		}
		require.Len(t, said(many), 10, "whatever the caller writes into it")
		require.Empty(t, said(many))
		time.Sleep(time.Minute)
		require.Len(t, said(many), 10)
	})
}

func TestWhatIsNotFoundOfAServiceNamesItsEnvironment(t *testing.T) {
	rolling(t, new(site), func(t *testing.T, s *site) {
		run := s.rolls(t)
		for path, says := range map[string]string{
			ownWeb: `no service \"web\" in environment \"\"`,
			ownWeb + "/revisions/" + run.ID + "/logs": `has made nothing of service \"web\" in environment \"\"`,
		} {
			reply := s.get(path)
			require.Equal(t, http.StatusNotFound, reply.StatusCode)
			require.Contains(t, reply.text, says)
		}
		for body, says := range map[string]string{
			"":                         `no run of service \"web\" in environment \"\" has succeeded`,
			`{"run":"` + run.ID + `"}`: `of service \"web\" in environment \"\"`,
		} {
			require.Contains(t, s.post(ownWeb+"/rollback", body).text, says)
		}
	})
}

func TestTheDescriptionOfRolloutsSaysWhatIsAccepted(t *testing.T) {
	d := described(t)
	body := d.body("/componenttcb/rollupdatecloudbaserunserverversion", "post")["properties"].(map[string]any)
	for _, name := range []string{"cpu", "mem", "min_num", "max_num", "policy_threshold"} {
		require.Equal(t, []any{map[string]any{"type": "string"}, map[string]any{"type": "number"}}, body[name].(map[string]any)["anyOf"], name)
	}
	require.Equal(t, "string", body["upload_type"].(map[string]any)["type"])
	for _, schema := range []string{"RolloutRun", "RolloutEvent"} {
		percent := d.at("components", "schemas", schema, "properties", "percent")
		require.Equal(t, "of the work: what share of the requests it has is in split", percent["description"], schema)
	}
}
