package httpadapter_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/update"
)

// target is a route under attack: what a good request to it would be.
type target struct {
	httpadapter.Route
	method string
	path   string
	body   string // an object, "" if the route reads none
	own    bool   // one of our own routes, with a bearer token
	limit  int64  // bytes of a body at most
}

// targets returns what the route table has, with every method but those of
// streams, which do not end. A route that is added to the table is attacked
// without a further line.
func (s *site) targets() []target {
	bodies := map[string]string{
		"/api/v1/update":                updateBody(admin),
		"/api/v1/update/progress":       `{"api_token":"` + admin + `","itemId":"core"}`,
		runs:                            `{"package":"demo/site"}`,
		"/lv/check":                     `{"ids":["a"]}`,
		"/upkeep/v1/lv/changelists":     `{"changes":[{"object_id":"a","to":"working"}]}`,
		"/upkeep/v1/lv/rows/{objectId}": `{"content":{"name":"attack"}}`,
		"/upkeep/v1/lv/strategies/test": `{"rules":[{"type":"and","rules":[{"field":"a","relation":"eq","value":"b"}]}]}`,
	}
	var all []target
	for _, r := range s.adapter.Routes() {
		for _, method := range r.Methods {
			if endless(r.Pattern) {
				continue
			}
			t := target{Route: r, method: method, own: strings.HasPrefix(r.Pattern, "/upkeep/v1/")}
			t.path = wildcard.ReplaceAllString(r.Pattern, "nobody")
			if t.limit = s.adapter.BodyLimit(r.Pattern, method); t.limit > 0 {
				t.body = `{"reason":"attack"}`
				if body, ok := bodies[strings.TrimPrefix(r.Pattern, "/api")]; ok {
					t.body = body
				}
			}
			all = append(all, t)
		}
	}
	return all
}

// wildcard is an id in a pattern.
var wildcard = regexp.MustCompile(`\{[^}]*\}`)

// request returns the good request with another path or body.
func (t target) request(path, body string) *http.Request {
	if t.API == httpadapter.LVAPI {
		path, query, _ := strings.Cut(path, "?")
		r := httptest.NewRequest(t.method, path, strings.NewReader(body))
		r.URL.RawQuery = "appid=app&schemaid=table&"
		if t.own {
			as(admin)(r)
		} else {
			r.URL.RawQuery += "authid=kit&authkey=" + appKey + "&"
			r.Header.Set("Staffname", "操作人")
		}
		r.URL.RawQuery += query
		return r
	}
	r := httptest.NewRequest(t.method, path, strings.NewReader(body))
	if t.own {
		as(admin)(r)
	}
	return r
}

// hostileBodies make something bad of a good object.
var hostileBodies = []struct {
	name string
	make func(good string) string
}{
	{"null", func(string) string { return `null` }},
	{"an array", func(good string) string { return "[" + good + "]" }},
	{"a bare string", func(string) string { return `"x"` }},
	{"a number", func(string) string { return `1e400` }},
	{"a word", func(string) string { return `hello` }},
	{"a form", func(string) string { return `api_token=x&package=y` }},
	{"truncated", func(good string) string { return good[:len(good)-1] }},
	{"garbage at the end", func(good string) string { return good + "x" }},
	{"two values", func(good string) string { return good + good }},
	{"a NUL at the end", func(good string) string { return good + "\x00" }},
	{"a member twice", func(good string) string { return good[:len(good)-1] + "," + good[1:] }},
	{"a member twice by escape", func(good string) string {
		return good[:len(good)-1] + fmt.Sprintf(`,"\u%04x`, good[2]) + good[3:]
	}},
	{"a member twice below", func(good string) string { return member(good, `{"a":1,"a":2}`) }},
	{"invalid UTF-8", func(good string) string { return member(good, "\"\xff\"") }},
	{"overlong UTF-8", func(good string) string { return member(good, "\"\xc0\xaf\"") }},
	{"half a surrogate", func(good string) string { return member(good, `"\ud800"`) }},
	{"a byte order mark", func(good string) string { return "\xef\xbb\xbf" + good }},
	{"a NUL in a string", func(good string) string { return member(good, "\"\x00\"") }},
	{"65 levels", func(good string) string { return member(good, strings.Repeat("[", 64)+strings.Repeat("]", 64)) }},
	{"10,001 levels", func(good string) string { return member(good, strings.Repeat("[", 10_001)+strings.Repeat("]", 10_001)) }},
	{"10,001 levels without an end", func(string) string { return strings.Repeat(`{"a":`, 10_001) }},
	{"a comment", func(good string) string { return good + "//" }},
	{"a value of no kind", func(good string) string { return member(good, "NaN") }},
	{"a number of no kind", func(good string) string { return member(good, "0x10") }},
}

// member adds a member to an object.
func member(object, value string) string { return object[:len(object)-1] + `,"more":` + value + "}" }

// hostileHeaders are headers that no route with a body takes.
var hostileHeaders = [][2]string{
	{"Content-Encoding", "gzip"}, {"Content-Encoding", "deflate, identity"},
	{"Content-Type", "multipart/form-data; boundary=x"}, {"Content-Type", "text/plain; charset=gbk"},
	{"Content-Type", "application/octet-stream"}, {"Content-Type", "\x00"}, {"Content-Type", ""},
}

// hostileIDs are escaped path segments that are no ids.
var hostileIDs = []string{
	"%00", "a%00", "%0A", "%0D%0A", "%1B%5B2J", "%7F", "%C2%85", "%ff", "%C0%AF", "%ED%A0%80",
	strings.Repeat("x", 257), strings.Repeat("x", 4<<10),
}

// oddIDs are path segments that are ids, of nothing.
var oddIDs = []string{
	"%2F", "a%2Fb", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5C", "%20", "%22%3E%3Cscript%3E", "%E2%80%AE",
	"batch", "publish", "patch", "delete", "null", "0", "-1", "a;b", "%25zz", "%7Bid%7D", "CON", strings.Repeat("x", 256),
}

// hostileQueries are refused by every route.
var hostileQueries = []string{
	"a=1;b=2", "%zz=1", "a=%ff", "%ff=a", "package=a&package=a", "after=0&after=1", strings.Repeat("x", 8<<10+1),
}

func TestNoRouteFallsForHostileInput(t *testing.T) {
	s := (&site{configure: func(c *httpadapter.Config) { c.Limits.Logins = -1 }}).open(t)
	var acted atomic.Int64
	for _, pattern := range []string{"/upkeep/v1/added/{id}", "/upkeep/v1/added"} {
		s.adapter.Add(httpadapter.Route{
			API: httpadapter.UpkeepAPI, Methods: []string{"GET", "POST"}, Pattern: pattern, Needs: httpadapter.Admin, Changes: true,
		}, func(http.ResponseWriter, *http.Request) { acted.Add(1) })
	}
	before := s.fingerprint(t, &acted)
	attack := func(t *testing.T, target target, r *http.Request, refused bool) {
		w := httptest.NewRecorder()
		s.adapter.ServeHTTP(w, r)
		got := reply{w.Result(), w.Body.String(), r.Method}
		require.Less(t, got.StatusCode, 500, got.text)
		checkEnvelope(t, target.Pattern, got)
		if refused {
			require.GreaterOrEqual(t, got.StatusCode, 400, got.text)
			require.Equal(t, before, s.fingerprint(t, &acted), got.text)
		}
		before = s.fingerprint(t, &acted)
	}
	for _, target := range s.targets() {
		t.Run(target.method+" "+target.Pattern, func(t *testing.T) {
			for _, query := range hostileQueries {
				attack(t, target, target.request(target.path+"?"+query, target.body), true)
			}
			for _, authorization := range []string{"", "Bearer", admin, "Bearer  " + admin, "Basic " + admin, "Bearer " + admin + "\x00"} {
				if target.own {
					r := target.request(target.path, target.body)
					r.Header.Set("Authorization", authorization)
					attack(t, target, r, true)
				}
			}
			for _, id := range hostileIDs {
				if path := wildcard.ReplaceAllLiteralString(target.Pattern, id); path != target.Pattern {
					attack(t, target, target.request(path, target.body), true)
				}
			}
			for _, id := range oddIDs {
				if path := wildcard.ReplaceAllLiteralString(target.Pattern, id); path != target.Pattern {
					attack(t, target, target.request(path, target.body), false)
				}
			}
			for _, path := range []string{target.path + "/", "/" + target.path, "/." + target.path, "/x/.." + target.path} {
				attack(t, target, target.request("http://site"+path, target.body), true)
			}
			if target.body == "" {
				attack(t, target, target.request(target.path, strings.Repeat("{", 1<<20)), false) // is not read
				return
			}
			long := strings.Repeat("x", int(target.limit))
			bodies := []string{member(target.body, `"`+long+`"`), strings.Repeat(" ", int(target.limit)+1)}
			for _, hostile := range hostileBodies {
				bodies = append(bodies, hostile.make(target.body))
			}
			for _, body := range bodies {
				attack(t, target, target.request(target.path, body), true)
				chunked := target.request(target.path, body)
				chunked.ContentLength = -1
				attack(t, target, chunked, true)
			}
			for _, h := range hostileHeaders {
				r := target.request(target.path, target.body)
				r.Header.Set(h[0], h[1])
				ignored := h[0] == "Content-Type" && documentsRows(target.Pattern)
				attack(t, target, r, h[1] != "" && !ignored)
			}
		})
	}
}

// fingerprint is everything that a request could change.
func (s *site) fingerprint(t testing.TB, acted *atomic.Int64) string {
	text := fmt.Sprintf("acted %d, installed %d", acted.Load(), s.installs.Load())
	for _, run := range s.history(t) {
		text += fmt.Sprintf(", %s %s %d", run.ID, run.State, run.Rev)
	}
	text += s.published(t)
	lease, err := s.db.Locker().Holder(context.Background(), update.DefaultLock)
	return fmt.Sprint(text, lease, err)
}

func TestForgedHeadersAreIgnored(t *testing.T) {
	s := new(site).open(t)
	want := s.get("/upkeep/v1/updates/packages")
	for _, h := range [][2]string{
		{"X-HTTP-Method-Override", "POST"}, {"X-Method-Override", "DELETE"}, {"X-Original-URL", runs}, {"X-Rewrite-URL", runs},
		{"X-Forwarded-For", "127.0.0.1"}, {"X-Forwarded-Host", "evil.example"}, {"X-Forwarded-Prefix", "/x"}, {"Forwarded", "for=127.0.0.1"},
	} {
		got := s.send("GET", "/upkeep/v1/updates/packages", "", as(admin), header(h[0], h[1]))
		require.Equal(t, want.Header, got.Header)
		require.Equal(t, want.text, got.text, h[0])
	}
	for _, h := range []string{"X-Forwarded-For", "X-Real-IP", "Forwarded"} {
		got := s.send("GET", runs, "", header(h, "127.0.0.1"))
		require.Equal(t, http.StatusUnauthorized, got.StatusCode, h)
	}
}

func TestThousandConnectsToTheEventsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(site).open(t)
		ctx, leave := context.WithCancel(t.Context())
		var refused atomic.Int64
		done := make(chan struct{}, 1000)
		for range 1000 {
			go func() {
				r := s.send("GET", events, "", as(admin), func(r *http.Request) { *r = *r.WithContext(ctx) })
				if r.StatusCode == http.StatusTooManyRequests {
					refused.Add(1)
				}
				done <- struct{}{}
			}()
		}
		synctest.Wait()
		require.EqualValues(t, 1000-16, refused.Load())
		require.Equal(t, 16, s.adapter.OpenStreams())
		leave()
		for range 1000 {
			<-done
		}
		require.Zero(t, s.adapter.OpenStreams())
	})
}
