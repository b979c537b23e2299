package traffic_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/traffic"
)

// TestNamesOfHeadersMayBeWrittenInAnyLetters has rules and visitors by Host,
// which a server keeps apart, and by another header.
func TestNamesOfHeadersMayBeWrittenInAnyLetters(t *testing.T) {
	for _, name := range []string{"Host", "host", "HOST", "X-Who", "x-who", "X-WHO"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, traffic.Config{}, func(b *bubble) {
				says := func(value string) func(*http.Request) {
					return func(r *http.Request) {
						if len(name) == len("Host") {
							r.Host = value
						} else {
							r.Header.Set(name, value)
						}
					}
				}
				services := b.three()
				table := tableOf(1, services, 100, 0)
				table.Split.Rules = []rollout.Rule{{Run: "b", Match: rollout.Match{Header: name, Value: "beta.example"}}}
				require.NoError(b, b.router.Set(context.Background(), web, table))
				require.Equal(b, map[string]int{"b": 3}, b.asked(3, says("beta.example")))
				require.Equal(b, map[string]int{"a": 3}, b.asked(3, says("alpha.example")))

				table = tableOf(2, services, 50, 50)
				table.Split.Sticky = &rollout.Sticky{Header: name}
				require.NoError(b, b.router.Set(context.Background(), web, table))
				seen := map[string]bool{}
				for i := range 20 {
					got := b.asked(3, says(fmt.Sprint("site-", i)))
					require.Len(b, got, 1, "each visitor has one revision")
					for who := range got {
						seen[who] = true
					}
				}
				require.Len(b, seen, 2, "and not all have the same")
			})
		})
	}
}
