package httpadapter_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
)

// slowly is an Authenticator that takes most of a second to refuse, and half of one to
// find the administrator; it counts how often it is asked.
func slowly(asked *atomic.Int64) custom {
	return func(c httpadapter.Credential) (httpadapter.Principal, error) {
		asked.Add(1)
		time.Sleep(time.Second / 2)
		if c.Secret == admin {
			return httpadapter.Principal{ID: "ann", Role: httpadapter.Admin}, nil
		}
		time.Sleep(400 * time.Millisecond) // nothing ends when a wait of five seconds does
		return httpadapter.Principal{}, httpadapter.ErrBadCredential
	}
}

// together serves n requests at once and counts the replies by their status.
func (s *site) together(n int, request func(i int) *http.Request) map[int]int {
	replies := make(chan int, n)
	for i := range n {
		go func() { replies <- s.serve(request(i)).StatusCode }()
	}
	counts := map[int]int{}
	for range n {
		counts[<-replies]++
	}
	return counts
}

func withToken(token string) *http.Request {
	r := httptest.NewRequest("GET", runs, nil)
	as(token)(r)
	return r
}

func TestGuessesWhoseBodiesEndTogetherAreCountedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(site).open(t)
		end := make(chan struct{})
		go func() {
			synctest.Wait() // every request waits for the rest of its body
			close(end)
		}()
		counts := s.together(500, func(int) *http.Request {
			body, rest := io.Pipe()
			go func() {
				text := updateBody("a guess")
				_, _ = io.WriteString(rest, text[:10])
				<-end
				_, _ = io.WriteString(rest, text[10:])
				_ = rest.Close()
			}()
			return httptest.NewRequest("POST", "/api/v1/update", body)
		})
		require.Equal(t, map[int]int{401: 10, 429: 490}, counts)
	})
}

func TestGuessesAreCountedBeforeTheirOutcomeIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		s := (&site{configure: func(c *httpadapter.Config) { c.Auth = slowly(&asked) }}).open(t)
		counts := s.together(500, func(int) *http.Request { return withToken("a guess") })
		require.Equal(t, map[int]int{401: 10, 429: 490}, counts)
		require.EqualValues(t, 10+3, asked.Load(), "one at a time then, each for a second and with one more after it, for five")

		time.Sleep(2 * time.Minute)
		first := s.together(9, func(int) *http.Request { return withToken("a guess") })
		require.Equal(t, map[int]int{401: 9}, first)
		rest := s.together(100, func(int) *http.Request { return withToken("a guess") })
		require.Equal(t, map[int]int{401: 1, 429: 99}, rest, "one try is left, and no more comes while they wait")
	})
}

func TestGoodLoginsAtOnceAreAllLetIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		s := (&site{configure: func(c *httpadapter.Config) { c.Auth = slowly(&asked) }}).open(t)
		begun := time.Now()
		counts := s.together(200, func(int) *http.Request { return withToken(admin) })
		require.Equal(t, map[int]int{200: 200}, counts)
		require.Equal(t, 10*time.Second, time.Since(begun), "ten at a time")
		begun = time.Now()
		counts = s.together(200, func(int) *http.Request { return withToken(admin) })
		require.Equal(t, map[int]int{200: 200}, counts)
		require.Equal(t, time.Second/2, time.Since(begun), "it was good before")
		require.Zero(t, s.adapter.Attempts())
	})
}

func TestLoginThatWaitsForOthersEndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		s := (&site{configure: func(c *httpadapter.Config) {
			c.Limits.Logins = 1
			c.Auth = custom(func(httpadapter.Credential) (httpadapter.Principal, error) {
				<-end
				return httpadapter.Principal{ID: "ann", Role: httpadapter.Admin}, nil
			})
		}}).open(t)
		first := make(chan int)
		go func() { first <- s.serve(withToken(admin)).StatusCode }()
		synctest.Wait()
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		require.Equal(t, 503, s.serve(withToken(admin).WithContext(ctx)).StatusCode)
		require.Empty(t, s.log.String())
		close(end)
		require.Equal(t, 200, <-first)
		require.Zero(t, s.adapter.Attempts())
	})
}

func TestTryIsGivenBackUnlessTheCredentialIsBad(t *testing.T) {
	outcomes := map[string]func() error{
		"no credential": func() error { return httpadapter.ErrNoCredential },
		"expired":       func() error { return httpadapter.ErrExpired },
		"forbidden":     func() error { return httpadapter.ErrForbidden },
		"failure":       func() error { return io.ErrUnexpectedEOF },
		"panic":         func() error { panic("the directory is down") },
	}
	for name, outcome := range outcomes {
		t.Run(name, func(t *testing.T) {
			s := (&site{configure: func(c *httpadapter.Config) {
				c.Auth = custom(func(c httpadapter.Credential) (httpadapter.Principal, error) {
					if c.Secret == admin {
						return httpadapter.Principal{ID: "ann", Role: httpadapter.Admin}, nil
					}
					return httpadapter.Principal{}, outcome()
				})
			}}).open(t)
			for range 20 {
				require.NotEqual(t, 429, s.serve(withToken("x")).StatusCode)
			}
			require.Equal(t, 200, s.serve(withToken(admin)).StatusCode)
			require.Zero(t, s.adapter.Attempts())
		})
	}
}

func TestALockOutIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(site).open(t)
		guess := func(n int) string {
			before := len(s.log.String())
			s.together(n, func(int) *http.Request { return withToken("a guess") })
			return s.log.String()[before:]
		}
		require.Empty(t, guess(9))
		line := guess(1)
		require.Regexp(t, `^time=\S+ level=WARN msg="httpadapter: logins .*" address=192.0.2.1 per_minute=10\n$`, line)
		require.NotContains(t, line, "guess")
		require.Empty(t, guess(5))
		time.Sleep(10 * time.Second)
		require.Empty(t, guess(5), "it is the same lock-out")
		time.Sleep(2 * time.Minute)
		require.Empty(t, guess(9))
		require.NotEmpty(t, guess(1))
	})
}

// locked is a site that an address has no tries at.
func locked(t *testing.T, configure func(*httpadapter.Config)) *site {
	s := (&site{configure: configure}).open(t)
	for range 10 {
		require.Equal(t, 401, s.serve(withToken("a guess")).StatusCode)
	}
	require.Equal(t, 429, s.serve(withToken("a guess")).StatusCode)
	return s
}

func TestAGoodCredentialPassesAlsoWithoutTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := locked(t, nil)
		for _, r := range s.adapter.Routes() {
			if method := r.Methods[0]; !s.adapter.Wire(r.Pattern, method).Stream {
				reply := s.ask(r, method, admin)
				require.NotContains(t, []int{401, 403, 429}, reply.StatusCode, "%s %s: %s", method, r.Pattern, reply.text)
			}
		}
		require.Equal(t, 429, s.serve(withToken("a guess")).StatusCode)
		require.Equal(t, 403, s.send("POST", runs, "{}", as(reader)).StatusCode, "a known one is told what it may not")
	})
}

func TestAGoodCredentialWaitsForAPauseOnlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := locked(t, nil)
		begun := time.Now()
		require.Equal(t, 200, s.serve(withToken(admin)).StatusCode)
		require.Equal(t, time.Second, time.Since(begun))
		require.Equal(t, 429, s.serve(withToken("a guess")).StatusCode)
		begun = time.Now()
		require.Equal(t, 200, s.serve(withToken(admin)).StatusCode)
		require.Zero(t, time.Since(begun))
	})
}

func TestGuessesWithoutTriesAreCheckedAtASteadyPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := locked(t, func(c *httpadapter.Config) {
			c.Auth = custom(func(c httpadapter.Credential) (httpadapter.Principal, error) {
				asked++
				return httpadapter.Principal{}, httpadapter.ErrBadCredential
			})
		})
		asked = 0
		begun := time.Now()
		counts := s.together(1000, func(int) *http.Request { return withToken("a guess") })
		require.Equal(t, map[int]int{429: 1000}, counts)
		require.Equal(t, 5*time.Second, time.Since(begun))
		require.LessOrEqual(t, asked, 5)
		time.Sleep(2 * time.Second)
		require.Zero(t, s.adapter.Attempts())
	})
}

func TestAWithdrawnCredentialIsAGuess(t *testing.T) {
	withdrawn := false
	s := (&site{configure: func(c *httpadapter.Config) {
		c.Auth = custom(func(c httpadapter.Credential) (httpadapter.Principal, error) {
			if withdrawn {
				return httpadapter.Principal{}, httpadapter.ErrBadCredential
			}
			return httpadapter.Principal{ID: "ann", Role: httpadapter.Admin}, nil
		})
	}}).open(t)
	require.Equal(t, 200, s.serve(withToken(admin)).StatusCode)
	withdrawn = true
	for range 10 {
		require.Equal(t, 401, s.serve(withToken(admin)).StatusCode)
	}
	require.Equal(t, 429, s.serve(withToken(admin)).StatusCode)
}

func TestWhatOtherSitesMakeABrowserSendUsesUpNoTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(site).open(t)
		for _, r := range s.adapter.Routes() {
			for _, from := range []func(*http.Request){header("Sec-Fetch-Site", "cross-site"), header("Origin", "https://evil.example")} {
				for range 3 {
					reply := s.ask(r, r.Methods[0], "the-token-of-nobody", from)
					require.Contains(t, []int{401, 403, 429}, reply.StatusCode, reply.text)
				}
			}
		}
		for range 10 {
			require.Equal(t, 401, s.serve(withToken("a guess")).StatusCode)
		}
		read := s.send("GET", runs, "", as(admin), header("Sec-Fetch-Site", "cross-site"))
		require.Equal(t, 200, read.StatusCode, "who is let in may read from elsewhere")
	})
}
