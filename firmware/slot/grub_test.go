package slot_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/firmwaretest"
	"github.com/upkeep-go/upkeep/firmware/slot"
)

func block(text string) []byte {
	text = "# GRUB Environment Block\n" + text
	return []byte(text + strings.Repeat("#", 1024-len(text)))
}

func TestAnEnvironmentBlockKeepsThePromisesOfABoot(t *testing.T) {
	firmwaretest.RunBoot(t, firmwaretest.BootHarness{
		Open: func(testing.TB) slot.Boot { return slot.NewSimulator("", nil).GRUB("grubenv", block("")) },
	})
	firmwaretest.RunBoot(t, firmwaretest.BootHarness{
		Open: grubBoot, RealTime: true,
		Again: func(_ testing.TB, first slot.Boot) slot.Boot { return slot.GRUB{Path: first.(slot.GRUB).Path} },
	})
}

func TestVariablesOfOthersStayInAnEnvironmentBlock(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "grubenv")
	grubEditenv(t, path, "create")
	grubEditenv(t, path, "set", "saved_entry=0", `odd=a\b`, "empty=", "lines=one\ntwo=2", "upkeep_x=foreign", "next_entry=")
	foreign := grubEditenv(t, path, "list")
	g := slot.GRUB{Path: path}
	want := slot.Vars{Slot: "a", Try: "b", A: map[string]string{"args": `a \ b`}, B: map[string]string{"args": "c=d"}}
	require.NoError(t, g.Write(ctx, want))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 1024, info.Size())
	list := grubEditenv(t, path, "list")
	ours := "upkeep_slot=a\nupkeep_try=b\nupkeep_tries=0\nupkeep_a_args=a \\ b\nupkeep_b_args=c=d\n"
	require.Equal(t, ours+foreign, list)

	grubEditenv(t, path, "set", "upkeep_tries=1", "saved_entry=12") // as GRUB does
	want.Tries = 1
	got, err := g.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, want, got)

	require.NoError(t, g.Write(ctx, slot.Vars{Slot: "b"}))
	require.Equal(t, "upkeep_slot=b\nupkeep_try=-\nupkeep_tries=0\n"+strings.Replace(foreign, "entry=0", "entry=12", 1),
		grubEditenv(t, path, "list"))
	grubEditenv(t, path, "unset", "upkeep_slot", "upkeep_try", "upkeep_tries")
	got, err = g.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, slot.Vars{}, got)
}

func TestWhatIsNoEnvironmentBlockIsLeftAlone(t *testing.T) {
	for name, data := range map[string][]byte{
		"zero": make([]byte, 1024), "short": block("")[:512], "long": append(block(""), '#'),
		"text": bytes.Repeat([]byte("x=1\n"), 256), "empty": {},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, sim := t.Context(), slot.NewSimulator("", nil)
			g := sim.GRUB("grubenv", data)
			_, err := g.Read(ctx)
			require.ErrorIs(t, err, firmware.ErrUnavailable)
			require.ErrorIs(t, g.Write(ctx, slot.Vars{Slot: "a"}), firmware.ErrUnavailable)
			require.Equal(t, string(data), string(sim.Contents("grubenv")))
		})
	}
	_, err := slot.GRUB{Path: filepath.Join(t.TempDir(), "none")}.Read(t.Context())
	require.ErrorIs(t, err, firmware.ErrUnavailable)
	require.ErrorContains(t, err, "grub-editenv makes")
}

// TestATornEnvironmentBlockIsThatOfBeforeOrAfter cuts the power between the two
// sectors, and leaves the second as it was, zero or erased.
func TestATornEnvironmentBlockIsThatOfBeforeOrAfter(t *testing.T) {
	ctx := t.Context()
	foreign := "first=1\n" + strings.Repeat("x", 480) + "=long\nlast=1\n"
	before, after := slot.Vars{Slot: "a", Try: "b"}, slot.Vars{Slot: "b", Tries: 1}
	for _, rest := range [][]byte{nil, {0}, {0xff}} {
		for reached := 0; reached <= 1024; reached += 512 {
			if reached == 0 && rest != nil {
				continue // a sector is written whole or not at all
			}
			sim := slot.NewSimulator("", nil)
			g := sim.GRUB("grubenv", block(foreign))
			require.NoError(t, g.Write(ctx, before))
			whole := string(sim.Contents("grubenv"))
			sim.Inject(slot.Faults{Sync: func(string) error {
				if sim.LateBytes() > 0 {
					require.NoError(t, sim.Torn(ctx, reached, rest...))
					return errStopped
				}
				return nil
			}})
			require.Error(t, g.Write(ctx, after))
			sim.Inject(slot.Faults{})
			got, err := g.Read(ctx)
			require.NoError(t, err)
			if reached == 0 {
				require.Equal(t, before, got)
			} else {
				require.Equal(t, after, got)
			}
			if rest == nil { // what others have there was not touched
				require.Equal(t, whole[strings.Index(whole, "first="):], string(sim.Contents("grubenv"))[strings.Index(whole, "first="):])
			}
		}
	}
}

func TestWhatIsNotInTheFirstSectorOfGRUBIsRefused(t *testing.T) {
	sim := slot.NewSimulator("1.0.0", image("1.0.0"))
	block := append([]byte("# GRUB Environment Block\n"), bytes.Repeat([]byte("#"), 1024-25)...)
	g := sim.GRUB("grubenv", block)
	v := slot.Vars{Slot: "a", Try: "b", A: map[string]string{"hash": strings.Repeat("1", 64), "args": strings.Repeat("x", 200)}}
	require.NoError(t, g.Write(t.Context(), v))
	before := bytes.Clone(sim.Contents("grubenv"))
	v.B = v.A
	require.ErrorIs(t, g.Write(t.Context(), v), firmware.ErrNoSpace)
	require.True(t, bytes.Equal(before, sim.Contents("grubenv")))
}
