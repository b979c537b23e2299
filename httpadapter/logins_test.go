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

// slowly is an Authenticator that takes a second to refuse, and half of one to
// find the administrator; it counts how often it is asked.
func slowly(asked *atomic.Int64) custom {
	return func(c httpadapter.Credential) (httpadapter.Principal, error) {
		asked.Add(1)
		time.Sleep(time.Second / 2)
		if c.Secret == admin {
			return httpadapter.Principal{ID: "ann", Role: httpadapter.Admin}, nil
		}
		time.Sleep(time.Second / 2)
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
		require.EqualValues(t, 10, asked.Load())

		time.Sleep(time.Minute)
		first := s.together(9, func(int) *http.Request { return withToken("a guess") })
		require.Equal(t, map[int]int{401: 9}, first)
		rest := s.together(100, func(int) *http.Request { return withToken("a guess") })
		require.Equal(t, map[int]int{401: 1, 429: 99}, rest, "one try is left")
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
		for range 9 {
			require.Equal(t, 401, s.serve(withToken("a guess")).StatusCode)
		}
		counts = s.together(200, func(int) *http.Request { return withToken(admin) })
		require.Equal(t, map[int]int{200: 200}, counts, "and two at a time")
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
			for range n {
				s.serve(withToken("a guess"))
			}
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

func TestBodyOfAGuesserIsNotRead(t *testing.T) {
	s := new(site).open(t)
	for range 10 {
		require.Equal(t, 401, s.send("POST", "/api/v1/update", updateBody("a guess")).StatusCode)
	}
	require.Equal(t, 429, s.serve(httptest.NewRequest("POST", "/api/v1/update", unread{t})).StatusCode)
}
