package update

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	version "github.com/hashicorp/go-version"
)

const latest = "latest"

// want is a parsed Request.Version: alternatives of bounds that all hold. No
// alternative at all is "latest".
type want struct {
	exact        *version.Version
	alternatives [][]bound
}

// bound is one comparison with a version.
type bound struct {
	op string
	v  *version.Version
}

var (
	term     = regexp.MustCompile(`^(\^|~>|~|>=|<=|!=|=|>|<)?\s*(\S+)$`)
	operator = regexp.MustCompile(`(\^|~>|~|>=|<=|!=|=|>|<)\s+`)
	wildcard = regexp.MustCompile(`^v?(\d+(?:\.\d+)*)\.[*xX](?:\.[*xX])*$`)
)

// parseWant reads "", "latest", an exact version or a constraint: bounds
// joined by commas or spaces, alternatives joined by "||". Beside the bounds
// of go-version it knows ^1.2 (below 2), ~1.2 (below 2), ~1.2.3 (below 1.3), as
// Composer does, and 1.* or 1.x.
func parseWant(s string) (want, error) {
	s = strings.TrimSpace(s)
	if s == "" || s == latest {
		return want{}, nil
	}
	if v, err := version.NewVersion(s); err == nil {
		return want{exact: v}, nil
	}
	var w want
	for alternative := range strings.SplitSeq(s, "||") {
		bounds, err := parseBounds(alternative)
		if err != nil {
			return want{}, fmt.Errorf("%w: version %q: %w", ErrInvalid, s, err)
		}
		w.alternatives = append(w.alternatives, bounds)
	}
	return w, nil
}

func parseBounds(s string) ([]bound, error) {
	s = operator.ReplaceAllString(strings.TrimSpace(s), "$1")
	terms := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	if len(terms) == 0 {
		return nil, fmt.Errorf("an alternative is empty")
	}
	var all []bound
	for _, t := range terms {
		bounds, err := parseTerm(t)
		if err != nil {
			return nil, err
		}
		all = append(all, bounds...)
	}
	return all, nil
}

func parseTerm(t string) ([]bound, error) {
	m := term.FindStringSubmatch(t)
	if m == nil {
		return nil, fmt.Errorf("%q is not a constraint", t)
	}
	op, text := m[1], m[2]
	if op == "" && (text == "*" || text == "x" || text == "X") {
		return []bound{}, nil
	}
	if w := wildcard.FindStringSubmatch(text); w != nil {
		if op != "" && op != "=" {
			return nil, fmt.Errorf("%q has both an operator and a wildcard", t)
		}
		return between(w[1], strings.Count(w[1], "."))
	}
	v, err := version.NewVersion(text)
	if err != nil {
		return nil, fmt.Errorf("%q is not a version", text)
	}
	dots := strings.Count(v.Original()[:len(v.Original())-len(suffix(v))], ".")
	switch op {
	case "^":
		return between(text, firstNonZero(v, dots))
	case "~", "~>":
		return between(text, max(dots-1, 0))
	case "":
		op = "="
	}
	return []bound{{op, v}}, nil
}

// suffix is the part of a version's text after its numbers.
func suffix(v *version.Version) string {
	text := v.Original()
	if i := strings.IndexAny(text, "-+"); i >= 0 {
		return text[i:]
	}
	return ""
}

// firstNonZero is the index of the first number that is not zero, at most last.
func firstNonZero(v *version.Version, last int) int {
	for i, n := range v.Segments() {
		if n != 0 || i == last {
			return i
		}
	}
	return 0
}

// between is "at least low, and below low with its number at index raised by
// one". Pre-releases of a whole low belong to it, those of the upper end do not.
func between(low string, index int) ([]bound, error) {
	v, err := version.NewVersion(low)
	if err != nil {
		return nil, fmt.Errorf("%q is not a version", low)
	}
	if v.Prerelease() == "" {
		if v, err = first(v.Segments()); err != nil {
			return nil, err
		}
	}
	numbers := slices.Clone(v.Segments()[:index+1])
	numbers[index]++
	high, err := first(numbers)
	if err != nil {
		return nil, err
	}
	return []bound{{">=", v}, {"<", high}}, nil
}

// first is the lowest pre-release of a version.
func first(numbers []int) (*version.Version, error) {
	parts := make([]string, len(numbers))
	for i, n := range numbers {
		parts[i] = strconv.Itoa(n)
	}
	text := strings.Join(parts, ".")
	v, err := version.NewVersion(text + "-0")
	if err != nil {
		return nil, fmt.Errorf("%q is out of range", text)
	}
	return v, nil
}

func (b bound) allows(v *version.Version) bool {
	c := v.Compare(b.v)
	switch b.op {
	case "=":
		return c == 0
	case "!=":
		return c != 0
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	case "<":
		return c < 0
	}
	return c <= 0 // "<="
}

// allows reports whether v is one of the versions wanted. A pre-release must
// be named exactly unless prerelease.
func (w want) allows(v *version.Version, prerelease bool) bool {
	if w.exact != nil {
		return same(v, w.exact)
	}
	if v.Prerelease() != "" && !prerelease {
		return false
	}
	if w.alternatives == nil {
		return true
	}
	for _, bounds := range w.alternatives {
		if all(bounds, v) {
			return true
		}
	}
	return false
}

func all(bounds []bound, v *version.Version) bool {
	for _, b := range bounds {
		if !b.allows(v) {
			return false
		}
	}
	return true
}

// same reports whether two versions are one: build metadata, which comparison
// ignores, counts.
func same(a, b *version.Version) bool {
	return a.Equal(b) && a.Metadata() == b.Metadata()
}

// newer reports whether a is above b; of equal versions the greater text is.
func newer(a, b *version.Version) bool {
	if c := a.Compare(b); c != 0 {
		return c > 0
	}
	return a.Original() > b.Original()
}
