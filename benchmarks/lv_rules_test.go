package benchmarks

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// rounds is how often each contender runs; they take turns, because the
// machine is not the same from one second to the next.
const rounds = 5

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// timed returns how long f takes, in nanoseconds a call.
func timed(n int, f func()) float64 {
	start := time.Now()
	for range n {
		f()
	}
	return float64(time.Since(start).Nanoseconds()) / float64(n)
}

// celEnv declares the attributes with their types, and the bucket of a visitor
// as lv computes it.
func celEnv(b *testing.B) *cel.Env {
	env, err := cel.NewEnv(
		cel.Variable("content", cel.StringType), cel.Variable("country", cel.StringType),
		cel.Variable("age", cel.IntType), cel.Variable("id", cel.StringType),
		cel.Function("bucket", cel.Overload("bucket_string", []*cel.Type{cel.StringType}, cel.IntType,
			cel.UnaryBinding(func(id ref.Val) ref.Val { return types.Int(lv.Bucket("seed", id.Value().(string))) }))),
	)
	require.NoError(b, err)
	return env
}

func celProgram(b *testing.B, env *cel.Env, expression string) cel.Program {
	ast, issues := env.Compile(expression)
	require.NoError(b, issues.Err())
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize))
	require.NoError(b, err)
	return program
}

func celMatch(b *testing.B, program cel.Program, visitor any) bool {
	value, _, err := program.Eval(visitor)
	if err != nil {
		b.Error(err)
		return false
	}
	return value == types.True
}

var (
	visitor    = lv.Attributes{"env.content": "Hello, world", "user.country": "country-0", "user.age": "42", "user.id": "u1"}
	celVisitor = map[string]any{"content": "Hello, world", "country": "country-0", "age": int64(42), "id": "u1"}
)

// BenchmarkRules evaluates three conditions and a percentage, all of which a
// visitor fulfils. x-cel is the time against cel-go's.
func BenchmarkRules(b *testing.B) {
	rules, err := lv.ParseRules([]byte(`[{"type":"and","rules":[
		{"object":"env","field":"content","relation":"includes","value":"world"},
		{"object":"user","field":"country","relation":"eq","value":"country-0"},
		{"object":"user","field":"age","relation":"gte","value":18},
		{"relation":"percentage","value":{"percent":99,"by":"user.id","seed":"seed"}}]}]`))
	require.NoError(b, err)
	match, err := rules.Compile("")
	require.NoError(b, err)
	program := celProgram(b, celEnv(b),
		`content.contains("world") && country == "country-0" && age >= 18 && bucket(id) < 9900`)
	ours := func() {
		if !match(visitor) {
			b.Error("no match")
		}
	}
	theirs := func() {
		if !celMatch(b, program, celVisitor) {
			b.Error("no match")
		}
	}
	for b.Loop() {
		report(b, 300_000, ours, 100_000, theirs)
	}
}

// BenchmarkStrategies reads a row that has 1,000 strategies, for visitors of
// 1,000 countries; the last one matches. The peer evaluates one program after
// the other until one matches. x-cel is the time against cel-go's.
func BenchmarkStrategies(b *testing.B) {
	const n = 1000
	s, err := lv.New(lv.Config{Store: memory.New().Versions()})
	require.NoError(b, err)
	defer s.Close()
	table, by := s.Table("app", "banners"), lv.Meta{Actor: "ada"}
	v, err := table.Save(b.Context(), "row", []byte(`{"name":"gray"}`), by)
	require.NoError(b, err)
	env := celEnv(b)
	programs := make([]cel.Program, n)
	for i := range n {
		country := fmt.Sprintf("country-%d", i)
		_, err := table.SaveStrategy(b.Context(), lv.Strategy{Target: v.ID, Priority: int64(i + 1), Rules: lv.Rules{{Type: "and", Rules: []lv.Rule{
			{Object: "env", Field: "content", Relation: lv.RelationIncludes, Value: "world"},
			{Object: "user", Field: "country", Relation: lv.RelationEquals, Value: country},
		}}}}, by)
		require.NoError(b, err)
		programs[n-1-i] = celProgram(b, env, fmt.Sprintf(`content.contains("world") && country == %q`, country))
	}
	ctx := context.Background()
	ours := func() {
		if _, err := table.Get(ctx, "row", lv.View{For: visitor}); err != nil {
			b.Error(err)
		}
	}
	theirs := func() {
		if !slices.ContainsFunc(programs, func(p cel.Program) bool { return celMatch(b, p, celVisitor) }) {
			b.Error("no match")
		}
	}
	for b.Loop() {
		report(b, 300_000, ours, 50, theirs)
	}
}

// report measures both in turns.
func report(b *testing.B, n int, ours func(), m int, theirs func()) {
	var fast, slow []float64
	for range rounds {
		fast, slow = append(fast, timed(n, ours)), append(slow, timed(m, theirs))
	}
	b.ReportMetric(median(fast)/median(slow), "x-cel")
	b.ReportMetric(median(fast), "ns/ours")
	b.ReportMetric(median(slow), "ns/cel")
	b.ReportMetric(testing.AllocsPerRun(1000, ours), "allocs/ours")
}
