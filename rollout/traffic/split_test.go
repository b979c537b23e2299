package traffic_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// three starts a service for each of revisions a, b and c.
func (b *bubble) three() map[string][]string {
	return map[string][]string{"a": {b.named("a")}, "b": {b.named("b")}, "c": {b.named("c")}}
}

// asked returns how many of n requests each service answers.
func (b *bubble) asked(n int, change ...func(*http.Request)) map[string]int {
	b.Helper()
	got := map[string]int{}
	for range n {
		_, body := b.ask(change...)
		got[body]++
	}
	return got
}

func TestAnyHundredRequestsInARowAreSplitExactly(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		services := b.three()
		for i, percents := range [][]int{{89, 10, 1}, {34, 33, 33}, {0, 0, 100}, {99, 1, 0}, {50, 50}} {
			b.set(int64(i), services, percents...)
			var row []string
			window := map[string]int{}
			for n := range 250 {
				_, body := b.ask()
				row = append(row, body)
				window[body]++
				if n >= 100 {
					window[row[n-100]]--
				}
				if n >= 99 {
					for j, p := range percents {
						require.Equal(b, p, window[string(rune('a'+j))], "%v after %d", percents, n)
					}
				}
			}
		}
	})
}

func TestRequestsAtTheSameTimeAreSplitExactly(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		b.set(1, b.three(), 70, 25, 5)
		var mu sync.Mutex
		got := map[string]int{}
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				for who, n := range b.asked(100) {
					mu.Lock()
					got[who] += n
					mu.Unlock()
				}
			})
		}
		all.Wait()
		require.Equal(b, map[string]int{"a": 700, "b": 250, "c": 50}, got)
	})
}

func TestTheSameTableAgainDoesNotBeginTheSplitAnew(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		services := b.three()
		got := map[string]int{}
		for range 100 {
			b.set(1, services, 99, 1)
			for who, n := range b.asked(1) {
				got[who] += n
			}
		}
		require.Equal(b, map[string]int{"a": 99, "b": 1}, got)
	})
}

func TestEndpointsTakeTurns(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		b.set(1, map[string][]string{"a": {b.named("1"), b.named("2"), b.named("3")}}, 100)
		require.Equal(b, map[string]int{"1": 33, "2": 33, "3": 33}, b.asked(99))
	})
}

func TestAnEndpointMayHaveAPath(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		service := b.serve(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.RequestURI) })
		b.set(1, map[string][]string{"a": {service + "/base/"}}, 100)
		_, body := b.ask(func(r *http.Request) { r.URL.Path, r.URL.RawPath, r.URL.RawQuery = "/x/y", "/x%2Fy", "q=1" })
		require.Equal(b, "/base/x%2Fy?q=1", body)
	})
}

func TestAnEndpointIsTheURLOfAHost(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		services := b.three()
		b.set(1, services, 50, 50)
		before, err := b.router.Get(context.Background(), web)
		require.NoError(b, err)
		for _, url := range []string{
			"", " ", "a", "/", "127.0.0.1:80", "https://127.0.0.1", "ftp://a", "http:a", "http://", "http:///a", "http://:80", "http://a:", "http://a:0",
			"http://a:65536", "http://a:x", "http://a?q", "http://a?", "http://u:p@a", "http://a#f", "http://a#", "http://a b", "http://a/%zz",
			"http://[::1", "http://a\r\nb", "http://\x00",
		} {
			wrong := map[string][]string{"a": services["a"], "b": {"http://10.1.1.1", url}}
			err := b.router.Set(context.Background(), web, tableOf(2, wrong, 0, 100))
			require.ErrorIs(b, err, rollout.ErrInvalid, url)
			require.ErrorContains(b, err, `endpoint 1 of revision "b" is no http URL`)
			other := rollout.ServiceID{Name: "other"}
			require.ErrorIs(b, b.router.Set(context.Background(), other, tableOf(1, wrong, 0, 100)), rollout.ErrInvalid, url)
			_, err = b.router.Get(context.Background(), other)
			require.ErrorIs(b, err, rollout.ErrNotFound)
		}
		after, err := b.router.Get(context.Background(), web)
		require.NoError(b, err)
		require.Equal(b, before, after)
		require.Equal(b, map[string]int{"a": 50, "b": 50}, b.asked(100), "all go on")
		b.set(2, services, 100)
		require.Equal(b, map[string]int{"a": 10}, b.asked(10))
		for i, url := range []string{"http://a", "http://a:80/b", "HTTP://[::1]:8080", "http://a.example/b/"} {
			require.NoError(b, b.router.Set(context.Background(), rollout.ServiceID{Name: url}, tableOf(int64(i), map[string][]string{"a": {url}}, 100)))
		}
	})
}

func TestRulesComeBeforeWeights(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		table := tableOf(1, b.three(), 100, 0, 0)
		rule := func(run string, priority int, m rollout.Match) {
			table.Split.Rules = append(table.Split.Rules, rollout.Rule{Run: run, Priority: priority, Match: m})
		}
		rule("c", 9, rollout.Match{Header: "x-who", Value: "1"})
		rule("b", 3, rollout.Match{Header: "x-who", Value: "1"})
		rule("b", 4, rollout.Match{Query: "who am i", Value: "me & you"})
		rule("c", 5, rollout.Match{Cookie: "who", Value: "me"})
		rule("b", 6, rollout.Match{Header: "Host", Value: "b.example"})
		require.NoError(b, b.router.Set(context.Background(), web, table))
		for _, tt := range []struct {
			want   string
			change func(*http.Request)
		}{
			{"b", func(r *http.Request) { r.Header["X-Who"] = []string{"0", "1"} }},
			{"a", func(r *http.Request) { r.Header.Set("X-Who", "11") }},
			{"b", func(r *http.Request) { r.URL.RawQuery = "x=1&who+am%20i=me+%26+you" }},
			{"a", func(r *http.Request) { r.URL.RawQuery = "who+am+i=you;who+am+i=me+%26+you" }},
			{"c", func(r *http.Request) { r.Header.Set("Cookie", `other=1; who="me"`) }},
			{"a", func(r *http.Request) { r.Header.Set("Cookie", "who=you; xwho=me") }},
			{"b", func(r *http.Request) { r.Host = "b.example" }},
			{"a", func(*http.Request) {}},
		} {
			_, body := b.ask(tt.change)
			require.Equal(b, tt.want, body)
		}
	})
}

func TestAVisitorStaysAndMovesAtMostOnce(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		table := tableOf(1, b.three(), 50, 50, 0)
		table.Path = "/shop"
		table.Split.Sticky = &rollout.Sticky{Cookie: "visitor", Issue: true, MaxAge: time.Hour}
		set := func(percents ...int) {
			table.Generation++
			for i, p := range percents {
				table.Split.Weights[i].Percent = p
			}
			require.NoError(b, b.router.Set(context.Background(), web, table))
		}
		set(50, 50, 0)
		visitors, visits := 200, 2
		if full() {
			visitors, visits = 1000, 20
		}
		cookies := make([]string, visitors)
		visit := func(i int) string {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			if cookies[i] != "" {
				r.AddCookie(&http.Cookie{Name: "visitor", Value: cookies[i]})
			}
			w := httptest.NewRecorder()
			b.router.Handler(web).ServeHTTP(w, r)
			for _, c := range w.Result().Cookies() {
				require.Empty(b, cookies[i], "who has a name keeps it")
				require.True(b, c.HttpOnly && c.SameSite == http.SameSiteLaxMode && !c.Secure)
				require.Equal(b, "/shop", c.Path)
				require.Equal(b, 3600, c.MaxAge)
				cookies[i] = c.Value
			}
			return w.Body.String()
		}
		all := func() (at []string, n map[string]int) {
			n = map[string]int{}
			for i := range visitors {
				who := visit(i)
				for range visits - 1 {
					require.Equal(b, who, visit(i))
				}
				at = append(at, who)
				n[who]++
			}
			return at, n
		}
		before, n := all()
		require.InDelta(b, visitors/2, n["b"], 5*math.Sqrt(float64(visitors)/4))
		for _, percents := range [][]int{{50, 50, 0}, {20, 80, 0}, {18, 72, 10}, {10, 40, 50}, {0, 0, 100}} {
			set(percents...)
			after, n := all()
			for i, p := range percents {
				require.InDelta(b, visitors*p/100, n[string(rune('a'+i))], 5*math.Sqrt(float64(visitors)/4), "%v", percents)
			}
			for i := range after {
				grown := "c"
				if percents[2] == 0 {
					grown = "b"
				}
				require.True(b, after[i] == before[i] || after[i] == grown, "%v: from %s to %s", percents, before[i], after[i])
			}
			before = after
		}
	})
}

func TestGarbageInACookieIsANewVisitor(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		table := tableOf(1, b.three(), 50, 50)
		table.Split.Sticky = &rollout.Sticky{Cookie: "visitor", Issue: true}
		require.NoError(b, b.router.Set(context.Background(), web, table))
		for _, garbage := range []string{"x", strings.Repeat("a", 26), strings.Repeat("A", 25), strings.Repeat("A", 27), strings.Repeat("1", 26), `"`} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Cookie", "visitor="+garbage)
			w := httptest.NewRecorder()
			b.router.Handler(web).ServeHTTP(w, r)
			require.Len(b, w.Result().Cookies(), 1, garbage)
			require.Equal(b, "/", w.Result().Cookies()[0].Path)
			r.Header.Set("Cookie", "visitor="+garbage+"; visitor="+w.Result().Cookies()[0].Value)
			w = httptest.NewRecorder()
			b.router.Handler(web).ServeHTTP(w, r)
			require.Empty(b, w.Result().Cookies(), "who has a name keeps it, be there garbage of another path before it")
		}
	})
}

func TestAVisitorMayBeKnownByAHeader(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		table := tableOf(1, b.three(), 50, 50)
		table.Split.Sticky = &rollout.Sticky{Header: "X-User"}
		require.NoError(b, b.router.Set(context.Background(), web, table))
		seen := map[string]bool{}
		for i := range 20 {
			got := b.asked(3, func(r *http.Request) { r.Header.Set("X-User", fmt.Sprint(i)) })
			require.Len(b, got, 1)
			for who := range got {
				seen[who] = true
			}
		}
		require.Len(b, seen, 2)
		require.Equal(b, map[string]int{"a": 50, "b": 50}, b.asked(100), "who has none is nobody's visitor")
	})
}

func TestAnEndpointThatGivesNoReplyIsLeftOutForAWhile(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		asked := map[string]int{}
		broken := true
		of := func(name string) string {
			return b.serve(func(w http.ResponseWriter, _ *http.Request) {
				asked[name]++
				if name == "bad" && broken {
					panic(http.ErrAbortHandler)
				}
			})
		}
		b.set(1, map[string][]string{"a": {of("bad"), of("good"), of("better")}}, 100)
		b.asked(90)
		require.Equal(b, 3, asked["bad"])
		require.InDelta(b, asked["good"], asked["better"], 3, "they share what it would have got")
		time.Sleep(2 * time.Second)
		b.asked(30)
		require.Equal(b, 4, asked["bad"], "it was tried once more")
		time.Sleep(2 * time.Second)
		broken = false
		b.asked(30)
		require.Equal(b, 14, asked["bad"], "it is back")
	})
}

func TestSomebodyIsLeftIfAllGiveNoReply(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		asked := 0
		bad := func() string {
			return b.serve(func(http.ResponseWriter, *http.Request) { asked++; panic(http.ErrAbortHandler) })
		}
		b.set(1, map[string][]string{"a": {bad(), bad()}}, 100)
		for range 20 {
			status, _ := b.ask()
			require.Equal(b, http.StatusBadGateway, status)
		}
		require.GreaterOrEqual(b, asked, 20)
	})
}

func TestAnEndpointThatAnswersWithErrorsStays(t *testing.T) {
	inBubble(t, traffic.Config{}, func(b *bubble) {
		failing := b.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
		b.set(1, map[string][]string{"a": {failing, b.named("good")}}, 100)
		require.Equal(b, map[string]int{"": 20, "good": 20}, b.asked(40))
	})
}

func TestTheShareOfANewEndpointGrows(t *testing.T) {
	inBubble(t, traffic.Config{Warm: time.Minute}, func(b *bubble) {
		old := b.named("old")
		b.set(1, map[string][]string{"a": {old}}, 100)
		time.Sleep(time.Hour)
		b.set(2, map[string][]string{"a": {old, b.named("new")}}, 100)
		require.Zero(b, b.asked(100)["new"])
		time.Sleep(30 * time.Second)
		require.InDelta(b, 33, b.asked(100)["new"], 3, "every second of its turns")
		time.Sleep(30 * time.Second)
		require.Equal(b, 50, b.asked(100)["new"])
	})
}

func TestNewEndpointsShareWhileNobodyElseIsThere(t *testing.T) {
	inBubble(t, traffic.Config{Warm: time.Minute}, func(b *bubble) {
		b.set(1, map[string][]string{"a": {b.named("1"), b.named("2")}}, 100)
		require.InDelta(b, 50, b.asked(100)["1"], 1)
		time.Sleep(20 * time.Second)
		require.InDelta(b, 50, b.asked(100)["1"], 25)
	})
}
