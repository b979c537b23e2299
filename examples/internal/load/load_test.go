package load_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/examples/internal/load"
)

// transport answers requests without a network.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func answers(status int, body string) *http.Response {
	w := httptest.NewRecorder()
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
	return w.Result()
}

func TestEachSecondIsSaidAndNothingIsLostUnnoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		client := &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
			switch asked.Add(1) % 10 {
			case 1, 2:
				return answers(http.StatusInternalServerError, "no"), nil
			case 3:
				return nil, io.ErrUnexpectedEOF
			case 4:
				return answers(http.StatusOK, "new\nmore"), nil
			}
			return answers(http.StatusOK, "old"), nil
		})}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second+time.Millisecond)
		defer cancel()
		var out strings.Builder
		sum, err := load.Run(ctx, load.Config{URL: "http://service/", Rate: 100, Client: client}, &out)
		require.NoError(t, err)
		require.Equal(t, int64(sum.By["old"]+sum.By["new"]+sum.Failed["500"]+sum.Lost), asked.Load())
		require.Equal(t, 30, sum.By["new"])
		require.Equal(t, 30, sum.Lost)
		require.ErrorIs(t, sum.Why, io.ErrUnexpectedEOF)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		require.Len(t, lines, 4)
		require.Regexp(t, `^new: \d+, old: \d+, failed with 500: \d+, lost: \d+, the last: `, lines[1])
	})
}

func TestWhatIsSlowHoldsNoMoreThanAHundredAndIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		open, most := 0, 0
		client := &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			open++
			most = max(most, open)
			mu.Unlock()
			time.Sleep(time.Minute)
			mu.Lock()
			open--
			mu.Unlock()
			return answers(http.StatusOK, "slow"), nil
		})}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		sum, err := load.Run(ctx, load.Config{URL: "http://service/", Client: client}, io.Discard)
		require.NoError(t, err)
		require.Equal(t, 100, most)
		require.Equal(t, 100, sum.By["slow"])
	})
}
