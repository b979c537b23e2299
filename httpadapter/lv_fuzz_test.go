package httpadapter_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
)

// newFuzzRows serves newRows, a strategy and a planned release. They have the
// ids of rowIDs.
func newFuzzRows(t testing.TB) *site {
	s := (&site{configure: func(c *httpadapter.Config) { c.Limits.Logins = -1 }}).open(t)
	strategy := s.documented("POST", "/lv/strategy", strategyBody("3")).data(t)
	require.Equal(t, "8", at(t, strategy, "strategyId"))
	plan := s.own("POST", "changelists", `{"changes":[{"object_id":"a","to":"working"}]}`).good(t)
	require.Equal(t, "9", plan["id"])
	return s
}

// rowIDs are good ids for the wildcards of patterns, and their placeholders in
// the cases of the contract.
var rowIDs = strings.NewReplacer(
	"{objectId}", "a", "{versionId}", "3", "{grayId}", "g", "{strategyId}", "8", "{id}", "9", "{status}", "2",
	`"id1"`, `"a"`, `"id2"`, `"b"`, `"v1"`, `"1"`, `"v2"`, `"3"`, `"a1"`, `"6"`, `"g1"`, `"g"`, "qq_icon", "table",
)

// rowTargets are the routes about rows that a fuzzer attacks: the documented
// ones, under one of their two prefixes, or our own.
func (s *site) rowTargets(own bool) (all []target) {
	for _, t := range s.targets() {
		if t.API == httpadapter.LVAPI && t.own == own && !strings.HasPrefix(t.Pattern, "/api/") {
			all = append(all, t)
		}
	}
	return all
}

// attack sends a request, and checks that its reply is in the envelope and that
// it has changed nothing unless it may.
func (s *site) attack(t *testing.T, target target, path, body string) reply {
	before := s.published(t)
	w := httptest.NewRecorder()
	s.adapter.ServeHTTP(w, target.request(path, body))
	r := reply{w.Result(), w.Body.String(), target.method}
	require.Less(t, r.StatusCode, 500, "%s %s: %s", target.method, path, r.text)
	checkEnvelope(t, target.Pattern, r)
	if r.StatusCode < 300 && target.method != "HEAD" {
		require.True(t, json.Valid([]byte(r.text)), r.text)
	}
	if r.StatusCode < 300 && !target.own {
		r.data(t)
	}
	if r.StatusCode >= 300 || !target.Changes {
		require.Equal(t, before, s.published(t), "%s %s: %s", target.method, path, r.text)
	}
	return r
}

// fuzzRows attacks each route with a body, a query, and an id in its path.
func fuzzRows(f *testing.F, own bool) {
	f.Fuzz(func(t *testing.T, body, query, id string) {
		s := newFuzzRows(t)
		for _, target := range s.rowTargets(own) {
			path := target.Pattern
			if id == "" {
				path = rowIDs.Replace(path)
			}
			path = wildcard.ReplaceAllLiteralString(path, url.PathEscape(id))
			s.attack(t, target, path+"?"+query, body)
		}
	})
}

// Whatever the bytes, the documented routes about rows answer in their
// envelope, and what they refuse changes nothing.
func FuzzDocumentedRows(f *testing.F) {
	for _, body := range contractBodies(f, "testdata/contract/002-wuji-row-versions.json") {
		f.Add(rowIDs.Replace(body), "", "")
	}
	f.Add(`{"query":{"size":1,"after":"a","env.content":"Hello","vip.yes":true}}`, "", "g")
	f.Add(`{"query":{"appid":"other"}}`, "env.content=Hello&size=1", "")
	f.Add(strategyBody("3", "rules", helloRules, "more", `{"kept":[1.0]}`), "status=1", "")
	f.Add(`{"rules":`+helloRules+`,"title":null,"priority":"-1"}`, "after=a", "8")
	f.Add("", "", "a/../b")
	f.Add("", "size=%00", "\x00\xff")
	fuzzRows(f, false)
}

// Our own routes about rows do likewise.
func FuzzOwnRows(f *testing.F) {
	for _, body := range []string{
		`{"content":{"n":9007199254740993,"x":1e400},"desc":"why","request_id":"r1"}`,
		`{"content":null,"expect":"3"}`, `{"expect":"none","content":[]}`,
		`{"env":"g","changes":[{"object_id":"a","to":"working"},{"to":"2","expect":"none"},{"object_id":"b","to":"none"}]}`,
		`{"at":"2030-01-02T03:04:05+08:00"}`, `{"desc":"why","request_id":"r1"}`,
		`{"rules":` + helloRules + `,"attributes":{"env.content":"Hello"}}`,
		fmt.Sprintf(`{"rules":%q,"strategy_id":"8"}`, helloRules),
	} {
		f.Add(body, "", "")
	}
	f.Add(`{}`, "env=g&own=true&asof=3", "9")
	f.Add(`{}`, "working=true&status=2&after=a&limit=1", "a/b")
	f.Add(`{}`, "from=1&to=3&state=draft&object_id=a", "1")
	f.Add("", "env.content=Hello", "\x00")
	fuzzRows(f, true)
}

// Rules mean the same as JSON and as a text of it, and what is answered can be
// sent again.
func FuzzRulesOfStrategies(f *testing.F) {
	f.Add(helloRules, "env.content", "Hello")
	f.Add(`[{"type":"or","rules":[{"field":"n","relation":">=","value":1.5},{"field":"n","relation":"in","value":["1",2,true]}]}]`, "n", "2")
	f.Add(`[{"type":"and","rules":[{"relation":"percentage","value":{"percent":50,"by":"user.id","seed":"<&>"}}]}]`, "user.id", "7")
	f.Add(`[{"field":"id","relation":"percentage","value":{"percent":50}}]`, "id", "7")
	f.Add(`[{"field":"v","relation":"semverGte","value":"1.2.0"},{"field":"v","relation":"notExists"}]`, "v", "1.10")
	f.Add(strings.Repeat(`[{"type":"and","rules":`, 16)+helloRules+strings.Repeat(`}]`, 16), "env.content", "Hello")
	f.Add(` [{"field":"a","relation":"regex","value":"^(a|b)+$"}] `, "a", "ab")
	f.Add(`"[]"`, "", "")
	f.Fuzz(func(t *testing.T, rules, attribute, value string) {
		s := newFuzzRows(t)
		asText := string(encoded(t, rules))
		bare := strings.TrimSpace(rules)
		if web.Scan([]byte(rules)) != nil || bare == "null" || strings.HasPrefix(bare, `"`) {
			rules = asText
		}
		visitor := string(encoded(t, map[string]string{attribute: value}))
		create, patch, test := s.target("POST", "/lv/strategy"), s.target("POST", "/lv/strategy/patch/{strategyId}"), s.target("POST", "/upkeep/v1/lv/strategies/test")
		tried := s.attack(t, test, test.Pattern, `{"strategy_id":"8","rules":`+rules+`,"attributes":`+visitor+`}`)
		again := s.attack(t, test, test.Pattern, `{"strategy_id":"8","rules":`+asText+`,"attributes":`+visitor+`}`)
		require.Equal(t, tried.StatusCode, again.StatusCode, "%s\n%s", tried.text, again.text)
		if tried.StatusCode == 200 {
			require.Equal(t, tried.text, again.text)
		}
		created := s.attack(t, create, create.Pattern, strategyBody("3", "rules", rules))
		require.Equal(t, tried.StatusCode, created.StatusCode, created.text)
		patched := s.attack(t, patch, "/lv/strategy/patch/8", `{"rules":`+asText+`}`)
		require.Equal(t, tried.StatusCode, patched.StatusCode, patched.text)
		if created.StatusCode != 200 {
			return
		}
		answered := at(t, created.data(t), "rules")
		require.Equal(t, answered, at(t, patched.data(t), "rules"))
		resent := s.attack(t, patch, "/lv/strategy/patch/8", `{"rules":`+string(encoded(t, answered))+`}`)
		require.Equal(t, answered, at(t, resent.data(t), "rules"))
	})
}

// target returns the route with a method and a pattern.
func (s *site) target(method, pattern string) target {
	for _, t := range s.targets() {
		if t.method == method && t.Pattern == pattern {
			return t
		}
	}
	panic("no route " + pattern)
}

func encoded(t testing.TB, v any) []byte {
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return text
}
