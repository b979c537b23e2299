package web_test

import (
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
)

// item is one of a list.
type item struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// items are n of them, each of this many bytes, and then an error, if any.
func items(n, size int, err error) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		for i := range n {
			if !yield(item{strconv.Itoa(i), strings.Repeat("x", size)}, nil) {
				return
			}
		}
		if err != nil {
			yield(item{}, err)
		}
	}
}

func list(items iter.Seq2[item, error]) web.Route {
	return web.Route{Pattern: "/things", Handle: func(c *web.Call) error { return web.List(c, `{"things":[`, items, "]}") }}
}

func page(limit int, items iter.Seq2[item, error]) web.Route {
	return web.Route{Pattern: "/things", Handle: func(c *web.Call) error {
		return web.Page(c, "things", limit, items, func(i item) string { return i.ID })
	}}
}

// things is what a list or a page is as a whole.
type things struct {
	Things []item `json:"things"`
	Next   string `json:"next,omitempty"`
}

func TestAListIsWhatItWouldBeAsAWhole(t *testing.T) {
	for _, tt := range []struct{ n, size int }{{0, 0}, {1, 1}, {3, 10}, {2000, 100}, {3, 70_000}, {2, 65_000}, {1, 1 << 20}} {
		whole := things{Things: []item{}}
		for i := range items(tt.n, tt.size, nil) {
			whole.Things = append(whole.Things, i)
		}
		text, err := json.Marshal(whole)
		require.NoError(t, err)
		for _, route := range []web.Route{list(items(tt.n, tt.size, nil)), page(5000, items(tt.n, tt.size, nil))} {
			s := serve(t, web.Config{}, route)
			response, sent := ask(s, "GET", "/things", "")
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.Equal(t, "application/json", response.Header.Get("Content-Type"))
			require.True(t, string(text)+"\n" == sent, "%d of %d", tt.n, tt.size)
			response, sent = ask(s, "HEAD", "/things", "")
			require.Empty(t, sent)
			require.Equal(t, strconv.Itoa(len(text)+1), response.Header.Get("Content-Length"), "%d of %d", tt.n, tt.size)
		}
	}
}

func TestAPageEndsWhenItHasItsItemsOrItsBytes(t *testing.T) {
	for _, tt := range []struct {
		name           string
		n, size, limit int
		want           int
		next           string
	}{
		{"all", 3, 10, 3, 3, ""},
		{"its items", 4, 10, 3, 3, "2"},
		{"its bytes", 10, 1 << 20, 100, 3, "2"},
		{"one that is longer alone", 3, 5 << 20, 100, 1, "0"},
		{"one that is longer at the end", 1, 5 << 20, 100, 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, text := ask(serve(t, web.Config{}, page(tt.limit, items(tt.n, tt.size, nil))), "GET", "/things", "")
			var got things
			require.NoError(t, json.Unmarshal([]byte(text), &got))
			require.Len(t, got.Things, tt.want)
			require.Equal(t, tt.next, got.Next)
		})
	}
}

func TestAnErrorBeforeTheFirstPartIsAWholeFailureAndALaterOneBreaksTheReply(t *testing.T) {
	broken := errors.New("the disk is gone")
	for _, route := range []web.Route{list(items(100, 10, broken)), page(1000, items(100, 10, broken))} {
		response, text := ask(serve(t, web.Config{}, route), "GET", "/things", "")
		require.Equal(t, http.StatusInternalServerError, response.StatusCode)
		require.Equal(t, "internal", slug(t, text))
	}
	for _, route := range []web.Route{list(items(1000, 100, broken)), page(5000, items(1000, 100, broken))} {
		s := serve(t, web.Config{}, route)
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { ask(s, "GET", "/things", "") })
	}
}

// stuck is a reply that nobody reads until it is let go.
type stuck struct {
	*httptest.ResponseRecorder
	free chan struct{}
}

func (s stuck) Write(text []byte) (int, error) {
	<-s.free
	return s.ResponseRecorder.Write(text)
}

func TestLongRepliesAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		short := web.Route{Pattern: "/things/short", Handle: func(c *web.Call) error { return c.Reply(http.StatusOK, item{}) }}
		one := web.Route{Pattern: "/things/one", Handle: func(c *web.Call) error {
			return c.Reply(http.StatusOK, item{Text: strings.Repeat("x", 70_000)})
		}}
		one.Needs = 1
		done := web.Route{Pattern: "/things/done", Methods: []string{"POST"}, Changes: true, Handle: one.Handle}
		s := serve(t, web.Config{Replies: 2}, list(items(1000, 100, nil)), short, one, done, ofSomebody("/things/mine"))
		free := make(chan struct{})
		go s.ServeHTTP(stuck{httptest.NewRecorder(), free}, httptest.NewRequest("GET", "/things", nil))
		go s.ServeHTTP(stuck{httptest.NewRecorder(), free}, by("good bob", "/things/mine"))
		synctest.Wait()
		for _, path := range []string{"/things/mine", "/things/one"} { // by somebody who has none
			begun := time.Now()
			w := httptest.NewRecorder()
			s.ServeHTTP(w, by("good cat", path))
			require.Equal(t, http.StatusServiceUnavailable, w.Code)
			require.Equal(t, "too-many-replies", slug(t, w.Body.String()))
			require.Equal(t, "5", w.Header().Get("Retry-After"))
			require.Equal(t, 5*time.Second, time.Since(begun))
		}
		response, _ := ask(s, "GET", "/things/short", "")
		require.Equal(t, http.StatusOK, response.StatusCode, "a short one does not count")
		response, _ = ask(s, "HEAD", "/things", "")
		require.Equal(t, http.StatusOK, response.StatusCode, "nor does a HEAD")
		response, _ = ask(s, "POST", "/things/done", "")
		require.Equal(t, http.StatusOK, response.StatusCode, "and what is done is told")

		waits := make(chan int)
		go func() {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, by("good cat", "/things/mine"))
			waits <- w.Code
		}()
		synctest.Wait()
		close(free)
		require.Equal(t, http.StatusOK, <-waits, "one that waits goes on when another ends")
	})
}

// ofSomebody is a route whose long reply is for who has a token.
func ofSomebody(pattern string) web.Route {
	r := list(items(1000, 100, nil))
	r.Pattern, r.Needs = pattern, 1
	return r
}

func by(token, path string) *http.Request {
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func TestWhoWaitsLongestForALongReplyIsNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, web.Config{Replies: 1}, ofSomebody("/things"))
		free, order := make(chan struct{}), make(chan int, 20)
		for i := range 20 {
			go func() {
				s.ServeHTTP(stuck{httptest.NewRecorder(), free}, by("good ann", "/things"))
				order <- i
			}()
			synctest.Wait()
		}
		close(free)
		for i := range 20 {
			require.Equal(t, i, <-order)
		}
	})
}

func TestAnOddNumberOfLongRepliesIsNotHalvedUp(t *testing.T) {
	for replies, half := range map[int]int{1: 1, 2: 1, 3: 1, 5: 2} {
		synctest.Test(t, func(t *testing.T) {
			s := serve(t, web.Config{Replies: replies}, ofSomebody("/things"))
			free := make(chan struct{})
			defer close(free)
			for range half {
				go s.ServeHTTP(stuck{httptest.NewRecorder(), free}, by("good ann", "/things"))
			}
			synctest.Wait()
			w := httptest.NewRecorder()
			s.ServeHTTP(w, by("good ann", "/things"))
			require.Equal(t, http.StatusServiceUnavailable, w.Code, "of %d", replies)
		})
	}
}

func TestOnePrincipalHasHalfOfTheLongReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, web.Config{Replies: 4}, ofSomebody("/things"))
		free := make(chan struct{})
		codes := func(token string, n int) []*httptest.ResponseRecorder {
			var all []*httptest.ResponseRecorder
			for range n {
				w := httptest.NewRecorder()
				go s.ServeHTTP(stuck{w, free}, by(token, "/things"))
				all = append(all, w)
			}
			return all
		}
		held := codes("good ann", 2)
		synctest.Wait()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, by("good ann", "/things"))
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, "too-many-replies", slug(t, w.Body.String()))
		others := codes("good bob", 2)
		synctest.Wait()
		w = httptest.NewRecorder()
		s.ServeHTTP(w, by("good cat", "/things"))
		require.Equal(t, http.StatusServiceUnavailable, w.Code, "no more than there are")
		waits := httptest.NewRecorder()
		go s.ServeHTTP(waits, by("good ann", "/things"))
		synctest.Wait()
		close(free)
		synctest.Wait()
		for _, w := range append(append(held, others...), waits) {
			require.Equal(t, http.StatusOK, w.Code)
			require.Greater(t, w.Body.Len(), 100_000)
		}
	})
}
