package lv_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
)

func TestMatch(t *testing.T) {
	leaf := func(r lv.Relation, value any) lv.Rules {
		return lv.Rules{{Object: "env", Field: "content", Relation: r, Value: value}}
	}
	tests := []struct {
		name      string
		rules     lv.Rules
		matches   []string
		different []string
	}{
		{"eq of text is the same text", leaf("eq", "1.1"), []string{"1.1"}, []string{"1.10", "1.1 ", ""}},
		{"eq of a number is the same number", leaf("eq", 10), []string{"10", "10.0"}, []string{"010", "1e1", "+10", "ten", "10.", "10.01"}},
		{"eq of a big number is exact", leaf("eq", json.Number("9007199254740993")), []string{"9007199254740993"}, []string{"9007199254740992"}},
		{"eq of an exponent is its number", leaf("eq", json.Number("1e3")), []string{"1000"}, []string{"1e3"}},
		{"eq of nothing is nothing", leaf("eq", ""), []string{""}, []string{" "}},
		{"eq of a bool is its word", leaf("eq", true), []string{"true"}, []string{"1", "false"}},
		{"neq", leaf("neq", "a"), []string{"b", ""}, []string{"a"}},
		{"gt of a number", leaf("gt", 9), []string{"10", "9.5"}, []string{"9", "9.0", "8", "-10", "abc", ""}},
		{"gt of numbers too long for a word", leaf("gt", json.Number("999999999999999999")),
			[]string{"1000000000000000000", "99999999999999999999"}, []string{"999999999999999999", "1", "01000000000000000000"}},
		{"gt of text that reads as a number", leaf("gt", "9"), []string{"10"}, []string{"9", "abc"}},
		{"gt of text", leaf("gt", "b"), []string{"c", "bb"}, []string{"b", "a", "10"}},
		{"gte", leaf("gte", -1.5), []string{"-1.5", "-1.4", "0", "-0"}, []string{"-1.51", "-2"}},
		{"lt", leaf("lt", 0), []string{"-0.001", "-5"}, []string{"0", "-0", "1"}},
		{"lte", leaf("lte", "2"), []string{"2", "1", "-3", "2.000"}, []string{"10", "2.0001", "x"}},
		{"in", leaf("in", []string{"a", "b"}), []string{"a", "b"}, []string{"c", "ab", ""}},
		{"in with numbers", leaf("in", []any{json.Number("1"), "x"}), []string{"1", "1.0", "x"}, []string{"2", "y"}},
		{"notIn", leaf("notIn", []string{"a", "b"}), []string{"c", ""}, []string{"a", "b"}},
		{"includes", leaf("includes", "Hello"), []string{"Hello, world", "Hello"}, []string{"hello", "Hell"}},
		{"notIncludes", leaf("notIncludes", "x"), []string{"", "y"}, []string{"axb"}},
		{"startsWith", leaf("startsWith", "ab"), []string{"ab", "abc"}, []string{"cab", "a"}},
		{"endsWith", leaf("endsWith", "ab"), []string{"ab", "cab"}, []string{"abc", "b"}},
		{"regex", leaf("regex", `^v\d+$`), []string{"v1", "v22"}, []string{"v", "xv1", "v1\n"}},
		{"regex of something long", leaf("regex", "a"), []string{strings.Repeat("a", 2048)}, []string{strings.Repeat("a", 2049)}},
		{"exists", leaf("exists", nil), []string{"", "x"}, nil},
		{"notExists", leaf("notExists", nil), nil, []string{"", "x"}},
		{"semverEq", leaf("semverEq", "1.2.0"), []string{"1.2", "v1.2.0", "1.2.0+build"}, []string{"1.2.1", "1.2.0-rc1", "one"}},
		{"semverGt", leaf("semverGt", "1.9"), []string{"1.10", "2"}, []string{"1.9", "1.9.0-rc1", ""}},
		{"semverGte", leaf("semverGte", "1.9"), []string{"1.9.0", "1.10"}, []string{"1.8.9"}},
		{"semverLt", leaf("semverLt", "2.0.0"), []string{"2.0.0-rc1", "1.10"}, []string{"2", "1" + strings.Repeat(".0", 32)}},
		{"semverLte", leaf("semverLte", "2.0.0"), []string{"2", "1"}, []string{"2.0.1"}},
		{"before", leaf("before", "2026-03-01T00:00:00+08:00"), []string{"2026-02-28T15:59:59Z", "2026-02-28"}, []string{"2026-02-28T16:00:00Z", "soon", "2026-xx-01", ""}},
		{"after", leaf("after", "2026-03-01"), []string{"2026-03-01T00:00:01Z", "2026-03-02"}, []string{"2026-03-01", "2026-03-01T07:59:59+08:00"}},
		{"other spellings", leaf("contains", "a"), []string{"a"}, []string{"b"}},
		{"groups combine with and", append(leaf("startsWith", "a"), leaf("endsWith", "b")...), []string{"ab"}, []string{"a", "b"}},
		{"and", lv.Rules{{Type: "and", Rules: append(leaf("startsWith", "a"), leaf("endsWith", "b")...)}}, []string{"ab"}, []string{"a", "b"}},
		{"or", lv.Rules{{Type: "or", Rules: append(leaf("startsWith", "a"), leaf("endsWith", "b")...)}}, []string{"ab", "a", "b"}, []string{"c"}},
		{"groups in groups", lv.Rules{{Type: "or", Rules: []lv.Rule{
			{Type: "and", Rules: append(leaf("startsWith", "a"), leaf("endsWith", "b")...)}, leaf("eq", "c")[0],
		}}}, []string{"ab", "c"}, []string{"a", "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.NoError(t, tt.rules.Check())
			text, err := json.Marshal(tt.rules)
			require.NoError(t, err)
			read, err := lv.ParseRules(text)
			require.NoError(t, err, "%s", text)
			for _, rules := range []lv.Rules{tt.rules, read} {
				for _, value := range tt.matches {
					require.True(t, rules.Match(lv.Attributes{"env.content": value}), "%q", value)
				}
				for _, value := range tt.different {
					require.False(t, rules.Match(lv.Attributes{"env.content": value}), "%q", value)
				}
			}
		})
	}
}

func TestAMissingAttributeMatchesNotExistsAlone(t *testing.T) {
	values := map[lv.Relation]any{
		"in": []string{"a"}, "notIn": []string{"a"}, "semverEq": "1", "semverGt": "1", "semverGte": "1", "semverLt": "1",
		"semverLte": "1", "before": "2026-01-01", "after": "2026-01-01", "percentage": lv.Percentage{Percent: 100, By: "user.id"},
	}
	for _, r := range []lv.Relation{
		"eq", "neq", "gt", "gte", "lt", "lte", "in", "notIn", "includes", "notIncludes", "startsWith", "endsWith", "regex", "exists",
		"semverEq", "semverGt", "semverGte", "semverLt", "semverLte", "before", "after", "percentage",
	} {
		value, special := values[r]
		if !special {
			value = "a"
		}
		rules := lv.Rules{{Object: "user", Field: "id", Relation: r, Value: value}}
		require.NoError(t, rules.Check(), r)
		require.False(t, rules.Match(lv.Attributes{"user.name": "a"}), r)
	}
	missing := lv.Rules{{Object: "user", Field: "id", Relation: lv.RelationNotExists}}
	require.True(t, missing.Match(nil))
}

func TestTheDocumentsRulesAreRead(t *testing.T) {
	rules, err := lv.ParseRules([]byte(`[{"type":"and","rules":[{"object":"env","field":"content","relation":"includes","value":"Hello"}]}]`))
	require.NoError(t, err)
	require.Equal(t, lv.Rules{{Type: "and", Rules: []lv.Rule{
		{Object: "env", Field: "content", Relation: lv.RelationIncludes, Value: "Hello"},
	}}}, rules)
	text, err := json.Marshal(rules)
	require.NoError(t, err)
	require.JSONEq(t, `[{"type":"and","rules":[{"object":"env","field":"content","relation":"includes","value":"Hello"}]}]`, string(text))
}

func TestRulesThatCannotBeUsedAreRefusedWithTheirPlace(t *testing.T) {
	nested := func(groups int) string {
		return strings.Repeat(`[{"type":"and","rules":`, groups) + `[{"field":"a","relation":"exists"}]` + strings.Repeat(`}]`, groups)
	}
	many := func(leaves int) string {
		return `[` + strings.TrimSuffix(strings.Repeat(`{"field":"a","relation":"exists"},`, leaves), ",") + `]`
	}
	spaced := func(bytes int) string { return fmt.Sprintf("%-*s", bytes, many(1)) }
	for _, good := range []string{nested(15), many(256), spaced(64 << 10)} {
		_, err := lv.ParseRules([]byte(good))
		require.NoError(t, err)
	}
	leaf := func(relation, value string) string {
		return fmt.Sprintf(`[{"type":"or","rules":[{"object":"o","field":"f","relation":%q,"value":%s}]}]`, relation, value)
	}
	twice := func(rules string) string { return rules[:len(rules)-1] + "," + rules[1:] }
	const place = "rules[0].rules[0]"
	for name, tt := range map[string]struct{ text, place string }{
		"no rules":                   {`[]`, "rules: empty"},
		"null":                       {`null`, "rules: empty"},
		"no list":                    {`{"type":"and"}`, "rules:"},
		"no JSON":                    {`[{]`, "not JSON"},
		"a name twice":               {`[{"field":"a","field":"b","relation":"exists"}]`, `"field" stands twice`},
		"an empty group":             {`[{"type":"and","rules":[]}]`, "rules[0].rules: empty"},
		"a group without rules":      {`[{"type":"or"}]`, "rules[0].rules: empty"},
		"an unknown type":            {`[{"type":"xor","rules":[{"field":"a","relation":"exists"}]}]`, `rules[0].type: "xor"`},
		"an unknown relation":        {leaf("like", `"x"`), place + ": o.f like: unknown relation"},
		"no relation":                {leaf("", `"x"`), place},
		"no field":                   {`[{"object":"a","relation":"exists"}]`, "rules[0].field"},
		"an unknown member":          {`[{"field":"a","relation":"exists","negate":true}]`, `rules[0]: json: unknown field "negate"`},
		"a group that compares":      {`[{"type":"and","field":"a","relation":"exists","rules":[{"field":"a","relation":"exists"}]}]`, "rules[0]:"},
		"rules without a type":       {`[{"rules":[{"field":"a","relation":"exists"}]}]`, "rules[0]: rules without a type"},
		"no value":                   {leaf("eq", `null`), place + ": o.f eq: a value is needed"},
		"a list where one is due":    {leaf("eq", `["a"]`), place},
		"one where a list is due":    {leaf("in", `"a,b"`), place},
		"an empty list":              {leaf("in", `[]`), place},
		"a list in a list":           {leaf("in", `[["a"]]`), place + ": o.f in: item 0"},
		"an object for a value":      {leaf("eq", `{"a":1}`), place},
		"an empty part":              {leaf("includes", `""`), place},
		"an empty expression":        {leaf("regex", `""`), place},
		"a broken expression":        {leaf("regex", `"("`), place},
		"an expression beyond RE2":   {leaf("regex", `"(?=a)"`), place},
		"an expression too large":    {leaf("regex", `"((a{1000}){1000}){1000}"`), place},
		"an expression too long":     {leaf("regex", `"`+strings.Repeat("a", 2049)+`"`), "more than 2048 bytes"},
		"expressions too long":       {twice(leaf("regex", `"`+strings.Repeat("[ab]", 300)+`"`)), "rules[1].rules[0]: o.f regex: more than 2048 bytes"},
		"an expression that grows":   {leaf("regex", `"(ab?){499}"`), "more than 1000 instructions"},
		"expressions that grow":      {twice(leaf("regex", `"a{600}"`)), "rules[1].rules[0]: o.f regex: more than 1000 instructions"},
		"a version that is none":     {leaf("semverGt", `"one"`), place},
		"a time that is none":        {leaf("before", `"soon"`), place},
		"a number out of range":      {leaf("gt", `1e999`), place},
		"no percentage":              {leaf("percentage", `50`), place + ".value"},
		"more than all":              {leaf("percentage", `{"percent":100.5}`), place + ".value"},
		"less than none":             {leaf("percentage", `{"percent":-1}`), place + ".value"},
		"a percentage of what":       {`[{"relation":"percentage","value":{"percent":5}}]`, "rules[0].value"},
		"a percentage with a typo":   {leaf("percentage", `{"percent":5,"sead":"x"}`), place + ".value"},
		"too deep":                   {nested(16), "more than 16 deep"},
		"far too deep":               {nested(400), "more than 16 deep"},
		"too many":                   {many(257), "rules[256]: more than 256"},
		"too long":                   {`[{"field":"` + strings.Repeat("a", 64<<10) + `","relation":"exists"}]`, "at most 65536"},
		"too long by a byte":         {spaced(64<<10 + 1), "65537 bytes, at most 65536"},
		"half a surrogate in a text": {leaf("eq", `"\ud800"`), "surrogate"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := lv.ParseRules([]byte(tt.text))
			require.ErrorIs(t, err, lv.ErrInvalid)
			require.ErrorContains(t, err, tt.place)
		})
	}
}

func TestRulesBuiltInGoAreCheckedToo(t *testing.T) {
	texts := func(bytes int) lv.Rules { // together with the names
		return lv.Rules{{Field: "a", Relation: "in", Value: []string{strings.Repeat("x", bytes-len("a"+"in"))}}}
	}
	require.NoError(t, texts(64<<10).Check())
	var deep lv.Rules = []lv.Rule{{Field: "a", Relation: "exists"}}
	for range 16 {
		deep = []lv.Rule{{Type: "and", Rules: deep}}
	}
	for name, rules := range map[string]lv.Rules{
		"too deep":             deep,
		"too long":             {{Field: "a", Relation: "in", Value: []string{strings.Repeat("x", 40<<10), strings.Repeat("x", 40<<10)}}},
		"too long by a byte":   texts(64<<10 + 1),
		"a value of no use":    {{Field: "a", Relation: "eq", Value: struct{}{}}},
		"not a number":         {{Field: "a", Relation: "gt", Value: math.NaN()}},
		"a NaN of percentages": {{Relation: "percentage", Value: lv.Percentage{Percent: math.NaN(), By: "a"}}},
	} {
		require.ErrorIs(t, rules.Check(), lv.ErrInvalid, name)
		_, err := rules.Compile("")
		require.ErrorIs(t, err, lv.ErrInvalid, name)
		require.False(t, rules.Match(lv.Attributes{"a": "x"}), name)
	}
}

func TestRulesOfALaterReleaseAreReadButMatchNobody(t *testing.T) {
	var rules lv.Rules
	require.NoError(t, json.Unmarshal([]byte(`[{"field":"a","relation":"near","value":"x"}]`), &rules))
	require.ErrorIs(t, rules.Check(), lv.ErrInvalid)
	require.False(t, rules.Match(lv.Attributes{"a": "x"}))
}

func compiled(t *testing.T, r lv.Rules) func(lv.Attributes) bool {
	match, err := r.Compile("")
	require.NoError(t, err)
	return match
}

func TestMatchingCompiledRulesDoesNotAllocate(t *testing.T) {
	rules, err := lv.ParseRules([]byte(`[{"type":"and","rules":[
		{"object":"env","field":"content","relation":"includes","value":"Hello"},
		{"object":"user","field":"age","relation":"gte","value":18},
		{"object":"user","field":"age","relation":"lt","value":"150"},
		{"object":"user","field":"country","relation":"in","value":["de","fr",1]},
		{"object":"app","field":"version","relation":"semverGte","value":"1.9"},
		{"object":"app","field":"time","relation":"after","value":"2026-01-01"},
		{"object":"app","field":"name","relation":"regex","value":"^up"},
		{"type":"or","rules":[{"object":"user","field":"beta","relation":"eq","value":true},{"object":"user","field":"no","relation":"notExists"}]},
		{"relation":"percentage","value":{"percent":100,"by":"user.id"}}]}]`))
	require.NoError(t, err)
	match := compiled(t, rules)
	visitor := lv.Attributes{
		"env.content": "Hello, world", "user.age": "42", "user.country": "fr", "app.version": "1.10.2",
		"app.time": "2026-03-01T10:00:00Z", "app.name": "upkeep", "user.beta": "yes", "user.id": "u1",
	}
	require.True(t, match(visitor))
	require.Zero(t, testing.AllocsPerRun(1000, func() { match(visitor) }))
	for _, attribute := range []string{"user.age", "app.version", "app.time"} {
		visitor[attribute] = "what?"
		require.False(t, match(visitor))
		require.Zero(t, testing.AllocsPerRun(1000, func() { match(visitor) }), attribute)
		visitor[attribute] = "42"
	}
}

func TestAListOfNumbersIsAskedOnceHoweverLongItIs(t *testing.T) {
	listing := func(n int) func(lv.Attributes) bool {
		var list []any
		for i := range n {
			list = append(list, json.Number(fmt.Sprint(i, ".50")))
		}
		return compiled(t, lv.Rules{{Field: "id", Relation: lv.RelationIn, Value: list}})
	}
	one, many := listing(1), listing(5000)
	require.True(t, many(lv.Attributes{"id": "4999.5"}))
	require.False(t, many(lv.Attributes{"id": "5000.5"}))
	long := lv.Attributes{"id": strings.Repeat("9", 8<<10)} // what a visitor may send
	took := func(match func(lv.Attributes) bool) time.Duration {
		least := time.Hour
		for range 20 {
			began := time.Now()
			require.False(t, match(long))
			least = min(least, time.Since(began))
		}
		return least
	}
	require.Less(t, took(many), 100*took(one), "not five thousand times")
	require.Zero(t, testing.AllocsPerRun(10, func() { many(long) }))
}
