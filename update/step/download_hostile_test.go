package step_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/fetchtest"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// lie is a server that answers the n-th request, from 1, with content or
// something else.
type lie func(w http.ResponseWriter, r *http.Request, n int, content []byte)

// endless writes until nobody listens.
func endless(w http.ResponseWriter) {
	for {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

// half answers the first request with half of the content, and cuts.
func half(then lie) lie {
	return func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
		if n > 1 {
			then(w, r, n, content)
			return
		}
		w.Header().Set("ETag", `"v1"`)
		fetchtest.Offer(content, `"v1"`)(&cutter{w, int64(len(content) / 2)}, r)
	}
}

// part answers a request for a range with something else, and one for the
// whole with the truth.
func part(headers map[string]string, status int, body func(content []byte, first int) []byte) lie {
	return half(func(w http.ResponseWriter, r *http.Request, _ int, content []byte) {
		if r.Header.Get("Range") == "" {
			fetchtest.Offer(content, `"v1"`)(w, r)
			return
		}
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = w.Write(body(content, len(content)/2))
	})
}

func rest(content []byte, first int) []byte { return content[first:] }

// lieSize is how long the truth is.
const lieSize = 2 << 20

// dishonest is a server, and what a download of lieSize bytes makes of it.
type dishonest struct {
	name     string
	lie      lie
	change   func(r *update.Release)
	requests int    // at most, if there is a message
	message  string // "" when the download is good in the end
}

func TestDownloadIsSoundWhateverTheServerSays(t *testing.T) {
	t.Parallel()
	const size = lieSize
	unsized := func(r *update.Release) { r.Size = 0 }
	tests := []dishonest{
		{"a shorter length", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			fetchtest.Offer(content[:100], "")(w, r)
		}, nil, 1, "has 100 bytes, not 2097152"},
		{"a greater length", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			fetchtest.Offer(append(content, 0), "")(w, r)
		}, nil, 1, "has 2097153 bytes, not 2097152"},
		{"a length above all bounds", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			w.Header().Set("Content-Length", "99999999999")
		}, unsized, 1, "at most 4194304 are allowed"},
		{"a length that never comes", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			w.Header().Set("Content-Length", strconv.Itoa(size))
			_, _ = w.Write(content[:size-1])
			fetchtest.Cut()
		}, nil, 8, "given up after 8 attempts: unexpected EOF"},
		{"no length, and too little", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			_, _ = w.Write(content[:size-1])
		}, nil, 8, "ended after 2097151 of 2097152 bytes"},
		{"no length, and too little of what nobody knows the size of", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			_, _ = w.Write(content[:size-1])
		}, unsized, 1, "SHA-256"},
		{"no length, and no end", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			_, _ = w.Write(content)
			endless(w)
		}, nil, 1, "sends more than 2097152 bytes"},
		{"no end of what nobody knows the size of", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			endless(w)
		}, unsized, 1, "sends more than 4194304 bytes"},
		{"other content of the right length", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			fetchtest.Offer(make([]byte, size), `"v1"`)(w, r)
		}, nil, 1, "SHA-256"},
		{"nothing", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			w.WriteHeader(http.StatusNoContent)
		}, nil, 1, "204 No Content"},
		{"a refusal", func(w http.ResponseWriter, r *http.Request, n int, content []byte) { http.NotFound(w, r) }, nil, 1, "404 Not Found"},
		{"a part though nobody asked for one", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", size-1, size))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(content)
		}, nil, 1, "asked for the whole"},
		{"compressed content", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(content)
			_ = z.Close()
		}, nil, 1, `compresses by "gzip"`},
		{"a bomb", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			w.Header().Set("Content-Encoding", "deflate")
			endless(w)
		}, unsized, 1, `compresses by "deflate"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, tt.run)
	}
}

func TestDownloadIsSoundWhateverPartTheServerSends(t *testing.T) {
	t.Parallel()
	const size = lieSize
	whole := fmt.Sprintf("bytes %d-%d/%d", size/2, size-1, size)
	tests := []dishonest{
		{"the whole in place of a part", half(func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			r.Header.Del("Range")
			fetchtest.Offer(content, `"v1"`)(w, r)
		}), nil, 2, ""},
		{"the part of another file", half(func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			if n == 2 {
				fetchtest.Offer(make([]byte, size), `"v1"`)(w, r)
				return
			}
			fetchtest.Offer(content, `"v1"`)(w, r)
		}), nil, 3, ""},
		{"a part from the beginning", part(map[string]string{"Content-Range": fmt.Sprintf("bytes 0-%d/%d", size-1, size)}, 206,
			func(content []byte, _ int) []byte { return content }), nil, 3, ""},
		{"a part with a gap", part(map[string]string{"Content-Range": fmt.Sprintf("bytes %d-%d/%d", size/2+1, size-1, size)}, 206,
			func(content []byte, first int) []byte { return content[first+1:] }), nil, 3, ""},
		{"a part of something longer", part(map[string]string{"Content-Range": fmt.Sprintf("bytes %d-%d/%d", size/2, size, size+1)}, 206,
			func(content []byte, first int) []byte { return append(rest(content, first), 0) }), nil, 3, ""},
		{"a part of something shorter", part(map[string]string{"Content-Range": fmt.Sprintf("bytes %d-%d/%d", size/2, size-2, size-1)}, 206,
			func(content []byte, first int) []byte { return content[first : size-1] }), nil, 3, ""},
		{"a part that ends before it begins", part(map[string]string{"Content-Range": fmt.Sprintf("bytes %d-0/%d", size/2, size)}, 206, rest), nil, 3, ""},
		{"a part beyond the end", part(map[string]string{"Content-Range": fmt.Sprintf("bytes %d-%d/%d", size/2, size, size)}, 206, rest), nil, 3, ""},
		{"a part of nobody knows what", part(map[string]string{"Content-Range": fmt.Sprintf("bytes %d-%d/*", size/2, size-1)}, 206, rest), nil, 3, ""},
		{"a part without a range", part(nil, 206, rest), nil, 3, ""},
		{"a part with more than a range", part(map[string]string{"Content-Range": whole + "1"}, 206, rest), nil, 3, ""},
		{"a part of many parts", part(map[string]string{"Content-Type": "multipart/byteranges; boundary=x"}, 206, rest), nil, 3, ""},
		{"a part of another version", part(map[string]string{"Content-Range": whole, "ETag": `"v2"`}, 206, rest), nil, 3, ""},
		{"a part with another length", part(map[string]string{"Content-Range": whole, "Content-Length": strconv.Itoa(size/2 - 1)}, 206,
			func(content []byte, first int) []byte { return content[first : size-1] }), nil, 3, ""},
		{"a part that goes on for ever", part(map[string]string{"Content-Range": whole}, 206,
			func(content []byte, first int) []byte { return append(rest(content, first), content...) }), nil, 2, ""},
		{"half of the part, then the rest", half(func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			if n == 2 {
				r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", size/2, size/4*3))
			}
			fetchtest.Offer(content, `"v1"`)(w, r)
		}), nil, 3, ""},
		{"no such range", part(nil, 416, func([]byte, int) []byte { return nil }), nil, 3, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, tt.run)
	}
}

func TestDownloadGoesOnAsLongAsSomethingComes(t *testing.T) {
	t.Parallel()
	const size = lieSize
	tests := []dishonest{
		{"never the same version", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			fetchtest.Offer(content, fmt.Sprintf(`"v%d"`, n))(&cutter{w, size / 2}, r)
		}, nil, 9, "given up after 8 attempts"},
		{"a byte at a time", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			fetchtest.Offer(content, `"v1"`)(&cutter{w, 1}, r)
		}, nil, 8, "given up after 8 attempts"},
		{"100 KiB at a time", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			fetchtest.Offer(content, `"v1"`)(&cutter{w, 100 << 10}, r)
		}, nil, 21, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, tt.run)
	}
}

func (tt dishonest) run(t *testing.T) {
	content := noise(lieSize)
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		client := fetchtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			requests++
			tt.lie(w, r, requests, bytes.Clone(content))
		})
		release := releaseOf(content)
		if tt.change != nil {
			tt.change(&release)
		}
		dir := t.TempDir()
		_, err := updateRelease(t, release, step.Download(step.Artifact{Dir: dir, MaxSize: 4 << 20, Client: client}))
		if tt.message != "" {
			require.LessOrEqual(t, requests, tt.requests)
			require.ErrorContains(t, err, tt.message)
			require.Empty(t, downloads(t, dir), "nothing is left of it")
			return
		}
		require.NoError(t, err)
		require.Equal(t, tt.requests, requests)
		got := downloads(t, dir)
		require.Len(t, got, 1)
		require.True(t, got[0] == string(content))
	})
}

func TestDownloadGivesUpOnASilentServer(t *testing.T) {
	content := noise(2 << 20)
	tests := []struct {
		name    string
		silent  func(w http.ResponseWriter, content []byte)
		least   time.Duration
		message string
	}{
		{"before the answer", func(http.ResponseWriter, []byte) {}, 80 * time.Second, "the server is silent for 10s"},
		{"after its head", func(w http.ResponseWriter, content []byte) {
			w.Header().Set("Content-Length", strconv.Itoa(len(content)))
			_ = http.NewResponseController(w).Flush()
		}, 80 * time.Second, "the server is silent for 10s"},
		{"in the middle", func(w http.ResponseWriter, content []byte) {
			w.Header().Set("Content-Length", strconv.Itoa(len(content)))
			_, _ = w.Write(content[:1<<20])
			_ = http.NewResponseController(w).Flush()
		}, 80 * time.Second, "the server is silent for 10s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fetchtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
					tt.silent(w, content)
					<-r.Context().Done()
				})
				dir := t.TempDir()
				start := time.Now()
				_, err := updateRelease(t, releaseOf(content),
					step.Download(step.Artifact{Dir: dir, Client: client, Stall: 10 * time.Second}))
				require.ErrorContains(t, err, tt.message)
				require.GreaterOrEqual(t, time.Since(start), tt.least)
				require.Less(t, time.Since(start), tt.least+2*time.Minute)
				require.Empty(t, downloads(t, dir))
			})
		})
	}
}

func TestDownloadFollowsRedirectsButNotAnywhere(t *testing.T) {
	content := noise(1000)
	tests := []struct {
		name, from, message string
	}{
		{"on the host", "https://dl.test/here", ""},
		{"to another host", "https://dl.test/there", ""},
		{"to https", "http://dl.test/up", ""},
		{"from http to http", "http://dl.test/plain", ""},
		{"from https to http", "https://dl.test/plain", "redirected from https: not https: \"http://other.test/app\""},
		{"from https to http, after a detour", "https://dl.test/detour", "redirected from https: not https: \"http://other.test/app\""},
		{"to a file", "https://dl.test/file", "redirected from https"},
		{"to nowhere", "https://dl.test/nowhere", "redirected to nowhere"},
		{"to no address", "https://dl.test/nonsense", "parse Location"},
		{"in a circle", "https://dl.test/circle", "redirected more than 10 times"},
	}
	to := map[string]string{
		"/here": "/app", "/there": "https://other.test/app", "/up": "https://dl.test/app", "/plain": "http://other.test/app?token=secret",
		"/detour": "https://other.test/plain", "/file": "file:///etc/passwd", "/nonsense": "http://[", "/circle": "/circle",
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				client := fetchtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/app" {
						fetchtest.Offer(content, "")(w, r)
						return
					}
					w.Header().Set("Location", to[r.URL.Path])
					w.WriteHeader(http.StatusFound)
				})
				release := releaseOf(content)
				release.URL = tt.from
				err := step.Download(step.Artifact{Dir: dir, Client: client}).Do(t.Context(), releaseTask(release))
				if tt.message != "" {
					require.ErrorContains(t, err, tt.message)
					require.Equal(t, strings.HasPrefix(tt.message, "redirected from https"), errors.Is(err, step.ErrInsecure))
					require.NotContains(t, err.Error(), "secret")
					require.Empty(t, downloads(t, dir))
					return
				}
				require.NoError(t, err)
				require.Equal(t, []string{string(content)}, downloads(t, dir))
			})
		})
	}
}

func TestDownloadTellsItsSecretsToOneHostOnly(t *testing.T) {
	content := noise(1000)
	var told []string
	client := fetchtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		told = append(told, fmt.Sprintf("%s%s %s %s%s", r.Host, r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("X-Token"), r.Header.Get("Referer")))
		to := map[string]string{"/a": "/b", "/b": "https://sub.dl.test/c", "/c": "https://dl.test/d", "/d": "/e", "/e": "https://dl.test:8443/app"}[r.URL.Path]
		if to == "" {
			fetchtest.Offer(content, "")(w, r)
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	})
	release := releaseOf(content)
	release.URL = "https://dl.test/a?token=secret"
	header := http.Header{"Authorization": {"Bearer secret"}, "X-Token": {"secret"}}
	a := step.Artifact{Dir: t.TempDir(), Client: client, Header: header}
	require.NoError(t, step.Download(a).Do(t.Context(), releaseTask(release)))
	require.Equal(t, []string{
		"dl.test/a Bearer secret secret",
		"dl.test/b Bearer secret secret",
		"sub.dl.test/c  ",
		"dl.test/d  ", // where somebody else has sent us
		"dl.test/e  ",
		"dl.test:8443/app  ",
	}, told)
}

func TestDownloadDoesNotRepeatSecretsInItsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fetchtest.Serve(t, func(http.ResponseWriter, *http.Request) { fetchtest.Cut() })
		release := releaseOf(nil)
		release.URL = "https://user:secret@dl.test/app?token=secret"
		_, err := updateRelease(t, release, step.Download(step.Artifact{Dir: t.TempDir(), Client: client}))
		require.ErrorContains(t, err, `asking "dl.test": EOF`)
		require.NotContains(t, err.Error(), "secret")
	})
}
