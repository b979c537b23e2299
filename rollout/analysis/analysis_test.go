package analysis_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/analysis"
)

var scope = rollout.Scope{
	Stable: rollout.RevisionID{Service: rollout.ServiceID{Env: "prod", Name: "web"}, Version: "v1", Run: "one"},
	New:    rollout.RevisionID{Service: rollout.ServiceID{Env: "prod", Name: "web"}, Version: "v2", Run: "two"},
	Step:   1, Since: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
}

// server answers so, until the test ends.
func server(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func says(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

func TestPrometheusIsAskedForOneValue(t *testing.T) {
	t.Parallel()
	vector := func(values ...string) string {
		var series []string
		for _, v := range values {
			series = append(series, `{"metric":{},"value":[1.5,"`+v+`"]}`)
		}
		return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(series, ",") + `]}}`
	}
	const pass, fail, none = rollout.VerdictPass, rollout.VerdictFail, rollout.VerdictInconclusive
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   rollout.Verdict // "": an error
		says   string
	}{
		{"a good value", says(200, vector("0.01")), pass, "the value is 0.01"},
		{"a bad value", says(200, vector("0.5")), fail, "the value is 0.5"},
		{"a scalar", says(200, `{"data":{"resultType":"scalar","result":[1,"0.01"]}}`), pass, "the value is 0.01"},
		{"no series", says(200, vector()), none, "there is no value"},
		{"no number", says(200, vector("NaN")), none, "there is no value"},
		{"without bound", says(200, vector("+Inf")), fail, "the value is +Inf"},
		{"two series", says(200, vector("1", "2")), "", "2 values"},
		{"a matrix", says(200, `{"data":{"resultType":"matrix","result":[]}}`), "", "matrix"},
		{"a value of another kind", says(200, `{"data":{"resultType":"scalar","result":[1,2]}}`), "", "one"},
		{"no JSON", says(200, "<html>"), "", "invalid character"},
		{"a bad query", says(400, `{"status":"error","error":"parse error"}`), "", "answered 400: {\"status\":\"error\",\"error\":\"parse error\"}"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, "", "answered 302"},
		{"a reply without end", func(w http.ResponseWriter, _ *http.Request) {
			for range 3 << 10 {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		}, "", "longer than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := analysis.Prometheus{
				URL: server(t, tt.answer), Query: func(s rollout.Scope) string { return s.New.Run }, Pass: func(v float64) bool { return v < 0.1 },
			}
			m, err := p.Measure(t.Context(), scope)
			require.Equal(t, tt.want, m.Verdict)
			if tt.want == "" {
				require.ErrorContains(t, err, tt.says)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.says, m.Reason)
			_, err = json.Marshal(m.Values)
			require.NoError(t, err)
		})
	}
}

func TestTheQueryIsOfTheNewRevision(t *testing.T) {
	t.Parallel()
	var path, query string
	p := analysis.Prometheus{
		URL: server(t, func(w http.ResponseWriter, r *http.Request) {
			path, query = r.URL.Path, r.FormValue("query")
			says(200, `{"data":{"resultType":"vector","result":[]}}`)(w, r)
		}) + "/prefix/",
		Query: func(s rollout.Scope) string { return `up{run="` + s.New.Run + `"}` }, Pass: func(float64) bool { return true },
	}
	_, err := p.Measure(t.Context(), scope)
	require.NoError(t, err)
	require.Equal(t, []string{"/prefix/api/v1/query", `up{run="two"}`}, []string{path, query})
	for _, bad := range []analysis.Prometheus{{URL: p.URL, Pass: p.Pass}, {URL: p.URL, Query: p.Query}, {Query: p.Query, Pass: p.Pass}} {
		_, err := bad.Measure(t.Context(), scope)
		require.Error(t, err)
	}
}

func TestAWebhookJudgesByItsStatus(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   rollout.Verdict // "": an error
		says   string
	}{
		{"200", says(200, "looks good\nvery"), rollout.VerdictPass, "looks good"},
		{"204", says(204, ""), rollout.VerdictPass, ""},
		{"409", says(409, "\nprices are wrong \r\nsee there"), rollout.VerdictFail, "prices are wrong"},
		{"404 without a word", says(404, ""), rollout.VerdictFail, "the webhook answered 404 Not Found"},
		{"a long reason", says(400, strings.Repeat("x", 5000)), rollout.VerdictFail, strings.Repeat("x", 1024)},
		{"a reason that is cut in a letter", says(400, strings.Repeat("x", 1023)+"ü"), rollout.VerdictFail, strings.Repeat("x", 1023)},
		{"429", says(429, "slow down"), "", "answered 429: slow down"},
		{"503", says(503, "not now"), "", "answered 503: not now"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusTemporaryRedirect) }, "", "answered 307"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := analysis.Webhook{URL: server(t, tt.answer)}.Measure(t.Context(), scope)
			require.Equal(t, tt.want, m.Verdict)
			if tt.want == "" {
				require.ErrorContains(t, err, tt.says)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.says, m.Reason)
		})
	}
}

func TestAWebhookIsToldTheScope(t *testing.T) {
	t.Parallel()
	var got string
	h := analysis.Webhook{URL: server(t, func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.Header.Get("Content-Type") + " " + string(text)
	})}
	_, err := h.Measure(t.Context(), scope)
	require.NoError(t, err)
	require.Equal(t, `POST application/json {"service":{"env":"prod","name":"web"},"stable":{"version":"v1","run":"one"},`+
		`"new":{"version":"v2","run":"two"},"step":1,"since":"2030-01-02T03:04:05Z"}`, got)
	first := scope
	first.Stable = rollout.RevisionID{}
	_, err = h.Measure(t.Context(), first)
	require.NoError(t, err)
	require.NotContains(t, got, "stable")
}

func TestWhatDoesNotAnswerIsAnErrorWithoutSecrets(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, url := range []string{"http://ann:secret@127.0.0.1:1/?token=secret", "http://127.0.0.1:1/%zz?secret", "secret"} {
		for _, c := range []context.Context{ctx, t.Context()} {
			_, err := analysis.Webhook{URL: url}.Measure(c, scope)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "secret")
		}
	}
}
