package slot_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware/slot"
)

func splitLines(s string) []string { return strings.Split(strings.TrimSpace(s), "\n") }

// What the commands of the boot loaders mean, in a shell that reads their
// scripts.
const (
	grubCommands = `
set() { declare -g "$1"; }
load_env() { :; }
save_env() { [ "$saves" = yes ]; }
search() { :; }
initrd() { :; }
boot() { :; }
linux() { echo "$3"; }
`
	ubootCommands = `
setenv() { declare -g "$1=$2"; }
saveenv() { [ "$saves" = yes ]; }
load() { :; }
booti() { echo "${bootargs:23:13}"; }
`
)

// TestTheScriptsDoWhatNextDoes runs them with all variables that there can be.
func TestTheScriptsDoWhatNextDoes(t *testing.T) {
	bash := tool(t, "bash", "bash")
	for name, commands := range map[string]string{"grub.cfg": grubCommands, "uboot.cmd": ubootCommands} {
		script, err := os.ReadFile(name)
		require.NoError(t, err)
		var all []string // one program, for it takes long to start one
		var want []string
		for _, v := range someVars() {
			for _, saves := range []string{"yes", "no"} {
				setting := fmt.Sprintf("saves=%s; upkeep_slot=%s; upkeep_try=%s; upkeep_tries=%d\n",
					saves, dash(v.Slot), dash(v.Try), v.Tries)
				if v.Slot == "" && v.Try == "" {
					setting = "saves=" + saves + "\n" // as the factory has it
				}
				all = append(all, "unset slot upkeep_slot upkeep_try upkeep_tries bootargs\n"+setting+string(script))
				next := v.Slot
				if v.Try != "" && v.Tries == 0 && saves == "yes" {
					next = v.Try
				}
				if next == "" {
					next = "a"
				}
				want = append(want, "upkeep.slot="+next)
			}
		}
		run := exec.CommandContext(t.Context(), bash, "-c", commands+strings.Join(all, ""))
		out, err := run.Output()
		require.NoError(t, err)
		require.Equal(t, want, splitLines(string(out)), name)
	}
}

func TestNextStartsWhatVariablesSay(t *testing.T) {
	for _, v := range someVars() {
		f := slot.NewSimulator("", nil).File("vars")
		require.NoError(t, f.Write(t.Context(), v))
		got, err := slot.Next(t.Context(), f)
		require.NoError(t, err)
		want := v.Slot
		if v.Try != "" && v.Tries == 0 {
			want = v.Try
		}
		require.Equal(t, want, got)
	}
}

func TestWhatCannotBeNotedIsNotTried(t *testing.T) {
	sim := slot.NewSimulator("", nil)
	f := sim.File("vars")
	require.NoError(t, f.Write(t.Context(), slot.Vars{Slot: "a", Try: "b"}))
	sim.Inject(slot.Faults{Write: func(string, int64, []byte) error { return errStopped }})
	got, err := slot.Next(t.Context(), f)
	require.ErrorIs(t, err, errStopped)
	require.Equal(t, "a", got)
}

func someVars() (all []slot.Vars) {
	for _, s := range []string{"", "a", "b"} {
		for _, try := range []string{"", "a", "b"} {
			for tries := range 3 {
				all = append(all, slot.Vars{Slot: s, Try: try, Tries: tries})
			}
		}
	}
	return all
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func TestTheScriptOfGRUBIsOne(t *testing.T) {
	out, err := exec.Command(tool(t, "grub-script-check", "grub-common"), "grub.cfg").CombinedOutput()
	require.NoError(t, err, string(out))
}
