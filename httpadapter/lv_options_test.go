package httpadapter_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// assorted is a site with published rows of every kind in the table empty.
func assorted(t *testing.T) *site {
	s := new(site).open(t)
	table := s.rows.Table("app", "empty")
	for id, content := range map[string]string{
		"a": `{"isShow":true,"weight":10,"name":"ten","note":"x=1&y"}`,
		"b": `{"isShow":false,"weight":9,"name":"nine"}`,
		"c": `{"isShow":true,"weight":-1.5,"name":"\u006einus"}`,
		"d": `{"isShow":"true","weight":"10","name":"text"}`,
		"e": `{"isShow":true,"name":"none","list":[1],"null":null}`,
		"f": `"no object"`,
	} {
		_, err := table.Save(t.Context(), id, json.RawMessage(content), lv.By{Actor: "x"})
		require.NoError(t, err)
		_, err = table.Publish(t.Context(), lv.Production, lv.By{Actor: "x"}, id)
		require.NoError(t, err)
	}
	return s
}

// asked sends options to prod, of the table empty.
func (s *site) asked(options string) reply {
	return s.send("GET", "/lv/prod?appid=app&schemaid=empty&authid=kit&authkey="+appKey+"&"+options, "")
}

// ids returns the _id of each row of a good reply, in its order.
func (r reply) ids(t *testing.T) string {
	require.Equal(t, http.StatusOK, r.StatusCode, r.text)
	var body struct {
		Data []struct {
			ID string `json:"_id"`
		} `json:"data"`
	}
	require.NoError(t, json.Unmarshal([]byte(r.text), &body), r.text)
	ids := ""
	for _, row := range body.Data {
		ids += row.ID
	}
	return ids
}

func TestReadersAskForSomeRowsInAnOrder(t *testing.T) {
	s := assorted(t)
	for options, want := range map[string]string{
		"":                                   "abcdef",
		"filter=isShow%3Dtrue":               "acde",
		"filter=isShow%3Dtrue%26name%3Dnone": "e",
		"filter=name%3Dninus":                "c",
		"filter=weight%3D10":                 "ad",
		"filter=weight%3D10.0":               "",
		"filter=null%3Dnull":                 "e",
		"filter=list%3D%5B1%5D":              "",
		"filter=none%3D":                     "",
		"filter=_id%3Db":                     "b",
		"filter=_content%3Dno+object":        "f",
		"filter=":                            "abcdef",
		"sort=weight":                        "cbadef",
		"sort=weight&order=desc":             "dabcef",
		"order=desc":                         "fedcba",
		"order=asc":                          "abcdef",
		"sort=name&order=desc&size=2":        "da",
		"size=total&order=desc&sort=weight":  "dabcef",
		"size=2":                             "ab",
		"size=2&page=1":                      "ab",
		"size=2&page=2":                      "cd",
		"size=4&page=2":                      "ef",
		"size=4&page=3":                      "",
		"size=2&after=b":                     "cd",
		"filter=isShow%3Dtrue&size=2&page=2": "de",
		"filter=isShow%3Dtrue&after=a":       "cde",
		"env.content=x&x.isShow=false":       "abcdef",
		"size=1&page=9223372036854775807":    "",
	} {
		require.Equal(t, want, s.asked(options).ids(t), options)
		query := map[string]string{}
		parsed, err := url.ParseQuery(options)
		require.NoError(t, err)
		for name, values := range parsed {
			query[name] = values[0]
		}
		body, err := json.Marshal(map[string]any{"query": query})
		require.NoError(t, err)
		r := s.send("POST", "/api/lv/gray/any?appid=app&schemaid=empty&authid=kit&authkey="+appKey, string(body))
		require.Equal(t, want, r.ids(t), "in the body: %s", options)
	}
}

func TestReadersHaveTheNewestFirst(t *testing.T) {
	s := assorted(t)
	for range 9 { // so that versions have one figure and two
		s.saved(t, "other", `{}`)
		_, err := s.rows.Table("app", "empty").Save(t.Context(), "a", json.RawMessage(fmt.Sprintf(`{"n":%d}`, s.last(t, "other").ID)), lv.By{Actor: "x"})
		require.NoError(t, err)
	}
	_, err := s.rows.Table("app", "empty").Publish(t.Context(), lv.Production, lv.By{Actor: "x"}, "a")
	require.NoError(t, err)
	before := int64(math.MaxInt64)
	for _, row := range s.asked("sort=_version&order=desc").data(t).([]any) {
		version, err := strconv.ParseInt(row.(map[string]any)["_version"].(string), 10, 64)
		require.NoError(t, err)
		require.Less(t, version, before)
		before = version
	}
}

func TestReadersAskForSomeMembers(t *testing.T) {
	s := assorted(t)
	for options, want := range map[string]string{
		"include=name,weight&filter=_id%3Da":                       `{"name":"ten","weight":10}`,
		"include=name,none,_id&filter=_id%3Da":                     `{"_id":"a","name":"ten"}`,
		"exclude=_ctime,_mtime,_version,note,name&filter=_id%3Da":  `{"_id":"a","isShow":true,"weight":10}`,
		"include=name,weight&exclude=weight&filter=_id%3Da":        `{"name":"ten"}`,
		"include=_content&filter=_id%3Df":                          `{"_content":"no object"}`,
		"include=name&filter=_id%3Df":                              `{}`,
		"exclude=_ctime,_mtime,_version,&include=&filter=_id%3De":  `{"_id":"e","isShow":true,"list":[1],"name":"none","null":null}`,
		"include=name&sort=weight&order=desc&filter=weight%3D-1.5": `{"name":"ninus"}`,
	} {
		require.JSONEq(t, `{"code":200,"msg":"","data":[`+want+`]}`, s.asked(options).text, options)
	}
}

func TestWhatAReaderMayNotAskForIsNamed(t *testing.T) {
	s := assorted(t)
	for options, named := range map[string]string{
		"filter=isShow":             `filter: want member=value, not \"isShow\"`,
		"filter=a%21%3Db":           "filter: want member=value",
		"filter=a%3E%3D1":           "filter: want member=value",
		"filter=%3D1":               "filter: want member=value",
		"filter=a%3D1%26":           "filter: want member=value",
		"order=down":                "order must be asc or desc",
		"size=0":                    "size must be a whole number of at least 1",
		"size=x":                    "size must be",
		"page=0&size=1":             "page must be",
		"page=2":                    "a page needs a size",
		"page=2&size=1&after=a":     "page and after",
		"sort=name&after=a":         "after goes on by _id",
		"filters=a":                 `\"filters\" is not known here`,
		"version=1":                 `\"version\" is not known here`,
		"page=3&size=" + "99999999": "",
		"filter=" + strings.Repeat("a%3D1%26", 64) + "a%3D1": "at most 64",
	} {
		r := s.asked(options)
		if named == "" {
			require.Equal(t, "", r.ids(t), options)
			continue
		}
		require.Equal(t, http.StatusBadRequest, r.StatusCode, "%s: %s", options, r.text)
		require.Contains(t, r.text, named, options)
	}
}

func TestListsRefuseWhatTheyDoNotKnow(t *testing.T) {
	s := new(site).open(t)
	for _, r := range s.adapter.Routes() {
		path := strings.TrimPrefix(r.Pattern, "/api")
		if strings.HasPrefix(path, "/lv/list/") || strings.HasPrefix(path, "/lv/status") || path == "/lv/record" ||
			path == "/lv/prod" || strings.HasPrefix(path, "/lv/gray") {
			path = rowIDs.Replace(r.Pattern)
			for _, name := range []string{"limit", "filtre", "Size", "_"} {
				for _, method := range r.Methods {
					reply := s.documented(method, path+"?"+name+"=1", "")
					require.Equal(t, http.StatusBadRequest, reply.StatusCode, reply.text)
					require.Contains(t, reply.text, `\"`+name+`\" is not known here`)
				}
			}
			if s.adapter.TakesBody(r.Pattern, "POST") {
				reply := s.documented("POST", path, `{"filter":"a=b","size":1}`)
				require.Contains(t, reply.text, "is not known here: want query")
				require.Contains(t, s.documented("POST", path, `{"query":{"limit":1}}`).text, `\"limit\" is not known here`)
			}
		}
	}
}

func TestAnAnswerToABodyHasNoTag(t *testing.T) {
	s := assorted(t)
	get := func(body string, prepare ...func(*http.Request)) reply {
		return s.send("GET", "/lv/prod?appid=app&schemaid=empty&authid=kit&authkey="+appKey, body, prepare...)
	}
	tag := get("").Header.Get("ETag")
	require.NotEmpty(t, tag)
	require.Equal(t, tag, get("{}").Header.Get("ETag"), "it asks nothing")
	one := get(`{"query":{"size":1}}`)
	require.Empty(t, one.Header.Get("ETag"))
	require.Equal(t, "abc", get(`{"query":{"size":3}}`, header("If-None-Match", tag)).ids(t))
	require.Equal(t, http.StatusNotModified, get("", header("If-None-Match", tag)).StatusCode)
}

func TestAHistoryIsReadPageByPage(t *testing.T) {
	s := new(site).open(t)
	table := s.rows.Table("app", "table")
	var versions []string
	for i := range 5 {
		v, err := table.Save(t.Context(), "busy", json.RawMessage(`{"n":`+string(rune('0'+i))+`}`), lv.By{Actor: "x"})
		require.NoError(t, err)
		versions = append([]string{fmt.Sprint(int64(v.ID))}, versions...)
	}
	list := func(query string) (ids []string) {
		for _, v := range s.documented("GET", "/lv/list/busy?"+query, "").data(t).([]any) {
			ids = append(ids, v.(map[string]any)["versionId"].(string))
		}
		return ids
	}
	require.Equal(t, versions, list(""))
	require.Equal(t, versions[:2], list("size=2"))
	require.Equal(t, versions[2:4], list("size=2&after="+versions[1]))
	require.Equal(t, versions[4:], list("size=2&page=3"))
	require.Empty(t, list("after="+versions[4]))
	require.Equal(t, http.StatusNotFound, s.documented("GET", "/lv/list/busy?after=x", "").StatusCode)
}
