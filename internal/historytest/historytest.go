// Package historytest plays random histories on something that a test looks
// after, and makes the one that fails short.
package historytest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// Step is one step of a history: what to do, and with what.
type Step [3]byte

// Player plays a history. It returns what was done and why that failed, or "".
type Player func(steps []Step) (why string)

// Run plays so many histories, those of the seeds from 0, or 300 of them unless
// UPKEEP_FULL=1, or as many as UPKEEP_HISTORIES says. The first that fails is played again by fresh, with less and
// less steps, as long as it fails.
func Run(t testing.TB, n int, play, fresh Player) {
	t.Helper()
	if os.Getenv("UPKEEP_FULL") != "1" {
		n = min(n, 300)
	}
	if many, err := strconv.Atoi(os.Getenv("UPKEEP_HISTORIES")); err == nil {
		n = many
	}
	for seed := range uint64(n) {
		if why := play(Random(seed)); why != "" {
			steps, why := shrink(Random(seed), why, fresh)
			require.Fail(t, fmt.Sprintf("the history of seed %d fails; in %d steps:\n%s\n\n%v", seed, len(steps), why, steps))
		}
	}
}

// Unraced is n, or 300 with the race detector: for histories that it makes so
// dear that the others are played without it.
func Unraced(n int) int {
	if Raced() {
		return min(n, 300)
	}
	return n
}

// Full reports whether all is tried, by UPKEEP_FULL=1 and without the race
// detector: for what it makes so dear.
func Full() bool { return os.Getenv("UPKEEP_FULL") == "1" && !Raced() }

// Every is 1 when all is tried, else n: of what is tried in a row, one of n.
func Every(n int) int {
	if Full() {
		return 1
	}
	return n
}

// Raced reports whether this program has the race detector.
func Raced() bool {
	built, _ := debug.ReadBuildInfo()
	return slices.Contains(built.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// Random returns the history of a seed.
func Random(seed uint64) []Step {
	r := rand.New(rand.NewPCG(seed, 0))
	steps := make([]Step, 5+r.IntN(40))
	for i := range steps {
		n := r.Uint32()
		steps[i] = Step{byte(n), byte(n >> 8), byte(n >> 16)}
	}
	return steps
}

// shrink deletes steps as long as the history fails, and returns it with why it
// does.
func shrink(steps []Step, why string, fresh Player) ([]Step, string) {
	for size := len(steps) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(steps); {
			fewer := slices.Delete(slices.Clone(steps), at, at+size)
			if again := fresh(fewer); again != "" {
				steps, why = fewer, again
			} else {
				at += size
			}
		}
	}
	return steps, why
}

// Fuzz plays histories that are made of any bytes, three a step.
func Fuzz(f *testing.F, play func(t *testing.T, steps []Step) (why string)) {
	for seed := range uint64(10) {
		var all []byte
		for _, s := range Random(seed) {
			all = append(all, s[:]...)
		}
		f.Add(all)
	}
	f.Fuzz(func(t *testing.T, all []byte) {
		var steps []Step
		for s := range slices.Chunk(all[:min(len(all), 300)], len(Step{})) {
			steps = append(steps, Step(append(slices.Clone(s), 0, 0)[:3]))
		}
		if why := play(t, steps); why != "" {
			t.Fatal(why)
		}
	})
}

// Failure runs f and returns why it failed, or "".
func Failure(t testing.TB, f func(testing.TB)) string {
	note := &noter{TB: t}
	done := make(chan struct{})
	go func() { // which FailNow may end
		defer close(done)
		f(note)
	}()
	<-done
	for _, cleanup := range slices.Backward(note.cleanups) {
		cleanup()
	}
	return note.why
}

// noter is a test whose first failure is noted, and ends it.
type noter struct {
	testing.TB
	why      string
	cleanups []func()
}

// Cleanup makes a call when the test has ended.
func (n *noter) Cleanup(call func()) { n.cleanups = append(n.cleanups, call) }

// Errorf notes a failure.
func (n *noter) Errorf(format string, args ...any) {
	if n.why == "" {
		n.why = fmt.Sprintf(format, args...)
	}
}

// Error notes a failure.
func (n *noter) Error(args ...any) { n.Errorf("%s", fmt.Sprint(args...)) }

// FailNow ends the test.
func (n *noter) FailNow() { runtime.Goexit() }

// Helper does nothing: it takes a quarter of the time of a history.
func (n *noter) Helper() {}
