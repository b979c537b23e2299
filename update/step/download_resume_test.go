package step_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/fetchtest"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// asked is what a server has seen of a request.
type asked struct{ Range, IfRange string }

// watched notes what each request asks for.
func watched(all *[]asked, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		*all = append(*all, asked{r.Header.Get("Range"), r.Header.Get("If-Range")})
		h(w, r)
	}
}

// cutOnce answers like h, but the first answer is cut after n bytes.
func cutOnce(n int64, h http.HandlerFunc) http.HandlerFunc {
	first := true
	return func(w http.ResponseWriter, r *http.Request) {
		if first {
			first = false
			w = &cutter{w, n}
		}
		h(w, r)
	}
}

// cutter passes n bytes and then cuts the connection.
type cutter struct {
	http.ResponseWriter
	left int64
}

func (c *cutter) Write(p []byte) (int, error) {
	n := min(int64(len(p)), c.left)
	c.left -= n
	_, _ = c.ResponseWriter.Write(p[:n])
	if c.left == 0 {
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		fetchtest.Cut()
	}
	return int(n), nil
}

func TestDownloadGoesOnWhereItWasCut(t *testing.T) {
	const strong, weak = `"v1"`, `W/"v1"`
	content := noise(3 << 20)
	tests := []struct {
		name   string
		etag   string
		cutAt  int64
		second asked
	}{
		{"with a strong ETag", strong, 2<<20 + 5, asked{"bytes=" + strconv.Itoa(2<<20+5) + "-", strong}},
		{"one byte before the end", strong, 3<<20 - 1, asked{"bytes=" + strconv.Itoa(3<<20-1) + "-", strong}},
		{"not with a weak one", weak, 2 << 20, asked{}},
		{"not without one", "", 2 << 20, asked{}},
		{"not with one that is none", `"v"1"`, 2 << 20, asked{}},
		{"not with half of one", `v1"`, 2 << 20, asked{}},
		{"not when nothing came", strong, 0, asked{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var requests []asked
				dir := t.TempDir()
				client := fetchtest.Serve(t, watched(&requests, cutOnce(tt.cutAt, fetchtest.Offer(content, tt.etag))))
				require.NoError(t, step.Download(step.Artifact{Dir: dir, Client: client}).Do(t.Context(), releaseTask(releaseOf(content))))
				require.Equal(t, []asked{{}, tt.second}, requests)
				require.Equal(t, []string{string(content)}, downloads(t, dir))
			})
		})
	}
}

// partOf begins a download in a folder, which ends after n bytes, and returns
// its task.
func partOf(t *testing.T, dir string, content []byte, n int64) *update.Task {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client := fetchtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content[:n])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	tk := releaseTask(releaseOf(content))
	require.ErrorIs(t, step.Download(step.Artifact{Dir: dir, Client: client}).Do(ctx, tk), context.DeadlineExceeded)
	require.Len(t, downloads(t, dir), 1)
	return tk
}

func TestDownloadGoesOnInAnotherProcess(t *testing.T) {
	t.Parallel()
	content := noise(3 << 20)
	const there = 2<<20 + 7
	rest := asked{"bytes=" + strconv.Itoa(there) + "-", `"v1"`}
	spoil := func(change func(path string) error) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			parts, err := filepath.Glob(filepath.Join(dir, "*"))
			require.NoError(t, err)
			require.Len(t, parts, 1)
			require.NoError(t, change(parts[0]))
		}
	}
	tests := []struct {
		name     string
		spoil    func(t *testing.T, dir string)
		etag     string // that the server gives now
		requests []asked
	}{
		{"with what is there", nil, `"v1"`, []asked{rest}},
		{"anew when the server has something else", nil, `"v2"`, []asked{rest}},
		{"anew when the part is gone", spoil(os.Remove), `"v1"`, []asked{{}}},
		{"anew when the part is not what was written", spoil(func(path string) error {
			return os.WriteFile(path, make([]byte, there), 0o600)
		}), `"v1"`, []asked{rest, {}}},
		{"anew when the part is too long", spoil(func(path string) error {
			return os.WriteFile(path, append(content, 1), 0o600)
		}), `"v1"`, []asked{{}}},
		{"not at all when everything is there", spoil(func(path string) error {
			return os.WriteFile(path, content, 0o600)
		}), `"v1"`, nil},
		{"anew when everything is there and none of it good", spoil(func(path string) error {
			return os.WriteFile(path, make([]byte, len(content)), 0o600)
		}), `"v1"`, []asked{{}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				tk := partOf(t, dir, content, there)
				if tt.spoil != nil {
					tt.spoil(t, dir)
				}
				var requests []asked
				client := fetchtest.Serve(t, watched(&requests, fetchtest.Offer(content, tt.etag)))
				require.NoError(t, step.Download(step.Artifact{Dir: dir, Client: client}).Do(t.Context(), tk))
				require.Equal(t, tt.requests, requests)
				require.Equal(t, []string{string(content)}, downloads(t, dir))
			})
		})
	}
}

func TestDownloadWaitsBetweenAttemptsAndForNoReasonTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		client := fetchtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			at = append(at, time.Now())
			w.WriteHeader(http.StatusBadGateway)
		})
		limit := 500 * time.Millisecond
		dir := t.TempDir()
		seen := map[time.Duration]bool{}
		for range 20 {
			at = nil
			err := step.Download(step.Artifact{Dir: dir, Client: client, Attempts: 10}).Do(t.Context(), releaseTask(releaseOf(nil)))
			require.ErrorContains(t, err, "given up after 10 attempts: the server answered 502 Bad Gateway")
			require.Len(t, at, 10)
			for i := range at[1:] {
				pause := at[i+1].Sub(at[i])
				require.Less(t, pause, min(limit<<i, 30*time.Second))
				seen[pause] = true
			}
		}
		require.Greater(t, len(seen), 170)
	})
}

func TestDownloadWaitsAsLongAsTheServerAsks(t *testing.T) {
	const ever = 24 * time.Hour
	tests := []struct {
		name       string
		status     int
		date       string // the server's clock
		retryAfter string
		wait       time.Duration // ever: it does not
	}{
		{"seconds", 429, "", "120", 2 * time.Minute},
		{"a date", 503, "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:30:00 GMT", 2 * time.Minute},
		{"a date of the past", 503, "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:20:00 GMT", 0},
		{"nothing", 503, "", "", 0},
		{"nonsense", 503, "", "soon", 0},
		{"too many seconds to count", 503, "", "99999999999999999999", 0},
		{"too long", 429, "", "86400", ever},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				content, first := noise(10), true
				client := fetchtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
					if !first {
						fetchtest.Offer(content, "")(w, r)
						return
					}
					first = false
					w.Header().Set("Retry-After", tt.retryAfter)
					if tt.date != "" {
						w.Header().Set("Date", tt.date)
					}
					w.WriteHeader(tt.status)
				})
				start := time.Now()
				_, err := updateRelease(t, releaseOf(content), step.Download(step.Artifact{Dir: t.TempDir(), Client: client}))
				if tt.wait == ever {
					require.ErrorContains(t, err, "asks to wait 24h0m")
					require.Less(t, time.Since(start), time.Minute)
					return
				}
				require.NoError(t, err)
				require.GreaterOrEqual(t, time.Since(start), tt.wait)
				require.Less(t, time.Since(start), tt.wait+time.Second)
			})
		})
	}
}
