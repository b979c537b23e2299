package httpadapter_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/lv"
)

// last returns the newest version of a row.
func (s *site) last(t testing.TB, row string) lv.Version {
	for v, err := range s.rows.Table("app", "table").History(t.Context(), lv.Query{Row: row}) {
		require.NoError(t, err)
		return v
	}
	require.Fail(t, "no such row", row)
	return lv.Version{}
}

// at returns what stands at a path of members and indices.
func at(t testing.TB, v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			require.Contains(t, v, step)
			v = v.(map[string]any)[step]
		case int:
			require.Greater(t, len(v.([]any)), step)
			v = v.([]any)[step]
		}
	}
	return v
}

func TestRepliesOfTheDocumentHaveExactlyTheirMembers(t *testing.T) {
	s := new(site).open(t)
	for path, members := range map[string][]string{
		"/lv/status/0":     {"objectId", "versionId", "status", "content", "mtime"},
		"/api/lv/status/2": {"objectId", "versionId", "status", "content", "mtime"},
		"/lv/list/a":       {"versionId", "op", "content", "desc", "actor", "time"},
		"/lv/record":       {"actionId", "objectId", "versionId", "actor", "time", "shown"},
		"/lv/prod":         {"_id", "_version", "_ctime", "_mtime", "name"},
		"/lv/gray/g":       {"_id", "_version", "_ctime", "_mtime", "name"},
	} {
		first := at(t, s.documented("GET", path, "").data(t), 0).(map[string]any)
		require.Len(t, first, len(members), path)
		for _, name := range members {
			require.Contains(t, first, name, path)
		}
	}
	record := at(t, s.documented("GET", "/lv/record", "").data(t), 0)
	require.Equal(t, fmt.Sprint(s.last(t, "b").ID), at(t, record, "actionId"))
	require.Equal(t, "2", at(t, record, "versionId"), "what production shows")
	require.Equal(t, "setup", at(t, record, "actor"))
	checks := s.documented("POST", "/lv/check", `{"ids":["c","nobody","a","b","c"]}`)
	require.JSONEq(t, `{"code":200,"msg":"","data":[{"id":"c","status":2},{"id":"nobody","status":0},{"id":"a","status":2},{"id":"b","status":0},{"id":"c","status":2}]}`, checks.text)
}

func TestChangesOfTheDocumentSayWhatMovedAndKeepWhoAndWhy(t *testing.T) {
	s := new(site).open(t)
	a2 := fmt.Sprint(s.last(t, "a").ID)
	published := s.documented("POST", "/lv/publish/a", `{"desc":"上线"}`).data(t)
	require.Equal(t, a2, at(t, published, "versionId"))
	release := at(t, published, "releaseId")
	for r, err := range s.rows.Table("app", "table").Releases(t.Context(), lv.Query{}) {
		require.NoError(t, err)
		require.Equal(t, release, fmt.Sprint(r.ID))
		require.Equal(t, []any{"操作人", "上线", lv.Production}, []any{r.By.Actor, r.By.Reason, r.Env})
		break
	}
	s.documented("POST", "/lv/rollback/1", `{"desc":"undo"}`).data(t)
	require.Equal(t, lv.By{Actor: "操作人", Reason: "undo"}, s.last(t, "a").By)
	require.Equal(t, lv.OpRestore, s.last(t, "a").Op)

	reset := s.documented("GET", "/lv/rollback2gray/batch/g", `{"objectIds":["a","c"]}`).data(t)
	require.Equal(t, "", at(t, reset, "versionId"))
	require.NotEmpty(t, at(t, reset, "releaseId"))
	nothing := s.documented("GET", "/lv/rollback2gray/batch/new", `{"objectIds":["c"]}`).data(t)
	require.Equal(t, map[string]any{"releaseId": "", "versionId": ""}, nothing)
}

func TestChangeByGetThatIsSentAgainChangesNothing(t *testing.T) {
	s := new(site).open(t)
	for _, path := range []string{
		"/lv/rollback/1", "/lv/release/4", "/lv/release/4/", "/lv/release/4/g", "/lv/rollback2gray/1/g", "/lv/rollback2gray/batch/g", "/lv/publish/c",
	} {
		body := `{"objectIds":["a"]}`
		first := s.documented("GET", path, body)
		first.data(t)
		before := s.published(t)
		again := s.documented("GET", path, body)
		require.Equal(t, first.text, again.text, path)
		require.Equal(t, before, s.published(t), path)
	}
}

func TestDeletionIsPublishedOnceAndNotAfterTheRowCameBack(t *testing.T) {
	s := new(site).open(t)
	action := fmt.Sprint(s.last(t, "b").ID)
	publish := func(body string) reply { return s.documented("POST", "/lv/record/publish", body) }
	gray := publish(`{"actionId":"` + action + `","grayId":"g"}`)
	gray.data(t)
	require.NotContains(t, s.documented("GET", "/lv/gray/g", "").text, "b1")
	require.Contains(t, s.documented("GET", "/lv/prod", "").text, "b1")
	require.Equal(t, gray.text, publish(`{"actionId":"`+action+`","grayId":"g"}`).text)
	require.Equal(t, 404, publish(`{"actionId":"1"}`).StatusCode, "a version that deletes nothing")
	require.Equal(t, 400, publish(`{"actionId":"`+action+`","grayId":"`+strings.Repeat("x", 257)+`"}`).StatusCode)

	_, err := s.rows.Table("app", "table").Save(t.Context(), "b", json.RawMessage(`{"name":"b2"}`), lv.By{Actor: "x"})
	require.NoError(t, err)
	late := publish(`{"actionId":"` + action + `"}`)
	require.Equal(t, http.StatusConflict, late.StatusCode, late.text)
	checkEnvelope(t, "/lv", late)
}

func TestStaffnameIsNeededForEveryChange(t *testing.T) {
	s := new(site).open(t)
	before := s.published(t)
	query := "?appid=app&schemaid=table&authid=kit&authkey=" + appKey
	for _, staff := range [][]string{
		nil, {""}, {"a", "b"}, {"a\tb"}, {"\x1b[2J"}, {"\u0085"}, {"\xff"}, {strings.Repeat("x", 129)}, {strings.Repeat("中", 43)},
	} {
		for _, path := range []string{"/lv/rollback/1", "/api/lv/publish/a", "/lv/release/4"} {
			r := s.send("GET", path+query, "", func(r *http.Request) { r.Header["Staffname"] = staff })
			require.Equal(t, http.StatusBadRequest, r.StatusCode, "%q: %s", staff, r.text)
			require.Contains(t, r.text, "Staffname")
			checkEnvelope(t, path, r)
		}
	}
	require.Equal(t, before, s.published(t))
	require.Equal(t, http.StatusOK, s.send("GET", "/lv/prod"+query, "").StatusCode, "who only looks need not say who")
	for _, staff := range []string{strings.Repeat("x", 128), strings.Repeat("中", 42)} {
		require.Equal(t, http.StatusOK, s.send("GET", "/lv/rollback/1"+query, "", header("Staffname", staff)).StatusCode)
	}
}

func TestKeyPairCountsOnlyTogetherAndWhereItBelongs(t *testing.T) {
	s := (&site{configure: func(c *httpadapter.Config) {
		c.Limits.Logins = -1
		c.Tables = append(c.Tables, lv.TableID{App: "app", Schema: "other"}, lv.TableID{App: "apple", Schema: "table"})
		c.Auth.(httpadapter.Secrets)["one"] = httpadapter.Principal{ID: "tab", Role: httpadapter.Editor, Scopes: []string{"app/table"}}
		c.Auth.(httpadapter.Secrets)["none"] = httpadapter.Principal{ID: "nil", Role: httpadapter.Editor, Scopes: []string{""}}
		c.Auth.(httpadapter.Secrets)["empty"] = httpadapter.Principal{ID: "nul", Role: httpadapter.Editor, Scopes: []string{}}
	}}).open(t)
	tests := []struct {
		app, schema, id, key string
		status               int
	}{
		{"app", "table", "kit", appKey, 200},
		{"app", "other", "kit", appKey, 200},
		{"app", "zzz", "kit", appKey, 404},
		{"app", "table", "tab", "one", 200},
		{"app", "other", "tab", "one", 401},
		{"app", "tablet", "tab", "one", 401},
		{"apple", "table", "kit", appKey, 401},
		{"apple", "table", "ann", admin, 200},
		{"app", "table", "tab", appKey, 401},
		{"app", "table", "kit", "one", 401},
		{"app", "table", "nil", "none", 401},
		{"app", "table", "nul", "empty", 401},
		{"app", "table", "kit", appKey[:len(appKey)-1] + "x", 401},
		{"app", "table", "", appKey, 401},
		{"app", "table", "kit", "", 401},
		{"", "table", "kit", appKey, 400},
		{"app", "", "kit", appKey, 400},
		{"app/table", "x", "kit", appKey, 400},
	}
	for _, tt := range tests {
		r := s.send("GET", fmt.Sprintf("/lv/prod?appid=%s&schemaid=%s&authid=%s&authkey=%s", tt.app, tt.schema, tt.id, tt.key), "")
		require.Equal(t, tt.status, r.StatusCode, "%v: %s", tt, r.text)
		checkEnvelope(t, "/lv/prod", r)
		require.NotContains(t, r.text+s.log.String(), appKey)
	}
	own := func(path, token string) int { return s.send("GET", "/upkeep/v1/lv/"+path, "", as(token)).StatusCode }
	require.Equal(t, 200, own("rows?appid=app&schemaid=table", "one"))
	require.Equal(t, 403, own("rows?appid=app&schemaid=other", "one"))
	require.Equal(t, 403, own("tables", "one"))
	require.Equal(t, 403, own("changes", "one"))
	require.Equal(t, 403, s.send("GET", "/upkeep/v1/updates/runs", "", as(appKey)).StatusCode, "the key of an app is for rows only")
}

func TestReadersSeeContentAsItWasSaved(t *testing.T) {
	s := new(site).open(t)
	table := s.rows.Table("app", "empty")
	for id, content := range map[string]string{
		"1": `{ "n" : 9007199254740993 , "x" : 1.0 }`, "2": `{}`, "3": ` { } `, "4": `[1,2]`, "5": `"text"`, "6": `null`,
		"7": `{"_id":"forged","_version":"999","_more":true}`, "8": `{"\u005fid":"forged","a":"<b>"}`, "9": `{"a":{"_id":"below"}}`,
	} {
		_, err := table.Save(t.Context(), id, json.RawMessage(content), lv.By{Actor: "x"})
		require.NoError(t, err)
		_, err = table.Publish(t.Context(), lv.Production, lv.By{Actor: "x"}, id)
		require.NoError(t, err)
	}
	r := s.send("GET", "/lv/prod?appid=app&schemaid=empty&authid=kit&authkey="+appKey, "")
	require.NoError(t, web.Scan([]byte(r.text)), r.text)
	rows := r.data(t).([]any)
	require.Len(t, rows, 9)
	for i, row := range rows {
		require.Equal(t, fmt.Sprint(i+1), at(t, row, "_id"))
	}
	require.Contains(t, r.text, `9007199254740993`)
	require.Contains(t, r.text, `1.0`)
	require.Len(t, rows[1], 4)
	require.Len(t, rows[2], 4)
	require.Equal(t, []any{1.0, 2.0}, at(t, rows[3], "_content"))
	require.Equal(t, "text", at(t, rows[4], "_content"))
	require.Nil(t, at(t, rows[5], "_content"))
	require.Equal(t, true, at(t, rows[6], "_more"))
	require.NotEqual(t, "999", at(t, rows[6], "_version"))
	require.Equal(t, "<b>", at(t, rows[7], "a"))
	require.Equal(t, "below", at(t, rows[8], "a", "_id"))
}

func TestReadThatKnowsTheStateIsNotSentAgain(t *testing.T) {
	s := new(site).open(t)
	for _, path := range []string{"/lv/prod", "/lv/gray/g"} {
		first := s.documented("GET", path, "")
		tag := first.Header.Get("ETag")
		require.NotEmpty(t, tag)
		for _, known := range []string{tag, "W/" + tag, `"0", ` + tag} {
			again := s.documented("GET", path, "", header("If-None-Match", known))
			require.Equal(t, http.StatusNotModified, again.StatusCode)
			require.Empty(t, again.text)
			require.Equal(t, tag, again.Header.Get("ETag"))
			require.Empty(t, again.Header.Get("Content-Length"))
		}
		require.Equal(t, http.StatusOK, s.documented("POST", path, "{}", header("If-None-Match", tag)).StatusCode)
		s.documented("POST", "/lv/publish2gray/h/c", "").data(t)
		changed := s.documented("GET", path, "", header("If-None-Match", tag))
		require.Equal(t, http.StatusOK, changed.StatusCode)
		require.NotEqual(t, tag, changed.Header.Get("ETag"))
		s.documented("GET", "/lv/rollback2gray/batch/h", `{"objectIds":["c"]}`).data(t)
	}
}

func TestTagOfAStoreThatBeganAnewIsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tagged := map[string]string{}
		for _, path := range []string{"/lv/prod", "/lv/gray/g"} {
			tagged[path] = new(site).open(t).documented("GET", path, "").Header.Get("ETag")
			require.NotEmpty(t, tagged[path])
		}
		time.Sleep(time.Second)
		anew := new(site).open(t) // with the same events, but it could be others
		for path, tag := range tagged {
			require.Equal(t, http.StatusOK, anew.documented("GET", path, "", header("If-None-Match", tag)).StatusCode)
		}
	})
}

func TestQueryTooLongForTheURLComesInTheBody(t *testing.T) {
	s := new(site).open(t)
	page := s.documented("GET", "/lv/prod?size=1&after=a", "")
	require.Contains(t, page.text, "b1")
	require.Len(t, page.data(t), 1)
	for _, method := range []string{"GET", "POST"} {
		r := s.documented(method, "/lv/prod", `{"query":{"size":1,"after":"a","vip.yes":true}}`)
		require.Equal(t, page.text, r.text)
	}
	for _, body := range []string{`{"query":{"size":0}}`, `{"query":{"size":{}}}`, `{"query":{"size":null}}`, `{"query":{"appid":"other"}}`, `{"query":[]}`} {
		r := s.documented("POST", "/lv/prod", body)
		require.Equal(t, http.StatusBadRequest, r.StatusCode, "%s: %s", body, r.text)
	}
	require.Len(t, s.documented("GET", "/lv/status/0?size=1", "").data(t), 1)
}

func TestBatchesAndDescriptionsAreBounded(t *testing.T) {
	s := new(site).open(t)
	list := func(n int) string {
		ids, err := json.Marshal(strings.Split(strings.TrimSuffix(strings.Repeat("x,", n), ","), ","))
		require.NoError(t, err)
		return string(ids)
	}
	require.Len(t, s.documented("POST", "/lv/check", `{"ids":`+list(1000)+`}`).data(t), 1000)
	for path, body := range map[string]string{
		"/lv/check":                 `{"ids":` + list(1001) + `}`,
		"/lv/check?x":               `{"ids":["\n"]}`,
		"/lv/rollback2gray/batch/g": `{"objectIds":` + list(1001) + `}`,
		"/lv/publish/a":             `{"desc":"` + strings.Repeat("x", 4<<10+1) + `"}`,
		"/lv/record/publish":        `{"actionId":"6","desc":"` + strings.Repeat("x", 4<<10+1) + `"}`,
	} {
		r := s.documented("POST", path, body)
		require.Equal(t, http.StatusBadRequest, r.StatusCode, "%s: %s", path, r.text)
	}
	s.documented("POST", "/lv/publish/a", `{"desc":"`+strings.Repeat("x", 4<<10)+`"}`).data(t)
}
