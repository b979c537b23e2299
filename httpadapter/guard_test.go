package httpadapter_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/update"
)

// checkEnvelope checks that a reply is in the envelope of the path's API, and
// safe to have in a browser.
func checkEnvelope(t testing.TB, path string, r reply) {
	of := target{Route: httpadapter.Route{Pattern: path}}
	of.own = !strings.HasPrefix(path, "/api/v1/update") && !documentsRows(path) && !documentsFirmware(path) && !documentsRollouts(path) && !documentsSync(path)
	of.wire.Raw = r.Header.Get("Content-Type") == rawMedia
	of.wire.Stream = r.Header.Get("Content-Type") == "text/event-stream"
	require.NoError(t, envelope(of, r), path)
}

// documentsRows reports whether a path is one of the row-version API's.
func documentsRows(path string) bool {
	path = strings.TrimPrefix(path, "/svc")
	return strings.HasPrefix(path, "/lv") || strings.HasPrefix(path, "/api/lv")
}

// documentsFirmware reports whether a path is one of the update status API's.
func documentsFirmware(path string) bool {
	return strings.HasPrefix(strings.TrimPrefix(path, "/svc"), "/api/update")
}

// documentsSync reports whether a path is one of the cloud sync API's.
func documentsSync(path string) bool {
	path = strings.TrimPrefix(path, "/svc")
	return strings.HasPrefix(path, "/api/sync") || path == "/ws" || strings.HasPrefix(path, "/ws/")
}

// documentsRollouts reports whether a path is that of the rolling update.
func documentsRollouts(path string) bool {
	return strings.HasPrefix(strings.TrimPrefix(path, "/svc"), "/componenttcb")
}

func TestWrongMethodIsAnsweredInTheEnvelope(t *testing.T) {
	s := new(site).open(t)
	allowed := map[string][]string{}
	for _, r := range s.adapter.Routes() {
		allowed[r.Pattern] = append(allowed[r.Pattern], r.Methods...)
		require.False(t, r.Changes && slices.Contains(r.Methods, "HEAD"), "HEAD never acts: %s", r.Pattern)
		endless := s.adapter.Wire(r.Pattern, r.Methods[0]).Stream
		require.False(t, endless && slices.Contains(r.Methods, "HEAD"), "a HEAD would have to wait for the end: %s", r.Pattern)
	}
	for pattern, methods := range allowed {
		slices.Sort(methods)
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "post"} {
			if slices.Contains(methods, method) {
				continue
			}
			path := wildcard.ReplaceAllString(pattern, "x")
			r := s.send(method, path, "", as(admin), header("X-HTTP-Method-Override", methods[0]))
			require.Equal(t, http.StatusMethodNotAllowed, r.StatusCode, "%s %s", method, path)
			require.Equal(t, strings.Join(methods, ", "), r.Header.Get("Allow"))
			checkEnvelope(t, path, r)
		}
	}
	require.Empty(t, s.history(t))
}

func TestHeadTellsWhatGetWouldAndNoMore(t *testing.T) {
	s := new(site).open(t)
	get, head := s.get(runs), s.send("HEAD", runs, "", as(admin))
	require.Equal(t, http.StatusOK, head.StatusCode)
	require.Equal(t, get.Header, head.Header)
	require.Empty(t, head.text)
}

func TestCrossSiteRequestsChangeNothing(t *testing.T) {
	s := (&site{configure: func(c *httpadapter.Config) { c.TrustedOrigins = []string{"https://admin.example"} }}).open(t)
	acted := 0
	s.adapter.Add(httpadapter.Route{
		API: httpadapter.UpkeepAPI, Methods: []string{"GET", "POST"}, Pattern: "/upkeep/v1/acts", Needs: httpadapter.Admin, Changes: true,
	}, func(http.ResponseWriter, *http.Request) { acted++ })
	s.mux = http.NewServeMux()
	s.adapter.Register(s.mux)
	tests := []struct {
		name         string
		site, origin string
		refused      bool
	}{
		{"no browser", "", "", false},
		{"the page itself", "same-origin", "http://example.com", false},
		{"typed by the user", "none", "", false},
		{"another site", "cross-site", "https://evil.example", true},
		{"another site without an origin", "cross-site", "", true},
		{"a neighbour", "same-site", "https://other.example.com", true},
		{"an old browser on the page", "", "http://example.com", false},
		{"an old browser elsewhere", "", "https://evil.example", true},
		{"an opaque origin", "", "null", true},
		{"a trusted origin", "cross-site", "https://admin.example", false},
		{"nearly a trusted origin", "cross-site", "https://admin.example.evil.example", true},
	}
	for _, tt := range tests {
		for _, r := range s.adapter.Routes() {
			for _, method := range r.Methods {
				t.Run(tt.name+": "+method+" "+r.Pattern, func(t *testing.T) {
					before := acted
					if s.adapter.Wire(r.Pattern, method).Stream {
						t.Skip("does not end")
					}
					reply := s.ask(r, method, admin, func(r *http.Request) {
						r.Host = "example.com"
						if tt.site != "" {
							r.Header.Set("Sec-Fetch-Site", tt.site)
						}
						if tt.origin != "" {
							r.Header.Set("Origin", tt.origin)
						}
					})
					refused := reply.StatusCode == http.StatusForbidden
					require.Equal(t, tt.refused && (r.Changes || s.adapter.Wire(r.Pattern, method).Socket), refused, reply.text)
					checkEnvelope(t, r.Pattern, reply)
					if refused {
						require.Equal(t, before, acted)
						told := "Cross-site request refused"
						if documentsRollouts(r.Pattern) { // which has no word for it
							told = "invalid access_token"
						}
						require.Contains(t, reply.text, told)
					}
				})
			}
		}
	}
	require.NotZero(t, acted)
}

func TestPanicOfABackendIsAnsweredInTheEnvelope(t *testing.T) {
	s := new(site).open(t)
	s.journal.before = func() error { panic("the disk is gone: /secret/path") }
	for _, r := range []reply{s.get(runs + "/x"), s.send("POST", "/api/v1/update", updateBody(admin))} {
		require.Equal(t, http.StatusInternalServerError, r.StatusCode)
		require.NotContains(t, r.text, "secret")
		_, id, ok := strings.Cut(r.text, "request ")
		require.True(t, ok, r.text)
		require.Contains(t, s.log.String(), "request_id="+id[:26], "the log has what the caller can ask about")
	}
	require.Contains(t, s.log.String(), "/secret/path")
	require.Contains(t, s.log.String(), "guard_test.go", "a stack")
	require.NotContains(t, s.log.String(), admin)

	s.journal.before = nil
	run := s.history(t)[0]
	_, err := s.updater.Wait(t.Context(), run.ID)
	require.NoError(t, err, "the update went on")
	require.Equal(t, http.StatusOK, s.send("POST", "/api/v1/update", updateBody(admin)).StatusCode, "and the lock is free")
}

func TestAbortOfAHandlerIsPassedOn(t *testing.T) {
	s := new(site).open(t)
	s.journal.before = func() error { panic(http.ErrAbortHandler) }
	require.PanicsWithError(t, http.ErrAbortHandler.Error(), func() { s.get(runs + "/x") })
	require.Empty(t, s.log.String())
}

func TestUnknownErrorsAreNotTold(t *testing.T) {
	s := new(site).open(t)
	s.journal.before = func() error { return errors.New("postgres://user:hunter2@db") }
	r := s.get(runs + "/x")
	require.Equal(t, http.StatusInternalServerError, r.StatusCode)
	require.Equal(t, "internal", r.problem(t))
	require.NotContains(t, r.text, "hunter2")
	require.Contains(t, s.log.String(), "hunter2")
}

func TestCallerThatLeavesIsNoErrorOfOurs(t *testing.T) {
	s := new(site).open(t)
	shutdown := errors.New("the proxy shuts down")
	for _, err := range []error{context.Canceled, shutdown} {
		ctx, cancel := context.WithCancelCause(t.Context())
		s.journal.before = func() error { cancel(shutdown); return fmt.Errorf("reading: %w", err) }
		r := s.send("GET", runs+"/x", "", as(admin), func(r *http.Request) { *r = *r.WithContext(ctx) })
		require.Equal(t, http.StatusServiceUnavailable, r.StatusCode)
		require.Equal(t, "unavailable", r.problem(t))
		require.Empty(t, s.log.String())
	}
}

func TestTimeoutThatIsNotTheCallersIsAnErrorOfOurs(t *testing.T) {
	for _, err := range []error{context.Canceled, context.DeadlineExceeded} {
		s := new(site).open(t)
		s.journal.before = func() error { return fmt.Errorf("asking db-7: %w", err) }
		for _, r := range []reply{s.get(runs + "/x"), s.send("POST", "/api/v1/update", updateBody(admin))} {
			require.Equal(t, http.StatusInternalServerError, r.StatusCode, r.text)
			_, id, told := strings.Cut(r.text, "request ")
			require.True(t, told, r.text)
			require.Contains(t, s.log.String(), "request_id="+id[:26])
		}
		require.Equal(t, 2, strings.Count(s.log.String(), "db-7"))

		s.journal.before = func() error { return fmt.Errorf("%w: %w", update.ErrNotFound, err) }
		require.Equal(t, http.StatusNotFound, s.get(runs+"/x").StatusCode, "what the domain makes of it goes first")
	}
}

func TestIDsInPathsAreChecked(t *testing.T) {
	s := new(site).open(t)
	for id, status := range map[string]int{
		"x":                             404,
		"a%2Fb":                         404,
		"%2e":                           400,
		"%2e%2e":                        400,
		"%E4%B8%AD":                     404,
		"batch":                         404,
		strings.Repeat("x", 256):        404,
		strings.Repeat("x", 257):        400,
		strings.Repeat("%E4%B8%AD", 86): 400,
		"%00":                           400,
		"a%0Ab":                         400,
		"a%7F":                          400,
		"%C2%85":                        400,
		"%ff":                           400,
		"%C0%AF":                        400,
	} {
		r := s.get(runs + "/" + id)
		require.Equal(t, status, r.StatusCode, "%s: %s", id, r.text)
		if status == 400 {
			require.Equal(t, "invalid-id", r.problem(t))
		}
	}
}

func TestQueriesAreReadStrictly(t *testing.T) {
	s := new(site).open(t)
	for query, status := range map[string]int{
		"package=demo/site":                         200,
		"unknown=1":                                 200,
		"package=a&package=a":                       400,
		"unknown=1&unknown=2":                       400,
		"package=a;live=true":                       400,
		"package=%zz":                               400,
		"package=%ff":                               400,
		"package=" + strings.Repeat("x", 8<<10-8):   200,
		"package=" + strings.Repeat("x", 8<<10-8+1): 414,
	} {
		r := s.get(runs + "?" + query)
		require.Equal(t, status, r.StatusCode, "%.40s: %s", query, r.text)
		checkEnvelope(t, runs, r)
		r = s.send("POST", "/api/v1/update/progress?"+query, `{"api_token":"`+reader+`","itemId":"core"}`)
		require.Equal(t, status, r.StatusCode, "%.40s: %s", query, r.text)
		checkEnvelope(t, "/api/v1/update/progress", r)
	}
}

func TestObserveSeesEveryRequestOnce(t *testing.T) {
	type key struct{}
	var seen []string
	s := (&site{configure: func(c *httpadapter.Config) {
		c.Observe = func(ctx context.Context, r httpadapter.Route, p httpadapter.Principal) (context.Context, func(int)) {
			return context.WithValue(ctx, key{}, "x"), func(status int) {
				seen = append(seen, fmt.Sprintf("%s %s %q %d", r.API, r.Pattern, p.ID, status))
			}
		}
	}}).open(t)
	s.get(runs)
	s.send("GET", runs, "")
	s.send("POST", "/api/v1/update", updateBody(reader))
	s.send("DELETE", "/api/v1/update", "")
	s.get("/upkeep/v1/nothing")
	s.journal.before = func() error { panic("x") }
	s.get(runs + "/x")
	require.Equal(t, []string{
		`update /upkeep/v1/updates/runs "ann" 200`,
		`update /upkeep/v1/updates/runs "" 401`,
		`update /api/v1/update "" 403`,
		`update /api/v1/update "" 405`,
		`upkeep /upkeep/v1/ "" 404`,
		`update /upkeep/v1/updates/runs/{id} "ann" 500`,
	}, seen)
}

func TestAdapterServesBesideOtherRoutesAndAsAHandler(t *testing.T) {
	s := (&site{configure: func(c *httpadapter.Config) { c.Prefix = "/svc" }}).open(t)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	require.Equal(t, http.StatusTeapot, s.get("/somewhere").StatusCode)
	require.Equal(t, http.StatusTeapot, s.get(runs).StatusCode)
	require.Equal(t, http.StatusOK, s.get("/svc"+runs).StatusCode)

	alone := func(path string) reply {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", path, nil)
		as(admin)(r)
		s.adapter.ServeHTTP(w, r)
		return reply{w.Result(), w.Body.String(), r.Method}
	}
	require.Equal(t, http.StatusOK, alone("/svc"+runs).StatusCode)
	for path, own := range map[string]bool{
		"/": true, "//": true, "/.": true, "/svc": true, "/svc/upkeep/v1": true, "/svc/upkeep/v1/": true, "/elsewhere": true,
		"/svc/upkeep/v1/updates/runs/": true, "/svc//upkeep/v1/updates/runs": true, "/svc/upkeep/v1/./updates/runs": true,
		"/svc/upkeep/v1/x/../updates/runs": true, "/svc/upkeep/v1/updates/runs/.": true,
		"/svc/api/v1/update/": false, "/svc/api/v1/update/x": false, "/svc/api//v1/update": false, "/svc/api/v1/update//progress": false,
	} {
		r := alone(path)
		require.Equal(t, http.StatusNotFound, r.StatusCode, path)
		if own {
			require.Equal(t, "not-found", r.problem(t), path)
		} else {
			checkEnvelope(t, "/api/v1/update", r)
		}
	}
}

func TestRoutesAreTheCallersToChange(t *testing.T) {
	s := new(site).open(t)
	s.adapter.Routes()[0].Methods[0] = "BREW"
	require.NotEqual(t, "BREW", s.adapter.Routes()[0].Methods[0])
}

func TestConfigIsChecked(t *testing.T) {
	s := new(site).open(t)
	u, rows := s.updater, s.rows
	for name, c := range map[string]httpadapter.Config{
		"nothing to serve":         {},
		"a prefix without a slash": {Update: u, Prefix: "svc"},
		"a prefix with two":        {Update: u, Prefix: "/svc/"},
		"a prefix that is a slash": {Update: u, Prefix: "/"},
		"a pattern as prefix":      {Update: u, Prefix: "/{x}"},
		"a prefix upwards":         {Update: u, Prefix: "/a/../b"},
		"an item of no package":    {Update: u, Items: map[string]string{"theme": "demo/other"}},
		"an item that is a name":   {Update: u, Items: map[string]string{pkg: "demo/tool"}},
		"an empty item":            {Update: u, Items: map[string]string{"": pkg}},
		"an empty secret":          {Update: u, Auth: httpadapter.Secrets{"": {Role: httpadapter.Admin}}},
		"an origin with a path":    {Update: u, TrustedOrigins: []string{"https://admin.example/x"}},
		"an origin without scheme": {Update: u, TrustedOrigins: []string{"admin.example"}},
		"a negative limit":         {Update: u, Limits: httpadapter.Limits{Body: -1}},
		"an item of no updates":    {LV: rows, Items: map[string]string{"theme": pkg}},
		"a table of no rows":       {Update: u, Tables: []lv.TableID{{App: "a", Schema: "b"}}},
		"a table without an app":   {LV: rows, Tables: []lv.TableID{{Schema: "b"}}},
		"a table without a schema": {LV: rows, Tables: []lv.TableID{{App: "a"}}},
		"an app with a slash":      {LV: rows, Tables: []lv.TableID{{App: "a/b", Schema: "c"}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := httpadapter.New(c)
			require.ErrorContains(t, err, "httpadapter: ")
		})
	}
}

func TestSlowReplyOutlivesTheServersWriteTimeout(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		s := &site{http2: http2, install: func(context.Context, *update.Task) error { time.Sleep(time.Minute); return nil }}
		inBubble(t, s, func(t *testing.T, s *site, client *http.Client) {
			r, err := client.Post("http://site/api/v1/update", "application/json", strings.NewReader(updateBody(admin)))
			require.NoError(t, err)
			defer r.Body.Close()
			text, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.JSONEq(t, `{"status":"success","message":"Successfully updated","version":"1.1.0"}`, string(text))
		})
	}
}

func TestSlowReplyThatNobodyReadsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Duration, 1)
		s := (&site{
			install: func(context.Context, *update.Task) error { time.Sleep(time.Minute); return nil },
			configure: func(c *httpadapter.Config) {
				c.Observe = func(ctx context.Context, _ httpadapter.Route, _ httpadapter.Principal) (context.Context, func(int)) {
					begun := time.Now()
					return ctx, func(int) { ended <- time.Since(begun) }
				}
			},
		}).open(t)
		l, _ := s.listen(t)
		connection, err := l.dial(t.Context(), "", "")
		require.NoError(t, err)
		_, err = io.WriteString(connection, request{method: "POST", path: "/api/v1/update", body: updateBody(admin)}.whole())
		require.NoError(t, err)
		require.Equal(t, time.Minute, <-ended, "the reply is in the server's buffer")
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		_, err = io.ReadAll(connection)
		require.NoError(t, err, "the server has closed the connection")
	})
}
