package web_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
)

func TestIDsComeFromThePathAsItWasSent(t *testing.T) {
	var got [2]string
	s := serve(t, web.Config{Prefix: "/svc"}, web.Route{Pattern: "/things/{id}/parts/{part}", Handle: func(c *web.Call) error {
		got = [2]string{c.ID("id"), c.ID("part")}
		require.Empty(t, c.ID("another"))
		return c.Reply(http.StatusOK, nil)
	}})
	for path, want := range map[string][2]string{
		"a/parts/b":                      {"a", "b"},
		"%C3%BC/parts/%c3%bc":            {"ü", "ü"},
		"neu%20(1)%20%C3%BC/parts/a%2Fb": {"neu (1) ü", "a/b"},
		"x%2e/parts/%2e%2ex":             {"x.", "..x"},
		"a+b/parts/a%2bb":                {"a+b", "a+b"},
		"parts/parts/parts":              {"parts", "parts"},
	} {
		response, text := ask(s, "GET", "/svc/things/"+path, "")
		require.Equal(t, http.StatusOK, response.StatusCode, text)
		require.Equal(t, want, got, path)
	}
	for _, path := range []string{"%00/parts/b", "a/parts/%ff", "%2e/parts/b", "a/parts/%2e%2e", "a/parts/%7f"} {
		_, text := ask(s, "GET", "/svc/things/"+path, "")
		require.Equal(t, "invalid-id", slug(t, text), path)
	}
}

// TestIDsAreCountedFromTheEnd: a router may have taken something off the front
// of the path, or may have matched more of it than the pattern has.
func TestIDsAreCountedFromTheEnd(t *testing.T) {
	var got string
	s := serve(t, web.Config{Prefix: "/svc"}, web.Route{Pattern: "/things/{id}", Handle: func(c *web.Call) error {
		got = c.ID("id")
		return c.Reply(http.StatusOK, nil)
	}})
	s.Register(func(pattern string, h http.Handler) {
		if pattern != "/svc/things/{id}" {
			return
		}
		for _, path := range []string{"/a%2Fb", "/things/a%2Fb", "/more/svc/things/a%2Fb"} {
			got = ""
			response, _ := ask(h, "GET", path, "")
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.Equal(t, "a/b", got, path)
		}
	})
}

// TestAnOptionalIDMayBeLeftEmpty: its slash is there all the same.
func TestAnOptionalIDMayBeLeftEmpty(t *testing.T) {
	var got string
	answer := func(names ...string) func(*web.Call) error {
		return func(c *web.Call) error {
			got = ""
			for _, name := range names {
				got += "/" + c.ID(name)
			}
			return c.Reply(http.StatusOK, nil)
		}
	}
	s := serve(t, web.Config{},
		web.Route{Pattern: "/release/{v}", Slash: true, Handle: answer("v")}, web.Route{Pattern: "/release/{v}/{gray}", Handle: answer("v", "gray")})
	for path, want := range map[string]string{
		"/release/3": "/3", "/release/3/": "/3", "/%72elease/3/": "/3", "/release/a%2Fb/": "/a/b", "/release/3/next": "/3/next",
	} {
		response, text := ask(s, "GET", path, "")
		require.Equal(t, http.StatusOK, response.StatusCode, path+text)
		require.Equal(t, want, got, path)
	}
	for _, path := range []string{"/release/3/next/", "/release/3/next/more", "/release/a/release/3/4"} {
		_, text := ask(s, "GET", path, "")
		require.Equal(t, "not-found", slug(t, text), path)
	}
}
