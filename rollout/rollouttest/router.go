package rollouttest

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/rollout"
)

// RouterHarness describes the rollout.Router under test.
type RouterHarness struct {
	// Open returns a Router without services and cleans up with t.Cleanup.
	Open func(t testing.TB) rollout.Router
	// Endpoint lets s serve where the Router reaches it, until the test ends,
	// and returns its base URL.
	Endpoint func(t testing.TB, s *http.Server) string
	// Send sends what a client asks of a service through a Router that Open
	// returned. The URL of the request has a path and a query alone.
	Send func(r rollout.Router, s rollout.ServiceID, request *http.Request) (*http.Response, error)
	// RealTime is set if testing/synctest cannot fake the clock, such as that of
	// other programs.
	RealTime bool
}

// RunRouter checks that a Router keeps every promise of rollout.Router and
// rollout.Table.
func RunRouter(t *testing.T, h RouterHarness) { suitetest.Run(t, h.RealTime, h.cases()) }

func (h RouterHarness) cases() []suitetest.Case {
	return suitetest.On(func(t testing.TB) *routerTest {
		return &routerTest{TB: t, h: h, router: h.Open(t)}
	}, []struct {
		Name string
		Run  func(*routerTest)
	}{
		{"a table is in force once it is set", (*routerTest).inForce},
		{"an older generation is stale", (*routerTest).older},
		{"the same generation again changes nothing", (*routerTest).again},
		{"a table that Check refuses is invalid", (*routerTest).invalid},
		{"what is set and returned is the caller's to change", (*routerTest).callers},
		{"a service without a table is not found", (*routerTest).notFound},
		{"services do not know of each other", (*routerTest).apart},
		{"any hundred requests in a row are split exactly", (*routerTest).exact},
		{"endpoints take turns", (*routerTest).turns},
		{"a rule comes before weights, the smallest priority first", (*routerTest).rules},
		{"a visitor stays with a revision", (*routerTest).stays},
		{"a share that grows moves visitors to it only", (*routerTest).grows},
		{"a new visitor is given a cookie", (*routerTest).issues},
		{"held requests wait", (*routerTest).held},
		{"requests wait for what is ready", (*routerTest).waits},
		{"who watches is told that a request waits", (*routerTest).changed},
		{"a watch is closed with its context", (*routerTest).unwatched},
		{"drain waits for what is open", (*routerTest).drains},
		{"drain ends with its context", (*routerTest).drainEnds},
		{"drain leaves no connection", (*routerTest).connections},
		{"what is in the table is not drained", (*routerTest).drainStale},
		{"what is answered, failed and left is counted", (*routerTest).counts},
		{"what is open is counted", (*routerTest).open},
		{"revisions may have an endpoint in common", (*routerTest).common},
		{"no request is lost while tables change", (*routerTest).lossless},
	})
}

// routerTest is what a case works with.
type routerTest struct {
	testing.TB
	h      RouterHarness
	router rollout.Router
}

var shop = rollout.ServiceID{Env: "prod", Name: "shop"}

// named starts an endpoint that answers with its name.
func (t *routerTest) named(name string) string {
	return t.answering(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })
}

func (t *routerTest) answering(h http.HandlerFunc) string {
	return t.h.Endpoint(t, &http.Server{Handler: h})
}

// three starts an endpoint for each of the revisions a, b and c.
func (t *routerTest) three() map[string][]string {
	return map[string][]string{"a": {t.named("a")}, "b": {t.named("b")}, "c": {t.named("c")}}
}

// table is one of revisions a, b and so on with these shares.
func table(generation int64, endpoints map[string][]string, percents ...int) rollout.Table {
	out := rollout.Table{Generation: generation, Endpoints: map[string][]string{}}
	for i, p := range percents {
		run := string(rune('a' + i))
		out.Split.Weights = append(out.Split.Weights, rollout.Weight{Version: "v-" + run, Run: run, Percent: p})
		if len(endpoints[run]) > 0 {
			out.Endpoints[run] = endpoints[run]
		}
	}
	return out
}

func (t *routerTest) set(table rollout.Table) {
	t.Helper()
	require.NoError(t, t.router.Set(context.Background(), shop, table))
}

// send asks a service and reads the answer.
func (t *routerTest) send(s rollout.ServiceID, change ...func(*http.Request)) (reply *http.Response, body string, err error) {
	r, err := http.NewRequest(http.MethodGet, "/", nil)
	require.NoError(t, err)
	for _, c := range change {
		c(r)
	}
	reply, err = t.h.Send(t.router, s, r)
	if err != nil {
		return nil, "", err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	return reply, string(text), err
}

// ask asks the shop, which must answer with 200.
func (t *routerTest) ask(change ...func(*http.Request)) string {
	t.Helper()
	reply, body, err := t.send(shop, change...)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, reply.StatusCode)
	return body
}

// asked says how many of n requests each endpoint answers.
func (t *routerTest) asked(n int, change ...func(*http.Request)) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range n {
		got[t.ask(change...)]++
	}
	return got
}

// stats are those of the shop, unless the Router does not count.
func (t *routerTest) stats() rollout.Stats {
	t.Helper()
	s, err := t.router.Stats(context.Background(), shop)
	require.NoError(t, err)
	return s
}
