//go:build unix

package traffic_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// split90 is a table of two revisions with two endpoints each.
func split90(generation int64) rollout.Table {
	return tableOf(generation, map[string][]string{
		"a": {"http://127.0.0.1:1", "http://127.0.0.1:2"}, "b": {"http://127.0.0.1:3", "http://127.0.0.1:4"}}, 90, 10)
}

// used is the processor time that this process has used, which a busy machine
// does not make longer.
func used() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// choices are the ways to a revision and an endpoint.
func choices() map[string]struct {
	table   rollout.Table
	request *http.Request
} {
	plain, issued, own, ruled := split90(1), split90(1), split90(1), split90(1)
	issued.Split.Sticky = &rollout.Sticky{Cookie: "visitor", Issue: true}
	own.Split.Sticky = &rollout.Sticky{Cookie: "session"}
	ruled.Split.Rules = []rollout.Rule{{Run: "b", Match: rollout.Match{Header: "X-Canary", Value: "1"}}}
	of := func(h http.Header) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header = h
		return r
	}
	return map[string]struct {
		table   rollout.Table
		request *http.Request
	}{
		"weights": {plain, of(http.Header{})},
		"issued":  {issued, of(http.Header{"Cookie": {"theme=dark; visitor=" + strings.Repeat("A7", 13)}})},
		"own":     {own, of(http.Header{"Cookie": {"theme=dark; session=" + strings.Repeat("9f0c", 8)}})},
		"rule":    {ruled, of(http.Header{"X-Canary": {"1"}})},
	}
}

// BenchmarkChoice is the choice of a revision and an endpoint, counted in and
// out. Goal: 100 ns and no allocation.
func BenchmarkChoice(b *testing.B) {
	for name, c := range choices() {
		b.Run(name, func(b *testing.B) {
			r := traffic.New(traffic.Config{})
			require.NoError(b, r.Set(context.Background(), web, c.table))
			chooser := r.Chooser(web)
			b.ReportAllocs()
			start := used()
			for b.Loop() {
				chooser.Choose(c.request)
			}
			b.ReportMetric(float64(used()-start)/float64(b.N), "cpu-ns/op")
		})
	}
}

func TestAChoiceAllocatesNothing(t *testing.T) {
	for name, c := range choices() {
		r := traffic.New(traffic.Config{})
		require.NoError(t, r.Set(context.Background(), web, c.table))
		chooser := r.Chooser(web)
		require.Zero(t, testing.AllocsPerRun(100, func() { chooser.Choose(c.request) }), name)
	}
}

// BenchmarkSet is a new split of the same endpoints. Goal: 5 µs.
func BenchmarkSet(b *testing.B) {
	r := traffic.New(traffic.Config{})
	table := split90(1)
	b.ReportAllocs()
	start := used()
	for b.Loop() {
		table.Generation++
		if err := r.Set(context.Background(), web, table); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(used()-start)/float64(b.N), "cpu-ns/op")
}
