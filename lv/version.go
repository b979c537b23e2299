package lv

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/go-version"
)

func (v *operand) version(want func(order int) bool) (holds, error) {
	limit, err := version.NewVersion(v.text)
	if err != nil {
		return nil, fmt.Errorf("%q is no version", v.text)
	}
	seen := &verdicts{judge: func(a string) bool {
		v, err := version.NewVersion(a)
		return err == nil && want(v.Compare(limit))
	}}
	return seen.of, nil
}

// verdicts remembers what was judged of the texts seen last, for judgements
// that cost and allocate. It holds at most 32 of at most 64 bytes.
type verdicts struct {
	judge func(string) bool
	slots [32]atomic.Pointer[verdict]
}

type verdict struct {
	text  string
	holds bool
}

func (v *verdicts) of(text string) bool {
	if len(text) > 64 {
		return false
	}
	slot := &v.slots[seedBuckets("").add(text)%bucketer(len(v.slots))]
	if seen := slot.Load(); seen != nil && seen.text == text {
		return seen.holds
	}
	holds := v.judge(text)
	slot.Store(&verdict{text: strings.Clone(text), holds: holds})
	return holds
}
