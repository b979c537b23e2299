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
func readDecimal(s string) (d decimal, ok bool) {
	if s != "" && s[0] == '-' {
		d.negative, s = true, s[1:]
	}
	n := digits(s)
	d.whole = s[:n]
	if n == 0 || n > 1 && s[0] == '0' {
		return decimal{}, false
	}
	if n < len(s) {
		d.fraction = s[n+1:]
		if s[n] != '.' || d.fraction == "" || digits(d.fraction) < len(d.fraction) {
			return decimal{}, false
		}
		for d.fraction != "" && d.fraction[len(d.fraction)-1] == '0' {
			d.fraction = d.fraction[:len(d.fraction)-1]
		}
	}
	if d.whole == "0" && d.fraction == "" {
		d.negative = false
	}
	return d, true
}

// digits returns how many digits s begins with.
func digits(s string) int {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return i
		}
	}
	return len(s)
}

// readSmall reads what most numbers are: whole, not negative and of at most 18
// digits. Two of them compare faster than decimals.
func readSmall(s string) (n int64, ok bool) {
	if s == "" || len(s) > 18 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int64(s[i]-'0')
	}
	return n, true
}

func (d *decimal) compare(e *decimal) int {
	if d.negative != e.negative {
		if d.negative {
			return -1
		}
		return 1
	}
	order := cmp.Compare(len(d.whole), len(e.whole))
	if order == 0 {
		order = strings.Compare(d.whole, e.whole)
	}
	if order == 0 {
		order = strings.Compare(d.fraction, e.fraction)
	}
	if d.negative {
		return -order
	}
	return order
}
