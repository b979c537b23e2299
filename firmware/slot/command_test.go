package slot_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/firmwaretest"
	"github.com/upkeep-go/upkeep/firmware/slot"
)

func TestCommandsOfUBootKeepThePromisesOfABoot(t *testing.T) {
	firmwaretest.RunBoot(t, firmwaretest.BootHarness{
		Open: commandBoot, RealTime: true,
		Again: func(_ testing.TB, first slot.Boot) slot.Boot { return first.(slot.Command) },
	})
}

func TestVariablesOfOthersStayInTheEnvironmentOfUBoot(t *testing.T) {
	config := ubootEnvironment(t)
	require.NoError(t, commandFor(config).Write(t.Context(), slot.Vars{Slot: "a", Try: "b", B: map[string]string{"k": "v"}}))
	require.NoError(t, commandFor(config).Write(t.Context(), slot.Vars{Slot: "b"}))
	out, err := exec.Command("fw_printenv", "-c", config).Output()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{
		"bootcmd=run distro_bootcmd", "serial#=4711", "bootdelay=2", "upkeep_slot=b", "upkeep_try=-", "upkeep_tries=0",
	}, splitLines(string(out)))
}

// TestAWriteOfUBootsEnvironmentIsOneCopyOfTwo destroys the newer copy: then all
// that the write changed is as before, and nothing in part.
func TestAWriteOfUBootsEnvironmentIsOneCopyOfTwo(t *testing.T) {
	ctx, config := t.Context(), ubootEnvironment(t)
	c, env := commandFor(config), filepath.Join(filepath.Dir(config), "env")
	before := slot.Vars{Slot: "a", Try: "b", Tries: 1, A: map[string]string{"k": "1"}}
	require.NoError(t, c.Write(ctx, before))
	was, err := os.ReadFile(env)
	require.NoError(t, err)
	require.NoError(t, c.Write(ctx, slot.Vars{Slot: "b", A: map[string]string{"k": "2"}, B: map[string]string{"k": "3"}}))
	is, err := os.ReadFile(env)
	require.NoError(t, err)
	first, second := string(was[:0x4000]) != string(is[:0x4000]), string(was[0x4000:]) != string(is[0x4000:])
	require.NotEqual(t, first, second, "one invocation writes one copy")
	if first {
		clear(is[:0x4000])
	} else {
		clear(is[0x4000:])
	}
	require.NoError(t, os.WriteFile(env, is, 0o600))
	got, err := c.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, before, got)
}

func TestAnEnvironmentThatCannotBeReadMakesADeviceUnavailable(t *testing.T) {
	config := ubootEnvironment(t)
	env := filepath.Join(filepath.Dir(config), "env")
	require.NoError(t, os.WriteFile(env, make([]byte, 2*0x4000), 0o600))
	c := commandFor(config)
	c.Get = append(c.Get, "-f", "/nonexistent")
	p := newPC(t, c, image("1.0.0"))
	_, err := p.open(t).Pair(t.Context())
	require.ErrorIs(t, err, firmware.ErrUnavailable)
	require.ErrorContains(t, err, "Cannot read environment")
}

func TestACommandThatFailsSaysWhat(t *testing.T) {
	ctx := t.Context()
	false_ := []string{"sh", "-c", "echo no flash >&2; exit 3"}
	_, err := slot.Command{Get: false_}.Read(ctx)
	require.ErrorIs(t, err, firmware.ErrUnavailable)
	require.ErrorContains(t, err, "no flash")
	err = slot.Command{Get: []string{"true"}, Set: false_}.Write(ctx, slot.Vars{Slot: "a"})
	require.ErrorContains(t, err, "exit status 3")
	_, err = slot.Command{}.Read(ctx)
	require.ErrorIs(t, err, firmware.ErrInvalid)
	_, err = slot.Command{Get: []string{"echo", "upkeep_slot=x"}}.Read(ctx)
	require.ErrorIs(t, err, firmware.ErrUnavailable)
	_, err = slot.Command{Get: []string{"echo", "upkeep_tries=many"}}.Read(ctx)
	require.ErrorIs(t, err, firmware.ErrUnavailable)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = slot.Command{Get: []string{"true"}}.Read(ended)
	require.ErrorIs(t, err, context.Canceled)
}
