package httpadapter_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// saved makes a version of a row, published to these environments.
func (s *site) saved(t *testing.T, row, content string, envs ...lv.Env) lv.Version {
	table := s.rows.Table("app", "table")
	v, err := table.Save(t.Context(), row, json.RawMessage(content), lv.By{Actor: "x"})
	require.NoError(t, err)
	for _, env := range envs {
		_, err = table.Publish(t.Context(), env, lv.By{Actor: "x"}, row)
		require.NoError(t, err)
	}
	return v
}

// records returns row, version and places of each record.
func (s *site) records(t *testing.T, query string) (all []string) {
	for _, r := range s.documented("GET", "/lv/record?"+query, "").data(t).([]any) {
		r := r.(map[string]any)
		var places []string
		for _, p := range r["shown"].([]any) {
			p := p.(map[string]any)
			name := fmt.Sprintf("gray %q", p["grayId"])
			if p["strategyId"] != nil {
				name = "strategy"
			}
			places = append(places, fmt.Sprint(name, " ", p["versionId"]))
		}
		all = append(all, fmt.Sprintf("%s %s: %s", r["objectId"], r["versionId"], strings.Join(places, ", ")))
		deletion := s.documented("GET", fmt.Sprint("/lv/list/", r["objectId"]), "").data(t).([]any)[0].(map[string]any)
		require.Equal(t, deletion["versionId"], r["actionId"])
		require.Equal(t, "delete", deletion["op"])
		require.Contains(t, []any{"ann", "setup"}, r["actor"])
	}
	return all
}

func TestARecordIsThereAsLongAsSomebodyShowsTheRow(t *testing.T) {
	s := new(site).open(t)
	for _, row := range s.records(t, "") {
		require.NotContains(t, row, "x-")
	}
	before := s.records(t, "")
	table := s.rows.Table("app", "table")
	public := s.saved(t, "x-public", `{}`, lv.Production)
	gray := s.saved(t, "x-gray", `{}`, "g")
	both := s.saved(t, "x-both", `{}`, lv.Production, "g", "h")
	target := s.saved(t, "x-strategy", `{"n":1}`)
	s.saved(t, "x-back", `{}`, "g")
	s.saved(t, "x-nowhere", `{}`)
	rules, err := lv.ParseRules([]byte(helloRules))
	require.NoError(t, err)
	strategy, err := table.SaveStrategy(t.Context(), lv.Strategy{Title: "t", Target: target.ID, Rules: rules}, lv.By{Actor: "x"})
	require.NoError(t, err)
	for _, row := range []string{"x-public", "x-gray", "x-both", "x-strategy", "x-back", "x-nowhere"} {
		_, err := table.Delete(t.Context(), row, lv.By{Actor: "ann"})
		require.NoError(t, err)
	}
	s.saved(t, "x-back", `{}`)

	want := []string{
		fmt.Sprintf(`x-both %d: gray "" %[1]d, gray "g" %[1]d, gray "h" %[1]d`, both.ID),
		fmt.Sprintf(`x-gray %d: gray "g" %[1]d`, gray.ID),
		fmt.Sprintf(`x-public %d: gray "" %[1]d`, public.ID),
		fmt.Sprintf(`x-strategy %d: strategy %[1]d`, target.ID),
	}
	require.Equal(t, want, s.records(t, "")[len(before):])
	require.Equal(t, want[1:3], s.records(t, "size=2&after=x-both"))
	require.Equal(t, want[3:], s.records(t, "after=x-public"))

	publish := func(row, env string) {
		v := s.documented("GET", "/lv/list/"+row, "").data(t).([]any)[0].(map[string]any)["versionId"]
		r := s.documented("POST", "/lv/record/publish", fmt.Sprintf(`{"actionId":%s,"grayId":%q}`, v, env))
		require.Equal(t, http.StatusOK, r.StatusCode, r.text)
	}
	publish("x-both", "")
	publish("x-both", "g")
	publish("x-gray", "g")
	publish("x-public", "")
	strategy.Disabled = true // it may be switched on again
	strategy, err = table.SaveStrategy(t.Context(), strategy, lv.By{Actor: "x"})
	require.NoError(t, err)
	require.Equal(t, want[3:], s.records(t, "after=x-public"))
	require.NoError(t, table.DeleteStrategy(t.Context(), strategy.ID, lv.By{Actor: "x"}))
	require.Equal(t, []string{fmt.Sprintf(`x-both %d: gray "h" %[1]d`, both.ID)}, s.records(t, "")[len(before):])
	publish("x-both", "h")
	require.Equal(t, before, s.records(t, ""))
}
