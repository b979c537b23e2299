package step_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// answers is a client that gets the answers of a handler, without a network.
func answers(h http.HandlerFunc) *http.Client {
	return &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		h(w, r)
		if err := context.Cause(r.Context()); err != nil {
			return nil, err
		}
		resp := w.Result()
		resp.Request = r
		return resp, nil
	})}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestHTTPHealthKnowsAHealthyAnswer(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "version 1.1.0+b is up") })
	mux.HandleFunc("/teapot", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(418) })
	mux.HandleFunc("/v/1.1.0+b", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Query().Get("v")) })
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://other.test/ok", http.StatusFound)
	})
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	mux.HandleFunc("/long", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Repeat("x", 1<<20)+"end") })
	tests := []struct {
		name    string
		health  step.Health
		message string // "" for healthy
	}{
		{"200", step.Health{URL: "http://site.test/ok"}, ""},
		{"the wanted text", step.Health{URL: "http://site.test/ok", Contains: "version {version} is"}, ""},
		{"another text", step.Health{URL: "http://site.test/ok", Contains: "version 1.0.0"}, `does not contain "version 1.0.0"`},
		{"a text too far down", step.Health{URL: "http://site.test/long", Contains: "end"}, `does not contain "end"`},
		{"the wanted status", step.Health{URL: "http://site.test/teapot", Status: 418}, ""},
		{"another status", step.Health{URL: "http://site.test/teapot"}, "answered 418 I'm a teapot, not 200"},
		{"placeholders are escaped", step.Health{URL: "http://site.test/v/{version}?v={version}", Contains: "1.1.0+b"}, ""},
		{"a redirect on the host is followed", step.Health{URL: "http://site.test/here", Contains: "is up"}, ""},
		{"a redirect elsewhere is not", step.Health{URL: "http://site.test/away"}, "answered 302 Found, not 200"},
		{"a redirect may be what is wanted", step.Health{URL: "http://site.test/here", Status: 302}, ""},
		{"redirects end", step.Health{URL: "http://site.test/round"}, "redirected 10 times"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.health.Client, tt.health.Attempts = answers(mux.ServeHTTP), 1
			s := step.HTTPHealth(tt.health)
			require.NoError(t, s.Check(t.Context(), task("one", "1.1.0+b")))
			err := s.Do(t.Context(), task("one", "1.1.0+b"))
			if tt.message == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.message)
			}
		})
	}
}

func TestHTTPHealthAsksAgainUntilItsAttemptsAreUsedUp(t *testing.T) {
	tests := []struct {
		name    string
		healthy int // the attempt that is answered well
		took    time.Duration
		message string
	}{
		{"well at once", 1, 0, ""},
		{"well at last", 10, 9 * time.Second, ""},
		{"never well", 11, 9 * time.Second, "not healthy after 10 attempts: answered 503 Service Unavailable, not 200"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				s := step.HTTPHealth(step.Health{URL: "http://site.test/", Client: answers(func(w http.ResponseWriter, _ *http.Request) {
					if n++; n < tt.healthy {
						w.WriteHeader(http.StatusServiceUnavailable)
					}
				})})
				start := time.Now()
				err := s.Do(t.Context(), task("one", "1.1.0"))
				require.Equal(t, tt.took, time.Since(start))
				if tt.message == "" {
					require.NoError(t, err)
				} else {
					require.EqualError(t, err, "step: "+tt.message)
				}
			})
		})
	}
}

func TestHTTPHealthGivesUpOnASlowAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := step.HTTPHealth(step.Health{URL: "http://site.test/", Attempts: 2, Client: answers(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		})})
		start := time.Now()
		require.ErrorIs(t, s.Do(t.Context(), task("one", "1.1.0")), context.DeadlineExceeded)
		require.Equal(t, 11*time.Second, time.Since(start))
	})
}

func TestHTTPHealthShowsThatItLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpdater(t, step.HTTPHealth(step.Health{URL: "http://site.test/", Attempts: 100, Interval: time.Minute,
			Client: answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })}))
		run, err := install(t.Context(), u, "1.1.0")
		require.ErrorContains(t, err, "not healthy after 100 attempts", "no lock ends in these 99 minutes")
		require.Equal(t, update.StateRolledBack, run.State)
	})
}

func TestHTTPHealthStopsWhenItIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(1500*time.Millisecond, func() { cancel() })
		s := step.HTTPHealth(step.Health{URL: "http://site.test/", Client: answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })})
		start := time.Now()
		require.ErrorIs(t, s.Do(ctx, task("one", "1.1.0")), context.Canceled)
		require.Equal(t, 1500*time.Millisecond, time.Since(start))
	})
}

func TestHTTPHealthLeavesTheClientAsItIs(t *testing.T) {
	client := answers(func(w http.ResponseWriter, r *http.Request) {})
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("mine") }
	require.NoError(t, step.HTTPHealth(step.Health{URL: "http://site.test/", Client: client}).Do(t.Context(), task("one", "1.1.0")))
	require.EqualError(t, client.CheckRedirect(nil, nil), "mine")
}

func TestHTTPHealthFindsOutBeforehandThatAnAddressIsNone(t *testing.T) {
	for _, address := range []string{"", "site.test", "/path", "ftp://site.test/", "http://", "http://user:secret@site .test/", "unix:///run/site"} {
		err := step.HTTPHealth(step.Health{URL: address}).Check(t.Context(), task("one", "1.1.0"))
		require.ErrorContains(t, err, "step: health URL", address)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestHTTPHealthShowsNoSecretOfItsAddress(t *testing.T) {
	for _, address := range []string{"http://ann:secret@site.test/ok?token=secret", "ftp://ann:secret@site.test/ok?token=secret"} {
		h := step.Health{URL: address, Attempts: 1, Client: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
			return nil, errors.New("connection refused")
		})}}
		err := step.HTTPHealth(h).Do(t.Context(), task("one", "1.1.0"))
		require.ErrorContains(t, err, "site.test/ok")
		require.NotContains(t, err.Error(), "secret")
	}
}
