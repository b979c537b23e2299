package lv

import (
	"math"
	"strings"
)

// Percentage is the value of RelationPercent: a stable share of visitors that only
// grows when Percent does. A visitor of whom the attribute is empty, or nothing
// but white space, has none, such as one who is not logged in: no percentage
// matches, 100 neither.
type Percentage struct {
	Percent float64 `json:"percent"`        // 0 to 100, in steps of 0.01
	By      string  `json:"by,omitempty"`   // the attribute that is hashed, such as "user.id"; default: that of the rule
	Seed    string  `json:"seed,omitempty"` // default: the strategy's id
}

func (c *compiler) percentage(r Rule, path string) (matcher, error) {
	p, ok := r.Value.(Percentage)
	if !ok {
		return nil, invalidRule(path+".value", "a percentage is needed, not %T", r.Value)
	}
	if !(p.Percent >= 0 && p.Percent <= 100) { // NaN is neither
		return nil, invalidRule(path+".value", "%v percent", p.Percent)
	}
	key, seed := p.By, p.Seed
	if key == "" {
		key = r.attribute()
	}
	if key == "" {
		return nil, invalidRule(path+".value", "by what")
	}
	if seed == "" {
		seed = c.seed
	}
	state, limit := seedBuckets(seed), int(math.Round(p.Percent*buckets/100))
	return func(a Attributes) bool {
		id := a[key]
		return strings.TrimSpace(id) != "" && state.bucket(id) < limit
	}, nil
}

const buckets = 10_000

// Bucket returns the bucket of a visitor under a seed, from 0 to 9,999:
// RelationPercent matches those below 100 times its Percent, of visitors who
// have an id. It will never
// change. It is the 64-bit FNV-1a of the seed, a zero byte and the id, mixed
// by the finaliser of MurmurHash3, modulo 10,000.
func Bucket(seed, id string) int { return seedBuckets(seed).bucket(id) }

// A bucketer is the FNV-1a of what was hashed so far.
type bucketer uint64

func seedBuckets(seed string) bucketer {
	return bucketer(14695981039346656037).add(seed).add("\x00")
}

func (h bucketer) add(s string) bucketer {
	for i := range len(s) {
		h = (h ^ bucketer(s[i])) * 1099511628211
	}
	return h
}

func (h bucketer) bucket(id string) int {
	x := uint64(h.add(id))
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return int((x ^ x>>33) % buckets)
}
