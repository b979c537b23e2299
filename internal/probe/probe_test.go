package probe_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/probe"
)

func TestAnAnswerIsJudged(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/well", http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/elsewhere":
			http.Redirect(w, r, "http://user:secret@elsewhere.invalid/?key=secret", http.StatusFound)
		case "/secure":
			http.Redirect(w, r, "https://"+r.Host+"/", http.StatusFound)
		case "/ill":
			http.Error(w, "no\n\tdatabase", http.StatusServiceUnavailable)
		case "/absent":
			w.WriteHeader(http.StatusNotFound)
		case "/asked":
			if r.Host != "shop.example" || r.Header.Get("X-Kind") != "probe" || !r.Close {
				http.Error(w, "who asks?", http.StatusInternalServerError)
			}
		default:
			_, _ = w.Write([]byte("all is well"))
		}
	}))
	defer s.Close()
	for _, tt := range []struct {
		name, path string
		request    probe.Request
		want       string // "" if it is well
	}{
		{"well", "/", probe.Request{}, ""},
		{"well, in its words", "/", probe.Request{Contains: "is well", MaxBody: 100}, ""},
		{"other words", "/", probe.Request{Contains: "is bad", MaxBody: 100}, `the answer does not contain "is bad"`},
		{"words too late", "/", probe.Request{Contains: "is well", MaxBody: 5}, `the answer does not contain "is well"`},
		{"below 500", "/absent", probe.Request{}, ""},
		{"the status wanted", "/absent", probe.Request{Status: 404}, ""},
		{"another status", "/absent", probe.Request{Status: 200}, "404 Not Found"},
		{"ill", "/ill", probe.Request{}, "503 Service Unavailable: no database"},
		{"moved", "/moved", probe.Request{Status: 200}, ""},
		{"moved, and that is wanted", "/moved", probe.Request{Status: 302}, ""},
		{"moved round and round", "/round", probe.Request{}, "redirected 10 times"},
		{"moved elsewhere", "/elsewhere", probe.Request{Status: 200}, "302 Found → http://elsewhere.invalid"},
		{"moved to another scheme", "/secure", probe.Request{Status: 200, SameScheme: true}, "302 Found → " + "https" + s.URL[len("http"):]},
		{"asked as wanted", "/asked", probe.Request{Host: "shop.example", Headers: map[string]string{"X-Kind": "probe"}, Close: true}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, err := url.Parse(s.URL + tt.path)
			require.NoError(t, err)
			tt.request.URL = u
			err = probe.HTTP(t.Context(), *s.Client(), tt.request)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}
