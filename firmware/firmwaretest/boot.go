package firmwaretest

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/internal/suitetest"
)

// BootHarness describes the slot.Boot under test.
type BootHarness struct {
	// Open returns variables that were never written, and cleans up with
	// t.Cleanup.
	Open func(t testing.TB) slot.Boot
	// Again opens the variables of first, which Open returned, as another
	// process would. Default: first itself.
	Again func(t testing.TB, first slot.Boot) slot.Boot
	// Start is what the boot loader does: it returns the slot that it starts.
	// Default: slot.Next.
	Start func(t testing.TB, b slot.Boot) string
	// RealTime is set if testing/synctest cannot fake the clock, such as that of
	// other programs.
	RealTime bool
}

// RunBoot checks that b keeps every promise of slot.Boot.
func RunBoot(t *testing.T, h BootHarness) { suitetest.Run(t, h.RealTime, h.cases()) }

// bootTest is what a case works with.
type bootTest struct {
	testing.TB
	h    BootHarness
	boot slot.Boot
}

func (h BootHarness) cases() []suitetest.Case {
	if h.Again == nil {
		h.Again = func(_ testing.TB, first slot.Boot) slot.Boot { return first }
	}
	if h.Start == nil {
		h.Start = func(t testing.TB, b slot.Boot) string {
			next, err := slot.Next(t.Context(), b)
			require.NoError(t, err)
			return next
		}
	}
	return suitetest.On(func(t testing.TB) *bootTest { return &bootTest{t, h, h.Open(t)} }, []struct {
		Name string
		Run  func(*bootTest)
	}{
		{"what was never written is the zero Vars", (*bootTest).zero},
		{"all that was written is read again", (*bootTest).all},
		{"a write replaces everything", (*bootTest).replaces},
		{"others read what was written", (*bootTest).others},
		{"of many writes the last one counts", (*bootTest).many},
		{"what is read is the caller's", (*bootTest).callers},
		{"a name that no boot loader takes is an error that changes nothing", (*bootTest).names},
		{"a value of two lines is an error that changes nothing", (*bootTest).values},
		{"what is too large is an error that changes nothing", (*bootTest).large},
		{"an unknown slot is an error that changes nothing", (*bootTest).unknown},
		{"a slot is tried once", (*bootTest).once},
		{"a slot that was tried is not tried", (*bootTest).tried},
	})
}

func (t *bootTest) write(v slot.Vars) {
	t.Helper()
	require.NoError(t, t.boot.Write(t.Context(), v))
}

// has checks what is read.
func (t *bootTest) has(b slot.Boot, want slot.Vars) {
	t.Helper()
	got, err := b.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, canonical(want), canonical(got))
}

// canonical makes no difference between no map and an empty one.
func canonical(v slot.Vars) slot.Vars {
	for _, m := range []*map[string]string{&v.A, &v.B} {
		if len(*m) == 0 {
			*m = nil
		}
	}
	return v
}

// fullVars has something in every field.
func fullVars() slot.Vars {
	return slot.Vars{
		Slot: "a", Try: "b", Tries: 3,
		A: map[string]string{"roothash": "0123abcd", "x_1": "1"},
		B: map[string]string{"roothash": "fedc9876", "args": `quiet splash=no \ "$x" 'ü'`},
	}
}

func (t *bootTest) zero() { t.has(t.boot, slot.Vars{}) }

func (t *bootTest) all() {
	for _, v := range []slot.Vars{
		fullVars(), {Slot: "b"}, {Slot: "a", Try: "b"}, {Slot: "b", Try: "a", Tries: 1}, {Slot: "a", Tries: 12},
		{Slot: "a", A: map[string]string{"k": "v=w"}}, {Slot: "a", B: map[string]string{"k": "# no comment"}}, {},
	} {
		t.write(v)
		t.has(t.boot, v)
	}
}

func (t *bootTest) replaces() {
	t.write(fullVars())
	t.write(slot.Vars{Slot: "b", B: map[string]string{"other": "1"}})
	t.has(t.boot, slot.Vars{Slot: "b", B: map[string]string{"other": "1"}})
}

func (t *bootTest) others() {
	t.write(fullVars())
	second := t.h.Again(t, t.boot)
	t.has(second, fullVars())
	require.NoError(t, second.Write(t.Context(), slot.Vars{Slot: "b"}))
	t.has(t.boot, slot.Vars{Slot: "b"})
}

func (t *bootTest) many() {
	rounds := 300 // more than a generation of eight bits has
	if t.h.RealTime {
		rounds = 20
	}
	for i := range rounds {
		v := slot.Vars{Slot: "a", Tries: i}
		t.write(v)
		t.has(t.boot, v)
	}
}

func (t *bootTest) callers() {
	v := fullVars()
	t.write(v)
	v.A["roothash"] = "changed"
	got, err := t.boot.Read(t.Context())
	require.NoError(t, err)
	maps.DeleteFunc(got.B, func(string, string) bool { return true })
	t.has(t.boot, fullVars())
}

// refuses checks that a write is an error that changes nothing.
func (t *bootTest) refuses(change func(*slot.Vars)) {
	t.Helper()
	t.write(fullVars())
	v := fullVars()
	change(&v)
	require.Error(t, t.boot.Write(t.Context(), v))
	t.has(t.boot, fullVars())
}

func (t *bootTest) names() {
	for _, name := range []string{"", "a b", "a=b", "a\nb", "é", "a-b", "a.b"} {
		t.refuses(func(v *slot.Vars) { v.B[name] = "1" })
	}
}

func (t *bootTest) values() {
	for _, value := range []string{"a\nb", "a\x00b", "a\rb"} {
		t.refuses(func(v *slot.Vars) { v.A["k"] = value })
	}
}

func (t *bootTest) large() {
	t.refuses(func(v *slot.Vars) {
		for i := range 64 {
			v.B[fmt.Sprint("k", i)] = strings.Repeat("v", 1<<10)
		}
	})
}

func (t *bootTest) unknown() {
	t.refuses(func(v *slot.Vars) { v.Slot = "c" })
	t.refuses(func(v *slot.Vars) { v.Try = "ab" })
	t.refuses(func(v *slot.Vars) { v.Tries = -1 })
}

func (t *bootTest) once() {
	v := slot.Vars{Slot: "a", Try: "b", B: map[string]string{"k": "v"}}
	t.write(v)
	require.Equal(t, "b", t.h.Start(t, t.boot))
	v.Tries = 1
	t.has(t.boot, v)
	for range 3 {
		require.Equal(t, "a", t.h.Start(t, t.boot))
	}
	t.has(t.boot, v)
}

func (t *bootTest) tried() {
	t.write(slot.Vars{Slot: "b", Try: "a", Tries: 1})
	require.Equal(t, "b", t.h.Start(t, t.boot))
	t.write(slot.Vars{Slot: "b"})
	require.Equal(t, "b", t.h.Start(t, t.boot))
	t.write(slot.Vars{Slot: "a"})
	require.Equal(t, "a", t.h.Start(t, t.boot))
}
