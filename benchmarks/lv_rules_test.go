//go:build unix

package benchmarks

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"syscall"
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

// used returns the processor time of a call of f in nanoseconds, what its
// garbage costs included.
func used(b *testing.B, n int, f func()) float64 {
	before := cpu(b)
	for range n {
		f()
	}
	return float64((cpu(b) - before).Nanoseconds()) / float64(n)
}

// cpu returns the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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

func celMatch(b *testing.B, program cel.Program, visitor cel.Activation) bool {
	value, _, err := program.Eval(visitor)
	if err != nil {
		b.Error(err)
		return false
	}
	return value == types.True
}

var visitor = lv.Attributes{"env.content": "Hello, world", "user.country": "country-0", "user.age": "42", "user.id": "u1"}

// celVisitor returns the same attributes as cel-go takes them with least work.
func celVisitor(b *testing.B) cel.Activation {
	visitor, err := cel.NewActivation(map[string]any{
		"content": "Hello, world", "country": "country-0", "age": int64(42), "id": "u1",
	})
	require.NoError(b, err)
	return visitor
}

// BenchmarkRules evaluates three conditions and a percentage, all of which a
// visitor fulfils. of-cel is the time, of that of cel-go.
func BenchmarkRules(b *testing.B) {
	rules, err := lv.ParseRules([]byte(`[{"type":"and","rules":[
		{"object":"env","field":"content","relation":"includes","value":"world"},
		{"object":"user","field":"country","relation":"eq","value":"country-0"},
		{"object":"user","field":"age","relation":"gte","value":18},
		{"relation":"percentage","value":{"percent":99,"by":"user.id","seed":"seed"}}]}]`))
	require.NoError(b, err)
	match, err := rules.Compile("")
	require.NoError(b, err)
	program, celVisitor := celProgram(b, celEnv(b),
		`content.contains("world") && country == "country-0" && age >= 18 && bucket(id) < 9900`), celVisitor(b)
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

// BenchmarkStrategies reads a row that has 1,000 strategies, of which the last
// one matches. The peer evaluates one program after the other until one
// matches. of-cel is the time, of that of cel-go.
func BenchmarkStrategies(b *testing.B) {
	b.Run("a country each", func(b *testing.B) {
		strategies(b, lv.RelationEquals, func(i int) (value, expression string) {
			country := fmt.Sprintf("country-%d", i)
			return country, fmt.Sprintf(`country == %q && content.contains("world")`, country)
		})
	})
	// No index helps to find these.
	b.Run("a part of a country each", func(b *testing.B) {
		strategies(b, lv.RelationIncludes, func(i int) (value, expression string) {
			part := fmt.Sprintf("ry-%d", i)
			return part, fmt.Sprintf(`country.contains(%q) && content.contains("world")`, part)
		})
	})
}

func strategies(b *testing.B, relation lv.Relation, rule func(i int) (value, expression string)) {
	const n = 1000
	s, err := lv.New(lv.Config{Store: memory.New(), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	defer s.Close()
	table, by := s.Table("app", "banners"), lv.By{Actor: "ada"}
	v, err := table.Save(b.Context(), "row", []byte(`{"name":"gray"}`), by)
	require.NoError(b, err)
	env, programs, celVisitor := celEnv(b), make([]cel.Program, n), celVisitor(b)
	for i := range n {
		value, expression := rule(i)
		_, err := table.SaveStrategy(b.Context(), lv.Strategy{Target: v.ID, Priority: int64(i + 1), Rules: lv.Rules{{Type: "and", Rules: []lv.Rule{
			{Object: "user", Field: "country", Relation: relation, Value: value},
			{Object: "env", Field: "content", Relation: lv.RelationIncludes, Value: "world"},
		}}}}, by)
		require.NoError(b, err)
		programs[n-1-i] = celProgram(b, env, expression)
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
		report(b, 10_000, ours, 100, theirs)
	}
}

// report lets both take turns.
func report(b *testing.B, n int, ours func(), m int, theirs func()) {
	var fast, slow []float64
	for range rounds {
		fast, slow = append(fast, used(b, n, ours)), append(slow, used(b, m, theirs))
	}
	b.ReportMetric(median(fast)/median(slow), "of-cel")
	b.ReportMetric(median(fast), "ns/ours")
	b.ReportMetric(median(slow), "ns/cel")
	b.ReportMetric(testing.AllocsPerRun(100, ours), "allocs/ours")
}
