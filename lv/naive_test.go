package lv_test

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-version"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

// naive says what rules mean, one step after the other and with no thought of
// speed. The rules have passed Check.
func naive(rules []lv.Rule, a lv.Attributes) bool {
	for _, r := range rules {
		if !naiveRule(r, a) {
			return false
		}
	}
	return true
}

func naiveRule(r lv.Rule, a lv.Attributes) bool {
	switch r.Type {
	case "and":
		return naive(r.Rules, a)
	case "or":
		for _, one := range r.Rules {
			if naiveRule(one, a) {
				return true
			}
		}
		return false
	}
	name := strings.TrimPrefix(r.Object+"."+r.Field, ".")
	if p, ok := r.Value.(lv.Percentage); ok && p.By != "" {
		name = p.By
	}
	attribute, there := a[name]
	if r.Relation == "notExists" {
		return !there
	}
	return there && naiveHolds(r.Relation, r.Value, attribute)
}

var naiveNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

func naiveCompare(attribute string, value any) (order int, ok bool) {
	text := fmt.Sprint(value)
	number, isNumber := value.(json.Number)
	if !isNumber && !naiveNumber.MatchString(text) {
		return strings.Compare(attribute, text), true
	}
	if !naiveNumber.MatchString(attribute) {
		return 0, false
	}
	if f, err := number.Float64(); isNumber && err == nil && strings.ContainsAny(text, "eE") {
		text = strconv.FormatFloat(f, 'f', -1, 64)
	}
	left, _ := new(big.Rat).SetString(attribute)
	right, _ := new(big.Rat).SetString(text)
	return left.Cmp(right), true
}

func naiveEquals(attribute string, value any) bool {
	if _, isNumber := value.(json.Number); isNumber {
		order, ok := naiveCompare(attribute, value)
		return ok && order == 0
	}
	return attribute == fmt.Sprint(value)
}

func naiveIn(attribute string, value any) bool {
	if texts, ok := value.([]string); ok {
		return strings.Contains("\x00"+strings.Join(texts, "\x00")+"\x00", "\x00"+attribute+"\x00")
	}
	for _, item := range value.([]any) {
		if naiveEquals(attribute, item) {
			return true
		}
	}
	return false
}

func naiveTime(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, s); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

func naiveHolds(relation lv.Relation, value any, a string) bool {
	text := fmt.Sprint(value)
	switch relation {
	case "eq", "=", "==":
		return naiveEquals(a, value)
	case "neq", "!=", "ne":
		return !naiveEquals(a, value)
	case "in":
		return naiveIn(a, value)
	case "notIn", "nin":
		return !naiveIn(a, value)
	case "includes", "contains":
		return strings.Contains(a, text)
	case "notIncludes", "notContains":
		return !strings.Contains(a, text)
	case "startsWith":
		return strings.HasPrefix(a, text)
	case "endsWith":
		return strings.HasSuffix(a, text)
	case "regex", "matches":
		return len(a) <= 2048 && regexp.MustCompile(text).MatchString(a)
	case "exists":
		return true
	case "percentage", "percent":
		p := value.(lv.Percentage)
		h := fnv.New64a()
		h.Write([]byte(p.Seed + "\x00" + a))
		x := h.Sum64()
		x ^= x >> 33
		x *= 0xff51afd7ed558ccd
		x ^= x >> 33
		x *= 0xc4ceb9fe1a85ec53
		x ^= x >> 33
		return float64(x%10000) < math.Round(p.Percent*100)
	case "before", "after":
		at, ok := naiveTime(a)
		limit, _ := naiveTime(text)
		return ok && (relation == "before" && at.Before(limit) || relation == "after" && at.After(limit))
	}
	var order int
	if rest, isVersion := strings.CutPrefix(string(relation), "semver"); isVersion {
		v, err := version.NewVersion(a)
		if err != nil || len(a) > 64 {
			return false
		}
		order, relation = v.Compare(version.Must(version.NewVersion(text))), lv.Relation(strings.ToLower(rest))
	} else {
		var ok bool
		if order, ok = naiveCompare(a, value); !ok {
			return false
		}
	}
	switch relation {
	case "eq":
		return order == 0
	case "gt", ">":
		return order > 0
	case "gte", ">=", "ge":
		return order >= 0
	case "lt", "<":
		return order < 0
	case "lte", "<=", "le":
		return order <= 0
	}
	panic("no such relation: " + relation)
}

// FuzzRules compares compiled rules with the naive reading of them.
func FuzzRules(f *testing.F) {
	leaf := func(relation, value string) string {
		return fmt.Sprintf(`{"object":"o","field":"a","relation":%q,"value":%s}`, relation, value)
	}
	for _, rules := range []string{
		leaf("eq", `"x"`), leaf("eq", `1.50`), leaf("==", `12e1`), leaf("neq", `-0`), leaf("gt", `"9"`), leaf(">=", `9007199254740993`),
		leaf("lt", `"b"`), leaf("le", `-1.5`), leaf("in", `["a","b"]`), leaf("nin", `["a",1,true]`), leaf("includes", `"Hello"`),
		leaf("notContains", `"é"`), leaf("startsWith", `"v"`), leaf("endsWith", `"v"`), leaf("regex", `"^a+$"`), leaf("exists", `1`),
		leaf("notExists", `null`), leaf("semverGte", `"1.9"`), leaf("semverEq", `"2.0.0-rc1"`), leaf("before", `"2026-03-01"`),
		leaf("after", `"2026-03-01T00:00:00+08:00"`), leaf("percentage", `{"percent":33.33,"seed":"s"}`),
		`{"type":"or","rules":[` + leaf("eq", `"x"`) + `,{"type":"and","rules":[` + leaf("exists", `0`) + `,` + leaf("percent", `{"percent":50,"by":"b"}`) + `]}]}`,
	} {
		f.Add([]byte(`[`+rules+`]`), "x", "1.10", 3)
		f.Add([]byte(`[`+rules+`,`+rules+`]`), "120", "2026-03-01", 1)
	}
	f.Fuzz(func(t *testing.T, text []byte, a, b string, there int) {
		rules, err := lv.ParseRules(text)
		if err != nil {
			require.ErrorIs(t, err, lv.ErrInvalid)
			return
		}
		visitor := lv.Attributes{}
		if there&1 != 0 {
			visitor["o.a"] = a
		}
		if there&2 != 0 {
			visitor["b"] = b
		}
		want := naive(rules, visitor)
		require.Equal(t, want, rules.Match(visitor), "%s for %q", text, visitor)

		again, err := json.Marshal(rules)
		require.NoError(t, err)
		read, err := lv.ParseRules(again)
		require.NoError(t, err, "%s", again)
		require.Equal(t, want, read.Match(visitor), "%s became %s", text, again)
	})
}
