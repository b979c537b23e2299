package analysis_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/analysis"
)

// Failed requests a second of the new revision.
func ExamplePrometheus() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.FormValue("query"))
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"0.25"]}]}}`)
	}))
	defer server.Close()

	errorRate := analysis.Prometheus{
		URL:   server.URL,
		Query: func(s rollout.Scope) string { return fmt.Sprintf(`sum(rate(errors{run=%q}[1m]))`, s.New.Run) },
		Pass:  func(perSecond float64) bool { return perSecond < 0.1 },
	}
	_ = rollout.Config{Analyses: []rollout.Analysis{{Name: "errors", Measure: errorRate.Measure}}}

	m, err := errorRate.Measure(context.Background(), rollout.Scope{New: rollout.RevisionID{Run: "two"}})
	fmt.Println(m.Verdict, m.Reason, err)
	// Output:
	// sum(rate(errors{run="two"}[1m]))
	// fail the value is 0.25 <nil>
}

// A person, or another program, decides.
func ExampleWebhook() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "prices are wrong", http.StatusConflict)
	}))
	defer server.Close()

	shop := analysis.Webhook{URL: server.URL}
	m, err := shop.Measure(context.Background(), rollout.Scope{})
	fmt.Println(m.Verdict, m.Reason, err)
	// Output: fail prices are wrong <nil>
}
