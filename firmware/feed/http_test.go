package feed_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
)

const object = "0123456789"

// serve is a feed whose server answers as h does.
func serve(t *testing.T, h http.HandlerFunc) *feed.HTTP {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return &feed.HTTP{URL: server.URL + "/releases"}
}

// says answers with these headers, a status and a body.
func says(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestObjectsAreReadByRanges(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/releases/abc", r.URL.Path)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(object))
	})
	dir := feed.Dir(t.TempDir())
	writeObject(t, dir, "abc", object)
	for _, both := range []firmware.Feed{f, dir} {
		for _, tt := range []struct {
			off, n int64
			want   string
		}{{0, -1, object}, {0, 10, object}, {0, 1, "0"}, {3, 4, "3456"}, {9, 1, "9"}, {4, -1, "456789"}} {
			got, err := get(t.Context(), both, "abc", tt.off, tt.n)
			require.NoError(t, err, "%T %+v", both, tt)
			assert.Equal(t, tt.want, string(got), "%T %+v", both, tt)
		}
		for _, tt := range [][2]int64{{0, 11}, {9, 2}, {10, 1}, {11, 1}, {50, 3}} {
			_, err := get(t.Context(), both, "abc", tt[0], tt[1])
			assert.ErrorIs(t, err, firmware.ErrCorrupt, "%T %v", both, tt)
		}
	}
}

func TestAFeedIsFlat(t *testing.T) {
	f := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("it was asked for") })
	for _, name := range []string{"", ".", "..", "../abc", "a/b", "a\\b", ".lock", "a?b", "a#b", "a%2fb", strings.Repeat("a", 256)} {
		for _, both := range []firmware.Feed{f, feed.Dir(t.TempDir())} {
			_, err := both.Get(t.Context(), name, 0, -1)
			assert.ErrorIs(t, err, firmware.ErrInvalid, name)
		}
	}
}

func TestAServerThatIgnoresRangesIsReadFromTheStart(t *testing.T) {
	f := serve(t, says(200, object))
	got, err := get(t.Context(), f, "abc", 3, 4)
	require.NoError(t, err)
	assert.Equal(t, "3456", string(got))
	_, err = get(t.Context(), f, "abc", 3, 8)
	require.ErrorIs(t, err, firmware.ErrCorrupt)
	_, err = get(t.Context(), serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(100<<20))
	}), "abc", 65<<20, 4)
	require.ErrorIs(t, err, firmware.ErrUnavailable)
	require.ErrorContains(t, err, "ignores ranges")
}

func TestAnAnswerThatIsNotWhatWasAskedForFallsToAnotherWay(t *testing.T) {
	for _, header := range []string{"bytes 0-3/10", "bytes 4-6/10", "bytes 3-7/10", "bytes 3-6/*", "bytes 3-6/5", "chapters 3-6/10", ""} {
		f := serve(t, says(206, "3456", "Content-Range", header))
		_, err := get(t.Context(), f, "abc", 3, 4)
		assert.ErrorIs(t, err, firmware.ErrCorrupt, header)
	}
	for _, h := range []http.HandlerFunc{
		says(416, ""), says(206, "3", "Content-Range", "bytes 3-3/4"),
	} {
		_, err := get(t.Context(), serve(t, h), "abc", 3, 4)
		assert.ErrorIs(t, err, firmware.ErrCorrupt)
	}
}

func TestABodyThatIsCutShortIsAskedForAgain(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a part":           says(206, "34", "Content-Range", "bytes 3-6/10", "Content-Length", "4"),
		"a shorter part":   says(206, "34", "Content-Range", "bytes 3-4/10"),
		"the whole":        says(200, "01234", "Content-Length", "10"),
		"without a length": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "01"); w.(http.Flusher).Flush() },
	} {
		_, err := get(t.Context(), serve(t, h), "abc", 3, 4)
		require.Error(t, err, name)
		assert.NotErrorIs(t, err, fs.ErrNotExist, name)
		assert.NotErrorIs(t, err, firmware.ErrCorrupt, name)
	}
}

func TestABodyThatDoesNotEndIsReadToWhereItIsToEnd(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, object); err != nil {
				return
			}
		}
	})
	got, err := get(t.Context(), f, "abc", 3, 4)
	require.NoError(t, err)
	assert.Equal(t, "3456", string(got))
}

func TestWhatAServerRefusesIsOneOfTheErrorsOfTheDomain(t *testing.T) {
	for _, tt := range []struct {
		status int
		after  string
		want   error
		wait   time.Duration
	}{
		{403, "", firmware.ErrNotFound, 0}, {404, "", firmware.ErrNotFound, 0}, {410, "", firmware.ErrNotFound, 0},
		{429, "7", firmware.ErrUnavailable, 7 * time.Second}, {503, "90", firmware.ErrUnavailable, 90 * time.Second},
		{500, "", firmware.ErrUnavailable, 0}, {401, "", firmware.ErrUnavailable, 0}, {304, "", firmware.ErrUnavailable, 0},
	} {
		_, err := get(t.Context(), serve(t, says(tt.status, "", "Retry-After", tt.after)), "abc", 0, 4)
		require.ErrorIs(t, err, tt.want, "%d", tt.status)
		assert.Equal(t, tt.want == firmware.ErrNotFound, errors.Is(err, fs.ErrNotExist))
		if said, is := errors.AsType[*firmware.UnavailableError](err); is {
			assert.Equal(t, tt.wait, said.After)
		}
	}
	_, err := get(t.Context(), &feed.HTTP{URL: "http://127.0.0.1:1"}, "abc", 0, 4)
	require.ErrorIs(t, err, firmware.ErrUnavailable)
}

func TestOnlyWhatCannotBeTamperedWithIsAskedUnlessItIsAllowed(t *testing.T) {
	for _, address := range []string{"http://example.com", "ftp://127.0.0.1", "://", "", "file:///etc"} {
		_, err := get(t.Context(), &feed.HTTP{URL: address}, "abc", 0, 4)
		require.ErrorIs(t, err, firmware.ErrInvalid, address)
	}
	f := &feed.HTTP{URL: "http://releases.invalid", AllowHTTP: true, Client: &http.Client{Transport: always(503)}}
	_, err := get(t.Context(), f, "abc", 0, 4)
	require.ErrorIs(t, err, firmware.ErrUnavailable)
	f = &feed.HTTP{URL: "https://user:secret@releases.invalid", Client: &http.Client{Transport: always(500)}}
	_, err = get(t.Context(), f, "abc", 0, 4)
	require.NotContains(t, err.Error(), "secret")
}

type always int

func (a always) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: int(a), Status: fmt.Sprint(int(a)), Body: http.NoBody, Header: http.Header{}, Request: r}, nil
}

func TestARedirectLeadsNoSecretToAnotherHost(t *testing.T) {
	var seen string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Get("X-Token")
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(object))
	}))
	t.Cleanup(other.Close)
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "secret", r.Header.Get("X-Token"))
		http.Redirect(w, r, other.URL+"/abc", http.StatusFound)
	})
	f.Header = http.Header{"X-Token": {"secret"}}
	got, err := get(t.Context(), f, "abc", 3, 4)
	require.NoError(t, err)
	assert.Equal(t, "3456", string(got))
	assert.Empty(t, seen)

	loop := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) })
	_, err = get(t.Context(), loop, "abc", 0, 4)
	require.ErrorContains(t, err, "10 times")
}

func TestARedirectFromHTTPSToHTTPIsNotFollowed(t *testing.T) {
	plain := httptest.NewServer(says(200, object))
	t.Cleanup(plain.Close)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL, http.StatusFound)
	}))
	t.Cleanup(server.Close)
	_, err := get(t.Context(), &feed.HTTP{URL: server.URL, Client: server.Client(), AllowHTTP: true}, "abc", 0, 4)
	require.ErrorIs(t, err, firmware.ErrInvalid)
}

// A check that finds nothing new is one request, and less than 1 KiB both ways.
func TestACheckThatFindsNothingNewCostsLittle(t *testing.T) {
	s := newShop(t)
	s.add("1.0.0", code(1, 16))
	raw := s.read(firmware.CatalogName)
	var requests, bytes atomic.Int64
	etag := `"one"`
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		w.Header().Set("ETag", etag)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(raw)))
	}))
	server.Listener = counting{server.Listener, &bytes}
	server.Start()
	t.Cleanup(server.Close)
	f := &feed.HTTP{URL: server.URL}
	for i := range 3 {
		requests.Store(0)
		bytes.Store(0)
		got, err := get(t.Context(), f, firmware.CatalogName, 0, -1)
		require.NoError(t, err)
		require.Equal(t, raw, got)
		assert.Equal(t, int64(1), requests.Load())
		if i > 0 {
			assert.LessOrEqual(t, bytes.Load(), int64(1<<10))
		}
	}
	etag, raw = `"two"`, append(raw, ' ')
	got, err := get(t.Context(), f, firmware.CatalogName, 0, -1)
	require.NoError(t, err)
	assert.Equal(t, raw, got)
}

// counting counts what comes and goes.
type counting struct {
	net.Listener
	bytes *atomic.Int64
}

func (c counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	return counted{conn, c.bytes}, err
}

type counted struct {
	net.Conn
	bytes *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.bytes.Add(int64(n))
	return n, err
}

func TestACatalogThatWasNotReadToItsEndIsNotRemembered(t *testing.T) {
	whole := false
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Empty(t, r.Header.Get("If-None-Match"))
		w.Header().Set("ETag", `"one"`)
		if !whole {
			w.Header().Set("Content-Length", "100")
		}
		_, _ = io.WriteString(w, object)
	})
	_, err := get(t.Context(), f, firmware.CatalogName, 0, -1)
	require.Error(t, err)
	whole = true
	got, err := get(t.Context(), f, firmware.CatalogName, 0, -1)
	require.NoError(t, err)
	assert.Equal(t, object, string(got))
}

// memoryServer answers within a bubble.
type memoryServer struct{ asked []string }

func (m *memoryServer) RoundTrip(r *http.Request) (*http.Response, error) {
	m.asked = append(m.asked, r.Header.Get("If-None-Match"))
	w := httptest.NewRecorder()
	w.Header().Set("ETag", `"one"`)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(object))
	return w.Result(), nil
}

func TestACatalogIsAskedForAnewOnceAWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &memoryServer{}
		f := &feed.HTTP{URL: "https://releases.invalid", Client: &http.Client{Transport: server}}
		for range 4 {
			_, err := get(t.Context(), f, firmware.CatalogName, 0, -1)
			require.NoError(t, err)
			time.Sleep(3 * 24 * time.Hour)
		}
		assert.Equal(t, []string{"", `"one"`, `"one"`, ""}, server.asked)
	})
}

// A device that begins in 1970 finds no certificate that is valid yet, unless it
// knows better.
func TestTheClockOfTLSIsNotBeforeTheProgramWasBuilt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is the year 2000
		f := &feed.HTTP{URL: "https://releases.invalid"}
		transport, is := f.Sender().Transport.(*http.Transport)
		require.True(t, is)
		require.NotNil(t, transport.TLSClientConfig.Time)
		assert.False(t, transport.TLSClientConfig.Time().Before(time.Now()))
		assert.True(t, transport.ForceAttemptHTTP2)
	})
}

// Somebody on the way puts his own body under the ETag of the server, and is gone.
func TestOverHTTPNothingIsRemembered(t *testing.T) {
	var thief atomic.Bool
	thief.Store(true)
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if thief.Load() {
			_, _ = io.WriteString(w, "a thief's")
			return
		}
		_, _ = io.WriteString(w, object)
	})
	f.AllowHTTP = true
	got, err := get(t.Context(), f, firmware.CatalogName, 0, -1)
	require.NoError(t, err)
	require.Equal(t, "a thief's", string(got))
	thief.Store(false)
	got, err = get(t.Context(), f, firmware.CatalogName, 0, -1)
	require.NoError(t, err)
	require.Equal(t, object, string(got))
}
