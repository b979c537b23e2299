package httpadapter_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
)

func TestContentTypesAndEncodings(t *testing.T) {
	s := new(site).open(t)
	const body = `{"api_token":"` + reader + `","itemId":"core"}`
	tests := []struct {
		name, header, value string
		status              int
	}{
		{"JSON", "Content-Type", "application/json", 200},
		{"JSON in UTF-8", "Content-Type", "application/json; charset=UTF-8", 200},
		{"JSON of another kind", "Content-Type", "application/vnd.api+json", 200},
		{"text", "Content-Type", "text/plain; charset=utf-8", 200},
		{"nothing", "X-Nothing", "", 200},
		{"text in another charset", "Content-Type", "text/plain; charset=gbk", 415},
		{"parts", "Content-Type", "multipart/form-data; boundary=x", 415},
		{"XML", "Content-Type", "application/xml", 415},
		{"no type at all", "Content-Type", ";;", 415},
		{"gzip", "Content-Encoding", "gzip", 415},
		{"two encodings", "Content-Encoding", "identity, gzip", 415},
		{"identity", "Content-Encoding", "identity", 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := s.send("POST", "/api/v1/update/progress", body, header(tt.header, tt.value))
			require.Equal(t, tt.status, r.StatusCode, r.text)
			checkEnvelope(t, "/api/v1/update/progress", r)
		})
	}
	r := s.send("POST", runs, "package=demo/site", as(admin), form)
	require.Equal(t, "unsupported-media-type", r.problem(t), "forms are for the document's routes only")
}

func TestBodiesAreBounded(t *testing.T) {
	s := (&site{configure: func(c *httpadapter.Config) { c.Limits.Body = 1000 }}).open(t)
	pad := func(length int) string {
		body := `{"api_token":"` + reader + `","itemId":"core","pad":"`
		return body + strings.Repeat("x", length-len(body)-2) + `"}`
	}
	chunked := func(r *http.Request) { r.ContentLength = -1 }
	for _, prepare := range []func(*http.Request){func(*http.Request) {}, chunked} {
		r := s.send("POST", "/api/v1/update/progress", pad(1000), prepare)
		require.Equal(t, http.StatusOK, r.StatusCode, r.text)
		r = s.send("POST", "/api/v1/update/progress", pad(1001), prepare)
		require.Equal(t, http.StatusRequestEntityTooLarge, r.StatusCode)
		require.JSONEq(t, `{"status":"fail","message":"Request body too large"}`, r.text)
		require.Equal(t, "body-too-large", s.send("POST", runs, pad(1001), as(admin), prepare).problem(t))
	}
	declared := httptest.NewRequest("POST", "/api/v1/update", unread{t})
	declared.ContentLength = 1001
	require.Equal(t, http.StatusRequestEntityTooLarge, s.serve(declared).StatusCode)
}

// unread is a body that nobody must read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestBodyIsReadOnlyForWhomItMayChangeSomething(t *testing.T) {
	s := new(site).open(t)
	for token, status := range map[string]int{"": 401, "guess": 401, reader: 403} {
		r := httptest.NewRequest("POST", runs, unread{t})
		if token != "" {
			as(token)(r)
		}
		require.Equal(t, status, s.serve(r).StatusCode)
	}
	r := httptest.NewRequest("GET", runs, unread{t})
	as(admin)(r)
	require.Equal(t, http.StatusOK, s.serve(r).StatusCode, "and never for a GET")
}

func TestBodyThatIsCutShortChangesNothing(t *testing.T) {
	s := new(site).open(t)
	body := io.MultiReader(strings.NewReader(updateBody(admin)), failing{io.ErrUnexpectedEOF})
	r := s.serve(httptest.NewRequest("POST", "/api/v1/update", body))
	require.Equal(t, http.StatusBadRequest, r.StatusCode)
	require.Empty(t, s.history(t))
	require.Empty(t, s.log.String())
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestSlowBodyIsNotWaitedForForever(t *testing.T) {
	inBubble(t, new(site), func(t *testing.T, s *site, client *http.Client) {
		body, feed := io.Pipe()
		defer feed.Close()
		r, err := http.NewRequest("POST", "http://site/api/v1/update", body)
		require.NoError(t, err)
		r.ContentLength = 1000
		begun := time.Now()
		reply, err := client.Do(r)
		require.NoError(t, err)
		defer reply.Body.Close()
		require.Equal(t, http.StatusBadRequest, reply.StatusCode)
		require.Equal(t, 30*time.Second, time.Since(begun))
		require.Empty(t, s.history(t))
	})
}
