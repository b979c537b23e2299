package httpadapter_test

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkProgress compares the documented progress, over the engine in
// memory, with the handler one would write in a minute: a ServeMux,
// encoding/json, and the same question to the Updater. Both run in process;
// over a socket, both cost some 13 µs more.
func BenchmarkProgress(b *testing.B) {
	s := new(site).open(b)
	const body = `{"api_token":"` + reader + `","itemId":"core"}`
	send := func(h http.Handler) {
		r := httptest.NewRequest("POST", "/api/v1/update/progress", strings.NewReader(body))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body.String())
		}
	}
	plain := plainProgress(s)
	const rounds, requests = 5, 2000
	var ratios, allocs []float64
	for b.Loop() {
		ratios, allocs = nil, nil
		for range rounds {
			took := map[http.Handler]time.Duration{}
			for _, h := range []http.Handler{plain, s.mux} {
				begun := time.Now()
				for range requests {
					send(h)
				}
				took[h] = time.Since(begun)
			}
			ratios = append(ratios, float64(took[s.mux])/float64(took[plain]))
			with := testing.AllocsPerRun(100, func() { send(s.mux) })
			without := testing.AllocsPerRun(100, func() { send(nothing{}) })
			allocs = append(allocs, with-without)
		}
	}
	b.ReportMetric(median(ratios), "x-plain")
	b.ReportMetric(median(allocs), "allocs/request")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// nothing answers 200: what it costs is the test's own.
type nothing struct{}

func (nothing) ServeHTTP(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

func plainProgress(s *site) http.Handler {
	token := sha256.Sum256([]byte(reader))
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/update/progress", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Token string `json:"api_token"`
			Item  string `json:"itemId"`
		}
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err != nil || json.Unmarshal(text, &in) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		sent := sha256.Sum256([]byte(in.Token))
		if subtle.ConstantTimeCompare(sent[:], token[:]) == 0 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		progress := 0
		for _, name := range s.updater.Packages() {
			if status, err := s.updater.Status(r.Context(), name); err == nil && status.Lease != nil {
				progress = 1
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"status": "success", "message": "Successfully fetched updating progress", "progress": progress,
		})
	})
	return mux
}

func TestSmallPostAllocatesLittle(t *testing.T) {
	s := new(site).open(t)
	const body = `{"api_token":"` + reader + `","itemId":"core"}`
	post := func(h http.Handler) float64 {
		return testing.AllocsPerRun(100, func() {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/api/v1/update/progress", strings.NewReader(body)))
		})
	}
	allocs := post(s.mux) - post(nothing{})
	t.Logf("%v allocations", allocs)
	require.LessOrEqual(t, allocs, 30.0, "25 is the goal; the race detector adds some")
}
