package lv

import (
	"cmp"
	"strings"
)

// A decimal is a number as it is written, compared exactly: ids beyond what a
// float64 holds stay apart.
type decimal struct {
	negative        bool
	whole, fraction string // without zeros that say nothing
}

// readDecimal reads digits with an optional minus and an optional fraction.
// 007, 1e3, +1 and .5 are text. It does not allocate.
func readDecimal(s string) (decimal, bool) {
	rest, negative := strings.CutPrefix(s, "-")
	whole, fraction, hasFraction := strings.Cut(rest, ".")
	if !digits(whole) || len(whole) > 1 && whole[0] == '0' || hasFraction && !digits(fraction) {
		return decimal{}, false
	}
	fraction = strings.TrimRight(fraction, "0")
	zero := whole == "0" && fraction == ""
	return decimal{negative: negative && !zero, whole: whole, fraction: fraction}, true
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func (d decimal) compare(e decimal) int {
	if d.negative != e.negative {
		if d.negative {
			return -1
		}
		return 1
	}
	order := cmp.Or(
		cmp.Compare(len(d.whole), len(e.whole)),
		strings.Compare(d.whole, e.whole),
		strings.Compare(d.fraction, e.fraction),
	)
	if d.negative {
		return -order
	}
	return order
}
