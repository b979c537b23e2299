package httpadapter_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/internal/lv/wire"
	"github.com/upkeep-go/upkeep/lv"
)

const ofApp = "appid=app&schemaid=table"

// own sends a request to our own routes about app/table.
func (s *site) own(method, path, body string, prepare ...func(*http.Request)) reply {
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	if prepare == nil {
		prepare = append(prepare, as(admin))
	}
	return s.send(method, "/upkeep/v1/lv/"+path+separator+ofApp, body, prepare...)
}

// good returns the object of a good reply.
func (r reply) good(t testing.TB) map[string]any {
	require.Less(t, r.StatusCode, 300, r.text)
	return r.json(t)
}

func TestWorkingRowIsWrittenShownAndDeleted(t *testing.T) {
	s := new(site).open(t)
	saved := s.own("PUT", "rows/a%2Fb", `{"content":{"n":9007199254740993},"desc":"new","request_id":"r1"}`).good(t)
	require.Equal(t, "a/b", saved["object_id"])
	require.Equal(t, []any{"save", "ann", "new"}, []any{saved["op"], saved["actor"], saved["desc"]})
	shown := s.own("GET", "rows/a%2Fb", "")
	require.Contains(t, shown.text, "9007199254740993")
	require.Equal(t, saved["version"], shown.good(t)["version"])
	require.Equal(t, 2.0, shown.good(t)["status"])
	again := s.own("PUT", "rows/a%2Fb", `{"content":{"n":1},"request_id":"r1"}`).good(t)
	require.Equal(t, saved, again, "a request that is repeated gets the first answer")

	deleted := s.own("DELETE", "rows/a%2Fb", "").good(t)
	require.Equal(t, "delete", deleted["op"])
	require.Equal(t, "not-found", s.own("GET", "rows/a%2Fb", "").problem(t))
	require.Equal(t, "not-found", s.own("DELETE", "rows/nobody", "").problem(t))
	for _, body := range []string{"", "{}", `{"content":null}`, `{"content":{},"request_id":"\n"}`, `{"content":{},"desc":"` + strings.Repeat("x", 4097) + `"}`} {
		require.Equal(t, http.StatusBadRequest, s.own("PUT", "rows/x", body).StatusCode, body)
	}
}

func TestNobodyOverwritesWhatTheyHaveNotSeen(t *testing.T) {
	s := new(site).open(t)
	put := func(row, expect string) reply {
		return s.own("PUT", "rows/"+row, `{"content":{"by":"`+expect+`"},"expect":"`+expect+`"}`)
	}
	seen := s.own("GET", "rows/a", "").good(t)["version"].(string)
	saved := put("a", seen).good(t)["version"].(string)
	before := s.published(t)
	late := put("a", seen)
	require.Equal(t, "conflict", late.problem(t))
	require.Equal(t, http.StatusConflict, late.StatusCode)
	require.Equal(t, []any{map[string]any{"object_id": "a", "from": saved, "to": "0", "expect": seen}}, late.json(t)["conflicts"])
	require.Equal(t, "conflict", put("a", "none").problem(t))
	require.Equal(t, "conflict", put("new", seen).problem(t))
	require.Equal(t, "conflict", s.own("DELETE", "rows/a", `{"expect":"`+seen+`"}`).problem(t))
	require.Equal(t, http.StatusNotFound, put("a", "x").StatusCode)
	require.Equal(t, before, s.published(t))

	put("new", "none").good(t)
	require.Equal(t, "delete", s.own("DELETE", "rows/a", `{"expect":"`+saved+`"}`).good(t)["op"])
	put("a", "none").good(t)
}

func TestRowsAreShownAsWhoeverAsksSeesThem(t *testing.T) {
	s := new(site).open(t)
	names := func(query string) string {
		var all []string
		for _, row := range s.own("GET", "rows?"+query, "").good(t)["rows"].([]any) {
			name := "-"
			if content, ok := row.(map[string]any)["content"].(map[string]any); ok {
				name = content["name"].(string)
			}
			all = append(all, name)
		}
		return strings.Join(all, " ")
	}
	require.Equal(t, "a1 b1", names(""))
	require.Equal(t, "a2 b1", names("env=g"))
	require.Equal(t, "a2", names("env=g&own=true"))
	require.Equal(t, "a2 c1", names("working=true"))
	require.Equal(t, "a2 c1", names("working=true&status=2"))
	require.Equal(t, "", names("working=true&status=1"))
	require.Equal(t, "a1 b1", names("asof=3"))
	require.Equal(t, "", names("asof=2"))
	require.Equal(t, "b1", names("after=a"))
	page := s.own("GET", "rows?limit=1", "").good(t)
	require.Len(t, page["rows"], 1)
	require.Equal(t, "a", page["next"])
	for _, query := range []string{"working=yes", "asof=-1", "asof=0", "status=3", "env=g&working=true", "status=1", "limit=0", "env=%0A", "working=true&a.b=c"} {
		require.Equal(t, http.StatusBadRequest, s.own("GET", "rows?"+query, "").StatusCode, query)
	}
	require.Equal(t, "not-found", s.own("GET", "rows?asof=99999", "").problem(t))
	require.Equal(t, "invalid-query", s.get("/upkeep/v1/lv/rows").problem(t))
	require.Equal(t, "not-found", s.get("/upkeep/v1/lv/rows?appid=app&schemaid=zzz").problem(t))

	require.Equal(t, []any{"", "g"}, s.own("GET", "environments", "").good(t)["envs"])
	tables := s.get("/upkeep/v1/lv/tables").good(t)["tables"].([]any)
	require.Len(t, tables, 1)
	require.Equal(t, "table", at(t, tables, 0, "schema"))
	require.Empty(t, s.get("/upkeep/v1/lv/tables?appid=other").good(t)["tables"])

	first := s.own("GET", "rows", "")
	require.Equal(t, 304, s.own("GET", "rows", "", as(admin), header("If-None-Match", first.Header.Get("ETag"))).StatusCode)
}

func TestVersionsAreComparedFieldByField(t *testing.T) {
	s := new(site).open(t)
	a2, c := s.last(t, "a").ID, s.last(t, "c").ID
	diff := s.own("GET", fmt.Sprintf("diff?from=1&to=%d", a2), "")
	require.JSONEq(t, `{"object_id":"a","differences":[{"path":"/name","from":"a1","to":"a2"}]}`, diff.text)
	nothing := s.own("GET", fmt.Sprintf("diff?to=%d", a2), "")
	require.JSONEq(t, `{"object_id":"a","differences":[{"path":"","to":{"name":"a2"}}]}`, nothing.text)
	require.Equal(t, "invalid-query", s.own("GET", fmt.Sprintf("diff?from=1&to=%d", c), "").problem(t))
	require.Equal(t, "not-found", s.own("GET", "diff?from=99", "").problem(t))
}

func TestChangelistIsPlannedApprovedAppliedAndReverted(t *testing.T) {
	s := new(site).open(t)
	editor := as(appKey) // kit, beside ann
	plan := s.own("POST", "changelists", `{"changes":[{"object_id":"a","to":"working"},{"object_id":"b","to":"none"}],"desc":"friday"}`)
	require.Equal(t, http.StatusCreated, plan.StatusCode, plan.text)
	list := plan.good(t)
	id := list["id"].(string)
	require.Equal(t, []any{"draft", "friday", "ann", ""}, []any{list["state"], list["desc"], list["actor"], list["env"]})
	require.Equal(t, map[string]any{"object_id": "a", "from": "0", "to": "3", "expect": "1"}, at(t, list, "changes", 0))

	act := func(what, body string, who func(*http.Request)) reply {
		return s.own("POST", "changelists/"+id+"/"+what, body, who)
	}
	require.Equal(t, "conflict", act("apply", "", editor).problem(t))
	require.Equal(t, "forbidden", act("approve", "", as(admin)).problem(t), "ann wrote it")
	require.Equal(t, "kit", act("approve", "", editor).good(t)["approver"])
	due := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	scheduled := act("schedule", `{"at":"`+due.Format(time.RFC3339)+`"}`, editor).good(t)
	require.Equal(t, due.Format(time.RFC3339), scheduled["at"])
	require.Equal(t, 400, act("schedule", `{"at":"tomorrow"}`, editor).StatusCode)
	open := s.own("GET", "changelists", "").good(t)["releases"].([]any)
	require.Len(t, open, 1)
	require.Equal(t, "scheduled", at(t, open, 0, "state"))

	require.Equal(t, "applied", act("apply", "", editor).good(t)["state"])
	require.NotContains(t, s.documented("GET", "/lv/prod", "").text, "b1")
	require.Equal(t, "too-late", act("cancel", "", editor).problem(t))
	require.Empty(t, s.own("GET", "changelists", "").good(t)["releases"])
	applied := s.own("GET", "releases?limit=1&state=applied&object_id=b", "").good(t)
	require.Equal(t, id, at(t, applied, "releases", 0, "id"))
	require.Equal(t, id, applied["next"])

	reverted := s.own("POST", "releases/"+id+"/revert", `{"desc":"monday"}`).good(t)
	require.Equal(t, []any{id, "monday", "ann"}, []any{reverted["reverts"], reverted["desc"], reverted["actor"]})
	require.Contains(t, s.documented("GET", "/lv/prod", "").text, "b1")
	again := s.own("POST", "releases/"+id+"/revert", "")
	require.Equal(t, "conflict", again.problem(t))
	require.Equal(t, []any{
		map[string]any{"object_id": "a", "from": "1", "to": "1", "expect": "3"},
		map[string]any{"object_id": "b", "from": "2", "to": "2", "expect": "0"},
	}, again.json(t)["conflicts"])
}

func TestChangelistIsCancelledOrRefused(t *testing.T) {
	s := new(site).open(t)
	list := s.own("POST", "changelists", `{"env":"g","changes":[{"to":"3","expect":"none"}]}`).good(t)
	id := list["id"].(string)
	require.Equal(t, map[string]any{"object_id": "a", "from": "0", "to": "3", "expect": "0"}, at(t, list, "changes", 0))
	require.Equal(t, "cancelled", s.own("POST", "changelists/"+id+"/cancel", `{"desc":"no"}`).good(t)["state"])
	require.Len(t, s.own("GET", "changelists?state=cancelled", "").good(t)["releases"], 1)
	require.Empty(t, s.own("GET", "changelists?state=cancelled&after="+id, "").good(t)["releases"])
	for body, status := range map[string]int{
		`{}`:                              400,
		`{"changes":[]}`:                  400,
		`{"changes":[{"object_id":"a"}]}`: 400,
		`{"changes":[{"to":"working"}]}`:  400,
		`{"changes":[{"object_id":"\n","to":"none"}]}`:                           400,
		`{"env":"\n","changes":[{"object_id":"a","to":"none"}]}`:                 400,
		`{"changes":[{"object_id":"a","to":"x"}]}`:                               404,
		`{"changes":[{"object_id":"a","to":"99"}]}`:                              404,
		`{"changes":[{"object_id":"a","to":"2"}]}`:                               404,
		`{"changes":[{"object_id":"nobody","to":"working"}]}`:                    404,
		`{"changes":[{"object_id":"a","to":"1","expect":"x"}]}`:                  404,
		`{"changes":[{"object_id":"a","to":"1","expect":"any","after":"9"}]}`:    400,
		`{"changes":[{"object_id":"a","to":"1","after":"x"}]}`:                   404,
		`{"changes":[{"object_id":"a","to":"1","after":"99"}]}`:                  404,
		`{"changes":[{"object_id":"a","to":"1","after":"` + id + `"}]}`:          409, // it was cancelled
		`{"changes":[{"object_id":"a","to":"1"},{"object_id":"a","to":"none"}]}`: 400,
		`{"changes":[` + strings.Repeat(`{"to":"1"},`, 1000) + `{"to":"1"}]}`:    400,
		`{"changes":[{"OBJECT_ID":"a","to":"working"}]}`:                         400,
	} {
		r := s.own("POST", "changelists", body)
		require.Equal(t, status, r.StatusCode, "%.80s: %s", body, r.text)
	}
	for _, query := range []string{"changelists?state=applied", "changelists?state=x", "releases?state=x", "releases?after=0"} {
		require.Equal(t, 400, s.own("GET", query, "").StatusCode, query)
	}
	for _, path := range []string{"changelists/99/approve", "changelists/x/cancel", "releases/99/revert"} {
		require.Equal(t, "not-found", s.own("POST", path, "").problem(t), path)
	}
}

func TestChangelistExpectsWhatAnotherLeavesOrAnything(t *testing.T) {
	s := new(site).open(t)
	begin := s.own("POST", "changelists", `{"changes":[{"to":"3"}]}`).good(t)
	end := s.own("POST", "changelists", `{"changes":[{"to":"1","after":"`+begin["id"].(string)+`"}]}`).good(t)
	require.Equal(t, map[string]any{"object_id": "a", "from": "0", "to": "1", "expect": "3"}, at(t, end, "changes", 0))
	anyway := s.own("POST", "changelists", `{"changes":[{"to":"1","expect":"any"}]}`).good(t)
	require.Equal(t, map[string]any{"object_id": "a", "from": "0", "to": "1"}, at(t, anyway, "changes", 0))
	for _, list := range []map[string]any{begin, end, anyway} {
		id := list["id"].(string)
		s.own("POST", "changelists/"+id+"/approve", "", as(appKey)).good(t)
	}
	early := s.own("POST", "changelists/"+end["id"].(string)+"/apply", "")
	require.Equal(t, "conflict", early.problem(t))
	require.Contains(t, early.json(t)["detail"], "release "+begin["id"].(string)+", which leaves")
	for _, list := range []map[string]any{begin, end, anyway} {
		require.Equal(t, "applied", s.own("POST", "changelists/"+list["id"].(string)+"/apply", "").good(t)["state"])
	}
}

func TestRulesAreTriedOutOnAVisitor(t *testing.T) {
	s := new(site).open(t)
	for body, want := range map[string]bool{
		`{"rules":` + helloRules + `,"attributes":{"env.content":"Hello"}}`:                    true,
		`{"rules":` + helloRules + `,"attributes":{"env.content":"Bye"}}`:                      false,
		`{"rules":` + fmt.Sprintf("%q", helloRules) + `,"attributes":{"env.content":"Hello"}}`: true,
		`{"rules":` + helloRules + `}`:                                                         false,
	} {
		require.Equal(t, want, s.own("POST", "strategies/test", body, as(reader)).good(t)["matches"], body)
	}
	for _, body := range []string{`{}`, `{"rules":[]}`, `{"rules":"["}`, `{"rules":` + helloRules + `,"attributes":{"a":1}}`} {
		require.Equal(t, 400, s.own("POST", "strategies/test", body).StatusCode, body)
	}
}

func TestRulesAreTriedOutWithTheSeedThatVisitorsGet(t *testing.T) {
	s := new(site).open(t)
	const half = `[{"type":"and","rules":[{"object":"user","field":"id","relation":"percentage","value":{"percent":50}}]}]`
	created := s.documented("POST", "/lv/strategy", strategyBody("3", "rules", half)).data(t)
	id := at(t, created, "strategyId").(string)
	matches := 0
	for n := range 40 {
		visitor := fmt.Sprintf(`"attributes":{"user.id":"%d"}`, n)
		shown := at(t, s.documented("GET", fmt.Sprintf("/lv/prod?user.id=%d", n), "").data(t), 0, "name") == "a2"
		for _, body := range []string{`{"strategy_id":"` + id + `",`, `{"strategy_id":"` + id + `","rules":` + half + `,`} {
			tried := s.own("POST", "strategies/test", body+visitor+"}", as(reader)).good(t)
			require.Equal(t, shown, tried["matches"], n)
		}
		if shown {
			matches++
		}
	}
	require.Greater(t, matches, 5)
	require.Less(t, matches, 35)

	seeded := strings.Replace(half, `50`, `50,"seed":"spring"`, 1)
	require.Equal(t, lv.Bucket("spring", "7") < 5000,
		s.own("POST", "strategies/test", `{"rules":`+seeded+`,"attributes":{"user.id":"7"}}`).good(t)["matches"])
	for body, status := range map[string]int{
		`{"rules":` + half + `}`: 400, `{"strategy_id":"99"}`: 404, `{"strategy_id":"x"}`: 404, `{"strategy_id":8}`: 400,
	} {
		require.Equal(t, status, s.own("POST", "strategies/test", body).StatusCode, body)
	}
}

func TestSnapshotIsWhatAReplicaReads(t *testing.T) {
	s := new(site).open(t)
	s.documented("POST", "/lv/strategy", strategyBody("3")).data(t)
	r := s.own("GET", "snapshot", "")
	table, snapshot, err := wire.ReadSnapshot(strings.NewReader(r.text))
	require.NoError(t, err)
	require.Equal(t, lv.TableID{App: "app", Schema: "table"}, table)
	require.Equal(t, []lv.Env{"g"}, snapshot.Grays)
	require.Len(t, snapshot.Strategies, 1)
	require.Equal(t, `{"name":"a2"}`, string(snapshot.Strategies[0].Shows.Content))
	var names []string
	for row, err := range snapshot.Rows(lv.Production) {
		require.NoError(t, err)
		names = append(names, string(row.Content))
	}
	require.Equal(t, []string{`{"name":"a1"}`, `{"name":"b1"}`}, names)
	require.Equal(t, 304, s.own("GET", "snapshot", "", as(admin), header("If-None-Match", r.Header.Get("ETag"))).StatusCode)
}

func TestChangesGoOnAfterTheLastOneSeen(t *testing.T) {
	inBubble(t, new(site), func(t *testing.T, s *site, client *http.Client) {
		path := changes + "?" + ofApp
		_, err := s.rows.Table("app", "empty").Save(t.Context(), "x", []byte(`1`), lv.By{Actor: "x"})
		require.NoError(t, err)
		all := listen(t, client, path+"&after=0")
		for i := range 7 {
			e, err := all.next()
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(i+1), e.id)
		}
		late := listen(t, client, path, header("Last-Event-ID", "2"))
		e, err := late.next()
		require.NoError(t, err)
		require.Equal(t, "released", e.name)
		require.Equal(t, []any{3.0, "released", "", "3", "setup"},
			[]any{e.data["seq"], e.data["kind"], e.data["env"], e.data["release"], e.data["actor"]})
		require.Equal(t, map[string]any{"app": "app", "schema": "table"}, e.data["table"])
		row := at(t, e.data, "rows", 0).(map[string]any)
		require.Equal(t, []any{"a", "0", "1", map[string]any{"name": "a1"}}, []any{row["object_id"], row["from"], row["to"], row["content"]})

		now := listen(t, client, path)
		synctest.Wait() // now is when the stream is open
		_, err = s.rows.Table("app", "empty").Save(t.Context(), "x", []byte(`2`), lv.By{Actor: "x"})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, s.documented("GET", "/lv/release/3", "").StatusCode)
		e, err = now.next()
		require.NoError(t, err)
		require.Equal(t, "操作人", e.data["actor"], "what happens to other tables is not told")
		require.Equal(t, 404, open(t, client, changes+"?appid=app&schemaid=zzz").StatusCode)
	})
}

func TestChangesOfOtherTablesMoveWhereToResume(t *testing.T) {
	inBubble(t, new(site), func(t *testing.T, s *site, client *http.Client) {
		secret := 0
		happen := func(table string, n int) {
			for range n {
				secret++
				_, err := s.rows.Table("app", table).Save(t.Context(), "x", fmt.Appendf(nil, `{"secret":%d}`, secret), lv.By{Actor: "x"})
				require.NoError(t, err)
			}
		}
		path := changes + "?" + ofApp
		l := listen(t, client, path+"&after=7")
		happen("empty", 3) // 8 to 10
		require.Equal(t, "retry: 2000||id: 10||:||", l.lines(6), "nothing is told but how far it is")
		happen("empty", 2) // 11 and 12
		happen("table", 1) // 13
		e, err := l.next()
		require.NoError(t, err)
		require.Equal(t, "13", e.id)
		require.Equal(t, ":||", l.lines(2), "it does not go back")
		happen("empty", 1)
		require.Equal(t, "id: 14||", l.lines(2))

		again := listen(t, client, path, header("Last-Event-ID", "14"))
		synctest.Wait()
		happen("table", 1)
		e, err = again.next()
		require.NoError(t, err)
		require.Equal(t, "15", e.id)
	})
}

func TestChangesOfManyTablesAreForWhoMaySeeThemAll(t *testing.T) {
	inBubble(t, new(site), func(t *testing.T, s *site, client *http.Client) {
		key := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+appKey) }
		require.Equal(t, 403, open(t, client, changes, key).StatusCode)
		require.Equal(t, 403, open(t, client, changes+"?appid=other", key).StatusCode)
		for _, l := range []*listener{listen(t, client, changes+"?after=0"), listen(t, client, changes+"?after=0&appid=app", key)} {
			e, err := l.next()
			require.NoError(t, err)
			require.Equal(t, "1", e.id)
		}
	})
}

func TestAdapterServesRowsAlone(t *testing.T) {
	s := (&site{configure: func(c *httpadapter.Config) { c.Update = nil }}).open(t)
	require.Equal(t, http.StatusOK, s.documented("GET", "/lv/prod", "").StatusCode)
	require.Equal(t, http.StatusNotFound, s.get("/upkeep/v1/updates/runs").StatusCode)
	for _, path := range []string{"/lv", "/lv/", "/lv/nothing", "/api/lv/release", "/lv/release/1/g/"} {
		r := s.documented("GET", path, "")
		require.Equal(t, http.StatusNotFound, r.StatusCode, path)
		checkEnvelope(t, path, r)
	}
}
