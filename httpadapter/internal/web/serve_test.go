package web_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
)

var own = web.Own("things", nil)

// serve serves routes of our own, for everybody with a token that begins with
// "good": it says who that is.
func serve(t testing.TB, c web.Config, routes ...web.Route) *web.Server {
	for i := range routes {
		routes[i].API, routes[i].Speaks = own.API, own
		if routes[i].Methods == nil {
			routes[i].Methods = web.Reading
		}
	}
	c.Other, c.Streams, c.EachStreams, c.Logins, c.Logger = own, 8, 8, -1, slog.New(slog.DiscardHandler)
	if c.Replies == 0 {
		c.Replies = 8
	}
	c.Identify = func(_ context.Context, _ *web.Route, sent web.Credential) (web.Who, error) {
		if !strings.HasPrefix(sent.Secret, "good") {
			return web.Who{}, web.ErrBadCredential
		}
		return web.Who{ID: sent.Secret, Level: 1}, nil
	}
	s, err := web.New(c, web.API{Routes: routes, Trees: map[string]*web.Dialect{"/things": own}})
	require.NoError(t, err)
	return s
}

// ask sends a request and returns the reply and its text.
func ask(h http.Handler, method, path, body string) (*http.Response, string) {
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, content))
	return w.Result(), w.Body.String()
}

// slug returns that of a problem.
func slug(t testing.TB, text string) string {
	var p web.Problem
	require.NoError(t, json.Unmarshal([]byte(text), &p), text)
	return strings.TrimPrefix(p.Type, "urn:upkeep:problem:")
}
