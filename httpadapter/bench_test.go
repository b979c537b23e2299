package httpadapter_test

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/update"
)

// nothing answers 200: what it costs is the test's own.
type nothing struct{}

func (nothing) ServeHTTP(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

// plainProgress is the handler one would write in a minute: a ServeMux,
// encoding/json, a token compared as it should be, and the same question.
func plainProgress(s *site) http.Handler {
	token := sha256.Sum256([]byte(reader))
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/update/progress", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Token string `json:"api_token"`
			Item  string `json:"itemId"`
		}
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err != nil || json.Unmarshal(text, &in) != nil || in.Item != update.DefaultLock {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		sent := sha256.Sum256([]byte(in.Token))
		if subtle.ConstantTimeCompare(sent[:], token[:]) == 0 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		progress := 0
		if _, err := s.updater.Holder(r.Context(), update.DefaultLock); err == nil {
			progress = 1
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"status": "success", "message": "Successfully fetched updating progress", "progress": progress,
		})
	})
	return mux
}

// BenchmarkSecrets compares the time for a token whose last byte is wrong with
// that for one whose first byte is: the shortest of many short turns, which is
// what somebody who guesses would look at.
func BenchmarkSecrets(b *testing.B) {
	secrets := httpadapter.Secrets{admin: {ID: "ann"}, reader: {ID: "rob"}}
	tokens := [2]string{"X" + admin[1:], admin[:len(admin)-1] + "X"}
	const turns, tries = 1000, 50
	for b.Loop() {
		shortest := [2]time.Duration{time.Hour, time.Hour}
		for turn := range 2 * turns {
			begun := time.Now()
			for range tries {
				_, err := secrets.Authenticate(b.Context(), httpadapter.Credential{Secret: tokens[turn%2]}, httpadapter.Reader)
				if err == nil {
					b.Fatal("let in")
				}
			}
			shortest[turn%2] = min(shortest[turn%2], time.Since(begun))
		}
		b.ReportMetric(float64(shortest[1])/float64(shortest[0]), "x-first-byte")
	}
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
