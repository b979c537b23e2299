// Package suite has what the suites of the domains share.
package suite

import (
	"cmp"
	"slices"
	"testing"
	"testing/synctest"
)

// Bubble runs f where time is fake, unless it must be real.
func Bubble(t *testing.T, realTime bool, f func(*testing.T)) {
	if realTime {
		f(t)
	} else {
		synctest.Test(t, f)
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
