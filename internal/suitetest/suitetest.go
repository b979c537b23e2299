// Package suitetest has what the suites of the domains share: their harness and
// their cases (case.go), and the promises of every Watch (feed.go).
package suitetest

import (
	"cmp"
	"slices"
	"strings"
	"testing"
)

// Names are items that engines have been seen to confuse, shorten or refuse.
func Names() []string {
	long := strings.Repeat("x", 1023)
	return []string{
		"core", "Core", "CORE", "core ", " core", "core\x00", "co\x00re", "\x00", "core\n", "core\t", "\ufeffcore",
		" ", "  ", "a/b", "a//b", "/", ".", "..", "../core", "a\\b", "*", "%", "_", "?", "'", `"`, "\\", "NULL", "{}",
		"1", "01", "1.0", "核心", "核", "é", "e\u0301", "ß", "ss", "ﬁ", "fi", "I", "ı", "i", "\xff", "\xfe", "\xff\x00", "\ufffd",
		long, long + "x", long + "y", "x",
	}
}

// Median sorts all and returns its middle.
func Median[T cmp.Ordered](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}

// Rate reports how often a second a benchmark did what it does perLoop times.
func Rate(b *testing.B, perLoop int, unit string) {
	b.ReportMetric(float64(b.N*perLoop)/b.Elapsed().Seconds(), unit)
}
