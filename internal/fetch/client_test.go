package fetch_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/fetch"
	"github.com/upkeep-go/upkeep/internal/fetchtest"
)

const text = "0123456789abcdef"

func address(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u
}

// got asks a server that answers as h does, and reads all that it sends.
func got(t *testing.T, h http.HandlerFunc, first, n int64, ifRange string) (fetch.Part, string, error) {
	t.Helper()
	c := fetch.Client{HTTP: fetchtest.Serve(t, h)}
	p, err := c.Get(t.Context(), address(t, "https://dl.test/file?secret"), first, n, ifRange)
	if err != nil {
		return p, "", err
	}
	defer p.Body.Close()
	data, err := io.ReadAll(p.Body)
	return p, string(data), err
}

// says answers with these headers, a status and a body.
func says(headers map[string]string, status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		_ = http.NewResponseController(w).Flush()
	}
}

func passes(err error) bool {
	var p *fetch.Passing
	return errors.As(err, &p)
}

func TestAPartOfAFileIsFetched(t *testing.T) {
	honest := fetchtest.Offer([]byte(text), `"v1"`)
	for _, tt := range []struct {
		name     string
		server   http.HandlerFunc
		first, n int64
		ifRange  string
		from     int64
		want     string
	}{
		{"the whole", honest, 0, -1, "", 0, text},
		{"the beginning", honest, 0, 3, "", 0, text[:3]},
		{"the middle", honest, 4, 3, "", 4, text[4:7]},
		{"the end", honest, 10, -1, `"v1"`, 10, text[10:]},
		{"beyond the end", honest, 10, 100, `"v1"`, 10, text[10:]},
		{"of something that is another now", honest, 10, -1, `"v0"`, 0, text},
		{"by a server that knows no ranges", says(map[string]string{"ETag": `"v1"`}, 200, text), 4, 3, "", 0, text},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, body, err := got(t, tt.server, tt.first, tt.n, tt.ifRange)
			require.NoError(t, err)
			require.Equal(t, tt.want, body)
			require.Equal(t, tt.from, p.First)
			require.Contains(t, []int64{int64(len(text)), -1}, p.Total)
			require.Equal(t, `"v1"`, p.ETag)
		})
	}
}

func TestAnAnswerThatIsNotWhatWasAskedForIsFoundOut(t *testing.T) {
	part := func(header string, more ...string) map[string]string {
		headers := map[string]string{"Content-Range": header}
		for i := 0; i < len(more); i += 2 {
			headers[more[i]] = more[i+1]
		}
		return headers
	}
	for name, server := range map[string]http.HandlerFunc{
		"from elsewhere":      says(part("bytes 5-8/16"), 206, text[5:9]),
		"more than asked for": says(part("bytes 4-8/16"), 206, text[4:9]),
		"backwards":           says(part("bytes 4-3/16"), 206, ""),
		"beyond the end":      says(part("bytes 4-7/7"), 206, text[4:8]),
		"of unknown length":   says(part("bytes 4-7/*"), 206, text[4:8]),
		"with nonsense":       says(part("bytes 4-7/16 or so"), 206, text[4:8]),
		"without a range":     says(nil, 206, text[4:8]),
		"of another length":   says(part("bytes 4-7/16", "Content-Length", "3"), 206, text[4:7]),
		"of something else":   says(part("bytes 4-7/16", "ETag", `"v2"`), 206, text[4:8]),
		"no such range":       says(nil, 416, ""),
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := got(t, server, 4, 4, `"v1"`)
			require.ErrorIs(t, err, fetch.ErrRange)
			require.True(t, passes(err))
		})
	}
	_, _, err := got(t, says(part("bytes 0-15/16"), 206, text), 0, -1, "")
	require.ErrorContains(t, err, "asked for the whole")
	require.False(t, passes(err))
	_, _, err = got(t, says(map[string]string{"Content-Encoding": "gzip"}, 200, text), 0, -1, "")
	require.ErrorContains(t, err, `compresses by "gzip"`)
	require.False(t, passes(err))
}

func TestABodyThatIsCutShortPasses(t *testing.T) {
	for name, server := range map[string]http.HandlerFunc{
		"of the length that was said": func(w http.ResponseWriter, r *http.Request) {
			says(map[string]string{"Content-Length": "16"}, 200, text[:7])(w, r)
			fetchtest.Cut()
		},
		"of a part without a length": says(map[string]string{"Content-Range": "bytes 0-15/16"}, 206, text[:7]),
		"of no length, by a cut": func(w http.ResponseWriter, r *http.Request) {
			says(nil, 200, text[:7])(w, r)
			fetchtest.Cut()
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, body, err := got(t, server, 0, 16, "")
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.True(t, passes(err))
			require.Equal(t, text[:7], body)
		})
	}
}

func TestABodyEndsWhereItWasToEnd(t *testing.T) {
	_, body, err := got(t, func(w http.ResponseWriter, r *http.Request) {
		says(map[string]string{"Content-Range": "bytes 0-15/16"}, 206, text)(w, r)
		for {
			if _, err := io.WriteString(w, text); err != nil {
				return
			}
		}
	}, 0, 16, "")
	require.NoError(t, err)
	require.Equal(t, text, body)
}

func TestAServerMayBeSlowButNotSilent(t *testing.T) {
	slow := func(pause time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for _, c := range text {
				time.Sleep(pause)
				_, _ = fmt.Fprintf(w, "%c", c)
				_ = http.NewResponseController(w).Flush()
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, body, err := got(t, slow(29*time.Second), 0, -1, "")
		require.NoError(t, err)
		require.Equal(t, text, body)
		require.Equal(t, 16*29*time.Second, time.Since(start))
	})
	synctest.Test(t, func(t *testing.T) {
		_, _, err := got(t, slow(31*time.Second), 0, -1, "")
		require.ErrorContains(t, err, "silent for 30s")
		require.True(t, passes(err))
	})
	synctest.Test(t, func(t *testing.T) { // who reads slowly is not a server that is silent
		c := fetch.Client{HTTP: fetchtest.Serve(t, fetchtest.Offer([]byte(text), "")), Stall: time.Second}
		p, err := c.Get(t.Context(), address(t, "https://dl.test/"), 0, -1, "")
		require.NoError(t, err)
		defer p.Body.Close()
		for range text {
			time.Sleep(time.Minute)
			_, err := io.ReadFull(p.Body, make([]byte, 1))
			require.NoError(t, err)
		}
	})
}

func TestACallerThatIsGoneIsNoFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fetch.Client{HTTP: fetchtest.Serve(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })}
		ctx, cancel := contextFor(t, time.Second)
		defer cancel()
		_, err := c.Get(ctx, address(t, "https://dl.test/"), 0, -1, "")
		require.ErrorIs(t, err, errGone)
		require.False(t, passes(err))
	})
}

func TestAFileIsFetchedFromAServerThatCutsAgainAndAgain(t *testing.T) {
	for every := 1; every < len(text); every += 3 {
		var body strings.Builder
		for body.Len() < len(text) {
			_, some, err := got(t, func(w http.ResponseWriter, r *http.Request) {
				first, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-"))
				end := min(first+every, len(text))
				says(map[string]string{"Content-Range": fmt.Sprintf("bytes %d-15/16", first)}, 206, text[first:end])(w, r)
				if end < len(text) {
					fetchtest.Cut()
				}
			}, int64(max(body.Len(), 1)), -1, "")
			if body.Len() == 0 {
				body.WriteByte(text[0])
			}
			require.True(t, err == nil || passes(err), err)
			body.WriteString(some)
		}
		require.Equal(t, text, body.String(), "%d bytes at a time", every)
	}
}

func TestAServerThatRefusesSaysWhy(t *testing.T) {
	for _, tt := range []struct {
		code         int
		passes, none bool
	}{
		{204, false, false}, {400, false, false}, {403, false, false}, {404, false, true}, {410, false, true},
		{408, true, false}, {425, true, false}, {429, true, false}, {500, true, false}, {503, true, false},
	} {
		_, _, err := got(t, says(map[string]string{"Retry-After": "7"}, tt.code, ""), 0, -1, "")
		refusal, ok := errors.AsType[*fetch.Refusal](err)
		require.True(t, ok, tt.code)
		require.Equal(t, tt.code, refusal.Code)
		require.Equal(t, tt.none, errors.Is(err, fs.ErrNotExist), tt.code)
		trouble, ok := errors.AsType[*fetch.Passing](err)
		require.Equal(t, tt.passes, ok, tt.code)
		if ok {
			require.Equal(t, 7*time.Second, trouble.After)
		}
	}
}

func TestANetworkThatFailsPassesAndNoSecretIsShown(t *testing.T) {
	_, _, err := got(t, func(http.ResponseWriter, *http.Request) { fetchtest.Cut() }, 0, -1, "")
	require.ErrorContains(t, err, `asking "dl.test": EOF`)
	require.True(t, passes(err))
	require.NotContains(t, err.Error(), "secret")
}

func TestHTTPIsForThisMachineUnlessItIsAllowed(t *testing.T) {
	var told []string
	client := fetchtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		told = append(told, r.Host+" "+r.Header.Get("X-Token"))
		if to := r.URL.Query().Get("to"); to != "" {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		}
	})
	for _, tt := range []struct {
		from, message string
		allowed       bool
		told          []string
	}{
		{"https://a.test/", "", false, []string{"a.test t"}},
		{"http://a.test/", "not https", false, nil},
		{"http://a.test/", "", true, []string{"a.test t"}},
		{"http://127.0.0.1/", "", false, []string{"127.0.0.1 t"}},
		{"file:///etc/passwd", "not https, nor http: ", true, nil},
		{"http:///b", "no host in", true, nil},
		{"https://a.test/?to=/b", "", false, []string{"a.test t", "a.test t"}},
		{"https://a.test/?to=https://b.test/%3Fto=https://a.test/", "", false, []string{"a.test t", "b.test ", "a.test "}},
		{"https://a.test/?to=http://a.test/", "not https", true, []string{"a.test t"}},
		{"http://localhost/?to=http://a.test/", "not https", false, []string{"localhost t"}},
		{"https://a.test/?to=ftp://b.test/", `from https: not https, nor http: "ftp://b.test/"`, true, []string{"a.test t"}},
		{"http://localhost/?to=http://a.test/", "", true, []string{"localhost t", "a.test "}},
	} {
		told = nil
		c := fetch.Client{HTTP: client, Header: http.Header{"X-Token": {"t"}}, AllowHTTP: tt.allowed}
		p, err := c.Get(t.Context(), address(t, tt.from), 0, -1, "")
		require.Equal(t, tt.told, told, tt.from)
		if tt.message != "" {
			require.ErrorIs(t, err, fetch.ErrInsecure)
			require.ErrorContains(t, err, tt.message)
			continue
		}
		require.NoError(t, err, tt.from)
		require.NoError(t, p.Body.Close())
	}
}
