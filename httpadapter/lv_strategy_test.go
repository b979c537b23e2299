package httpadapter_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const helloRules = `[{"type":"and","rules":[{"object":"env","field":"content","relation":"includes","value":"Hello"}]}]`

// strategyBody is the document's example for a version, with members in place
// of its own, or more.
func strategyBody(version string, members ...string) string {
	body := map[string]string{
		"objects": `"[]"`, "priority": version, "rules": fmt.Sprintf("%q", helloRules), "schemaId": `"table"`, "stage": "0",
		"status": "1", "strategyInfo": `"{\"type\":\"grayScaleRelease\"}"`, "target": `"` + version + `"`,
		"title": `"(自动生成的策略)"`, "type": `"row"`,
	}
	for i := 0; i < len(members); i += 2 {
		body[members[i]] = members[i+1]
	}
	var texts []string
	for name, value := range body {
		if value != "" {
			texts = append(texts, fmt.Sprintf("%q:%s", name, value))
		}
	}
	return "{" + strings.Join(texts, ",") + "}"
}

func TestStrategyShowsAVersionToWhoMatches(t *testing.T) {
	s := new(site).open(t)
	a2 := fmt.Sprint(s.last(t, "a").ID)
	created := s.documented("POST", "/lv/strategy", strategyBody(a2, "more", `{"kept":[1.0]}`)).data(t)
	id := at(t, created, "strategyId").(string)
	require.Equal(t, map[string]any{
		"strategyId": id, "objects": "[]", "priority": a2, "rules": helloRules, "schemaId": "table", "stage": 0.0, "status": 1.0,
		"strategyInfo": `{"type":"grayScaleRelease"}`, "target": a2, "title": "(自动生成的策略)", "type": "row",
		"more": map[string]any{"kept": []any{1.0}},
	}, created)
	require.Equal(t, []any{created}, s.documented("GET", "/lv/strategy", "").data(t))

	sees := func(query string) any { return at(t, s.documented("GET", "/lv/prod?"+query, "").data(t), 0, "name") }
	require.Equal(t, "a1", sees(""))
	require.Equal(t, "a1", sees("env.content=Bye"))
	require.Equal(t, "a2", sees("env.content=Hello,+world"))
	byBody := s.documented("POST", "/lv/prod", `{"query":{"env.content":"Hello"}}`).data(t)
	require.Equal(t, "a2", at(t, byBody, 0, "name"))

	patched := s.documented("POST", "/lv/strategy/patch/"+id, `{"status":0,"more":null,"title":null,"stage":2}`).data(t)
	require.Equal(t, 0.0, at(t, patched, "status"))
	require.Equal(t, 2.0, at(t, patched, "stage"))
	require.Equal(t, "(自动生成的策略)", at(t, patched, "title"))
	require.NotContains(t, patched, "more")
	require.Equal(t, "a1", sees("env.content=Hello"))

	require.Equal(t, patched, s.documented("POST", "/lv/strategy/delete/"+id, "").data(t))
	require.Empty(t, s.documented("GET", "/lv/strategy", "").data(t))
	require.Equal(t, 404, s.documented("POST", "/lv/strategy/delete/"+id, "").StatusCode)
	require.Equal(t, 404, s.documented("POST", "/lv/strategy/patch/"+id, `{"status":1}`).StatusCode)
}

func TestStrategyMayCarryJSONInPlaceOfTextsOfJSON(t *testing.T) {
	s := new(site).open(t)
	asText := s.documented("POST", "/lv/strategy", strategyBody("1")).data(t).(map[string]any)
	asJSON := s.documented("POST", "/lv/strategy", strategyBody("1",
		"rules", helloRules, "objects", "[ ]", "strategyInfo", `{"type": "grayScaleRelease"}`, "target", "1", "priority", `"1"`)).data(t).(map[string]any)
	delete(asText, "strategyId")
	delete(asJSON, "strategyId")
	require.Equal(t, asText, asJSON)
}

func TestRulesThatAreAnsweredCanBeSentAgain(t *testing.T) {
	s := new(site).open(t)
	for _, rules := range []string{
		`[{"type":"and","rules":[{"object":"o","field":"a","relation":"<","value":"<&>\u2028"}]}]`,
		`[{"type":"and","rules":[{"object":"o","field":"a","relation":"eq","value":"` + strings.Repeat("<", 60<<10) + `"}]}]`,
	} {
		created := s.documented("POST", "/lv/strategy", strategyBody("3", "rules", rules)).data(t)
		answered := at(t, created, "rules").(string)
		require.Equal(t, rules, answered)
		body, err := json.Marshal(map[string]string{"rules": answered})
		require.NoError(t, err)
		path := "/lv/strategy/patch/" + at(t, created, "strategyId").(string)
		require.Equal(t, answered, at(t, s.documented("POST", path, string(body)).data(t), "rules"))
	}
}

func TestStrategyThatCannotBeUsedIsRefused(t *testing.T) {
	s := new(site).open(t)
	before := s.published(t)
	tests := map[string][]string{
		"400 no title":              {"title", ""},
		"400 an empty title":        {"title", `""`},
		"400 null rules":            {"rules", "null"},
		"400 title of a number":     {"title", "1"},
		"400 type table":            {"type", `"table"`},
		"400 status 2":              {"status", "2"},
		"400 status text":           {"status", `"1"`},
		"400 stage of a fraction":   {"stage", "0.5"},
		"400 priority of a word":    {"priority", `"high"`},
		"400 priority too large":    {"priority", "9223372036854775808"},
		"404 target of nothing":     {"target", `"99"`},
		"404 target of a fraction":  {"target", "1.5"},
		"404 target of an object":   {"target", "{}"},
		"400 schema of another":     {"schemaId", `"other"`},
		"400 schema of a number":    {"schemaId", "1"},
		"400 objects of no JSON":    {"objects", `"["`},
		"400 info twice":            {"strategyInfo", `"{\"a\":1,\"a\":2}"`},
		"400 rules for all":         {"rules", "[]"},
		"400 an empty group":        {"rules", `[{"type":"and","rules":[]}]`},
		"400 an unknown member":     {"rules", `[{"type":"and","not":true,"rules":[{"field":"a","relation":"exists"}]}]`},
		"400 an expression of evil": {"rules", `[{"type":"and","rules":[{"field":"a","relation":"regex","value":"(?=x)"}]}]`},
		"400 rules of 64 KiB":       {"rules", `[{"type":"and","rules":[{"object":"o","field":"a","relation":"eq","value":"` + strings.Repeat("x", 64<<10) + `"}]}]`},
		"400 extra of 64 KiB":       {"more", `"` + strings.Repeat("x", 64<<10) + `"`},
	}
	for name, members := range tests {
		r := s.documented("POST", "/lv/strategy", strategyBody("1", members...))
		require.Equal(t, name[:3], fmt.Sprint(r.StatusCode), "%s: %s", name, r.text)
		checkEnvelope(t, "/lv/strategy", r)
	}
	require.Equal(t, before, s.published(t))
	require.Equal(t, http.StatusBadRequest, s.documented("POST", "/lv/strategy", "").StatusCode)
}
