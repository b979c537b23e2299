package traffic_test

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// places returns where visitors of these names go, by the shares of revisions a,
// b and so on.
func places(t testing.TB, names []string, percents ...int) string {
	t.Helper()
	endpoints := map[string][]string{}
	for i := range percents {
		endpoints[string(rune('a'+i))] = []string{"http://127.0.0.1:" + strconv.Itoa(1+i)}
	}
	table := tableOf(1, endpoints, percents...)
	table.Split.Sticky = &rollout.Sticky{Header: "X-User"}
	router := traffic.New(traffic.Config{})
	require.NoError(t, router.Set(context.Background(), web, table))
	chooser := router.Chooser(web)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	var out strings.Builder
	for _, name := range names {
		r.Header["X-User"] = []string{name}
		out.WriteString(chooser.Choose(r))
	}
	return out.String()
}

// TestEveryProcessSendsAVisitorToTheSameRevision has figures of another program.
func TestEveryProcessSendsAVisitorToTheSameRevision(t *testing.T) {
	t.Parallel()
	const text = "The quick brown fox jumps over the lazy dog, and nobody is told of it"
	for n, want := range map[int]uint64{
		1: 0x10cd1904bfd8b451, 7: 0x63932fd023005f83, 8: 0xa353e4da4ef8a876,
		9: 0x33eaefc28beff7c5, 16: 0xca86cd732fa026b3, 26: 0xf0d72ac70ab0914e,
	} {
		require.Equal(t, want, traffic.Hash(text[:n]), n)
	}
	var names []string
	for n := range text {
		names = append(names, text[:n+1])
	}
	require.Equal(t, "aaaaccabcaacbbbaabaaabacaababaacaccaaaaaaababbcbbbbbcaacaabacbbbacbca", places(t, names, 50, 30, 20))
}

func TestVisitorsAreSplitByTheSharesWhateverTheirNames(t *testing.T) {
	t.Parallel()
	const visitors = 40_000
	kinds := map[string][]string{}
	for i := range visitors {
		n := strconv.Itoa(i)
		kinds["numbers"] = append(kinds["numbers"], n)
		kinds["numbers with zeros"] = append(kinds["numbers with zeros"], strings.Repeat("0", 30-len(n))+n)
		kinds["addresses"] = append(kinds["addresses"], "user"+n+"@mail.example")
		kinds["repeated"] = append(kinds["repeated"], strings.Repeat(string(rune('!'+i%90)), 1+i/90))
	}
	for kind, names := range kinds {
		for _, percents := range [][]int{{50, 50}, {90, 10}, {99, 1}, {1, 99}, {34, 33, 33}, {40, 30, 20, 5, 3, 2}} {
			at := places(t, names, percents...)
			for i, p := range percents {
				p := float64(p) / 100
				require.InDelta(t, visitors*p, strings.Count(at, string(rune('a'+i))), 4.5*math.Sqrt(visitors*p*(1-p)), "%s %v", kind, percents)
			}
		}
	}
}

func TestVisitorsMoveOnlyToTheShareThatGrows(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 20_000 {
		names = append(names, strconv.Itoa(i))
	}
	for _, steps := range [][][]int{
		{{100, 0}, {99, 1}, {95, 5}, {90, 10}, {75, 25}, {50, 50}, {1, 99}, {0, 100}},
		{{20, 80, 0}, {18, 72, 10}, {15, 60, 25}, {10, 40, 50}, {1, 4, 95}, {0, 0, 100}},
	} {
		grows := byte('a' + len(steps[0]) - 1)
		before := places(t, names, steps[0]...)
		for _, percents := range steps[1:] {
			after := places(t, names, percents...)
			for i := range after {
				if after[i] != before[i] && after[i] != grows {
					require.Failf(t, "a visitor moved elsewhere", "%v: from %c to %c", percents, before[i], after[i])
				}
			}
			before = after
		}
	}
}

// TestACookieMayHaveWhatTheStandardLibraryTakes tries each byte at each place.
func TestACookieMayHaveWhatTheStandardLibraryTakes(t *testing.T) {
	t.Parallel()
	for length := 1; length <= 18; length++ {
		for at := range length {
			for c := range 256 {
				value := []byte(strings.Repeat("a", length))
				value[at] = byte(c)
				lines := []string{"x=" + string(value)}
				want := ""
				r := http.Request{Header: http.Header{"Cookie": lines}}
				if found, err := r.Cookie("x"); err == nil {
					want = found.Value
				}
				if got, _ := traffic.Cookie(lines, "x"); got != want {
					require.Equal(t, want, got, "%q", lines)
				}
			}
		}
	}
}

func TestANameIsOnlyTakenForIssuedIfItMayBe(t *testing.T) {
	t.Parallel()
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	random := rand.New(rand.NewPCG(1, 2))
	name := make([]byte, 26)
	for range 200_000 {
		for i := range name {
			name[i] = letters[random.IntN(len(letters))]
		}
		at := random.IntN(25)
		name[at], name[at+1] = byte(random.IntN(256)), byte(random.IntN(256))
		want := strings.IndexByte(letters, name[at]) >= 0 && strings.IndexByte(letters, name[at+1]) >= 0
		if traffic.Issued(string(name)) != want {
			require.Failf(t, "another answer", "%q: not %v", name, want)
		}
	}
}
