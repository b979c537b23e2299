package slot_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/firmwaretest"
	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/internal/needstest"
)

// pc is a device with two slots in files.
type pc struct {
	config  slot.Config
	mu      sync.Mutex
	running string
}

func newPC(t testing.TB, boot slot.Boot, image []byte) *pc {
	t.Helper()
	dir := t.TempDir()
	p := &pc{running: "a"}
	p.config = slot.Config{A: filepath.Join(dir, "a.img"), B: filepath.Join(dir, "b.img"), Boot: boot, Running: func() (string, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.running, nil
	}}
	require.NoError(t, os.WriteFile(p.config.A, image, 0o600))
	return p
}

func (p *pc) open(t testing.TB) *slot.Slots {
	t.Helper()
	s, err := slot.Open(p.config)
	require.NoError(t, err)
	return s
}

// restart starts the device and returns its slots.
func (p *pc) restart(t testing.TB) *slot.Slots {
	t.Helper()
	next, err := slot.Next(t.Context(), p.config.Boot)
	require.NoError(t, err)
	if next != "" {
		p.mu.Lock()
		p.running = next
		p.mu.Unlock()
	}
	return p.open(t)
}

// pcs is the harness of devices that boot makes the boot loader of.
func pcs(boot func(t testing.TB) slot.Boot) firmwaretest.SlotsHarness {
	all := map[firmware.Slots]*pc{}
	return firmwaretest.SlotsHarness{
		RealTime: true,
		Open: func(t testing.TB, image []byte) firmware.Slots {
			p := newPC(t, boot(t), image)
			s := p.open(t)
			all[s] = p
			return s
		},
		Restart: func(t testing.TB, s firmware.Slots) firmware.Slots {
			next := all[s].restart(t)
			all[next] = all[s]
			return next
		},
	}
}

func fileBoot(t testing.TB) slot.Boot {
	return slot.File{Path: filepath.Join(t.TempDir(), "variables")}
}

// grubBoot has the block that grub-editenv makes.
func grubBoot(t testing.TB) slot.Boot {
	t.Helper()
	path := filepath.Join(t.TempDir(), "grubenv")
	grubEditenv(t, path, "create")
	return slot.GRUB{Path: path}
}

func tool(t testing.TB, name, from string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	needstest.Tool(t, name+" ("+from+")", err == nil)
	return path
}

func grubEditenv(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(tool(t, "grub-editenv", "grub-common"), args...).CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// ubootEnvironment makes a redundant environment in a file, and returns the
// configuration of the tools for it.
func ubootEnvironment(t testing.TB) (config string) {
	t.Helper()
	dir := t.TempDir()
	env, config := filepath.Join(dir, "env"), filepath.Join(dir, "fw_env.config")
	require.NoError(t, os.WriteFile(env, make([]byte, 2*0x4000), 0o600))
	require.NoError(t, os.WriteFile(config, []byte(env+" 0x0 0x4000\n"+env+" 0x4000 0x4000\n"), 0o600))
	initial := filepath.Join(dir, "initial")
	require.NoError(t, os.WriteFile(initial, []byte("bootcmd=run distro_bootcmd\nserial#=4711\n"), 0o600))
	set := exec.Command(tool(t, "fw_setenv", "libubootenv-tool"), "-c", config, "-f", initial, "bootdelay", "2")
	out, err := set.CombinedOutput()
	require.NoError(t, err, string(out))
	return config
}

func commandFor(config string) slot.Command {
	return slot.Command{Get: []string{"fw_printenv", "-c", config}, Set: []string{"fw_setenv", "-c", config, "-s", "-"}}
}

func commandBoot(t testing.TB) slot.Boot { return commandFor(ubootEnvironment(t)) }

func TestSlotsInFilesKeepTheirPromises(t *testing.T) {
	firmwaretest.RunSlots(t, pcs(fileBoot))
}

func TestSlotsThatGRUBStartsKeepTheirPromises(t *testing.T) {
	firmwaretest.RunSlots(t, pcs(grubBoot))
}

func TestSlotsThatUBootStartsKeepTheirPromises(t *testing.T) {
	firmwaretest.RunSlots(t, pcs(commandBoot))
}

func TestAFileKeepsThePromisesOfABoot(t *testing.T) {
	firmwaretest.RunBoot(t, firmwaretest.BootHarness{
		Open: fileBoot, RealTime: true,
		Again: func(_ testing.TB, first slot.Boot) slot.Boot { return slot.File{Path: first.(slot.File).Path} },
	})
}

func TestAFileOfTheSimulatorKeepsThePromisesOfABoot(t *testing.T) {
	firmwaretest.RunBoot(t, firmwaretest.BootHarness{
		Open: func(testing.TB) slot.Boot { return slot.NewSimulator("", nil).File("vars") },
	})
}

func TestSlotsOnFilesAreRefusedWhereTheyCannotWork(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(file("a"), []byte("image"), 0o600))
	require.NoError(t, os.Link(file("a"), file("same")))
	require.NoError(t, os.Symlink(file("a"), file("link")))
	runs := func() (string, error) { return "a", nil }
	boot := slot.File{Path: file("vars")}
	for name, tt := range map[string]struct {
		config slot.Config
		want   string
	}{
		"without a boot loader": {slot.Config{A: file("a"), B: file("b"), Running: runs}, "required"},
		"without a slot":        {slot.Config{A: file("a"), Boot: boot, Running: runs}, "required"},
		"one file twice":        {slot.Config{A: file("a"), B: file("a"), Boot: boot, Running: runs}, "same place"},
		"one file, by two names": {
			slot.Config{A: file("a"), B: file("same"), Boot: boot, Running: runs}, "same place"},
		"one file that is not there": {slot.Config{A: file("n"), B: dir + "/./n", Boot: boot, Running: runs}, "same place"},
		"a link to a file":           {slot.Config{A: file("a"), B: file("link"), Boot: boot, Running: runs}, "no device"},
		"a folder":                   {slot.Config{A: file("a"), B: dir, Boot: boot, Running: runs}, "neither a file nor a block device"},
		"a character device":         {slot.Config{A: file("a"), B: os.DevNull, Boot: boot, Running: runs}, "neither a file nor a block device"},
		"nobody knows which runs":    {slot.Config{A: file("a"), B: file("b"), Boot: boot}, "Running"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := slot.Open(tt.config)
			require.ErrorIs(t, err, firmware.ErrInvalid)
			require.ErrorContains(t, err, tt.want)
		})
	}
	_, err := slot.Open(slot.Config{A: file("a"), B: "/dev/upkeep-no-such-device", Boot: boot, Running: runs})
	require.ErrorIs(t, err, os.ErrNotExist, "no file is made there")
	_, err = os.Stat(file("b"))
	require.ErrorIs(t, err, os.ErrNotExist, "Open changes nothing")
}

func TestASlotOfWhichNobodyKnowsRunsIsAnError(t *testing.T) {
	p := newPC(t, fileBoot(t), image("1.0.0"))
	p.running = "c"
	s := p.open(t)
	_, err := s.Pair(t.Context())
	require.ErrorIs(t, err, firmware.ErrUnavailable)
	require.ErrorContains(t, err, `slot "c" runs`)
	_, err = s.Base(t.Context())
	require.ErrorIs(t, err, firmware.ErrUnavailable)
}

func TestAFileIsWrittenByOneAtATime(t *testing.T) {
	p := newPC(t, fileBoot(t), image("1.0.0"))
	first, err := p.open(t).Open(t.Context(), release("2.0.0"))
	require.NoError(t, err)
	_, err = p.open(t).Open(t.Context(), release("2.0.0"))
	require.ErrorContains(t, err, "somebody else writes it")
	require.NoError(t, first.Close())
	install(t, p.open(t), "2.0.0")
}

func TestAFailedOpenLeavesNothingOpen(t *testing.T) {
	p := newPC(t, slot.File{Path: filepath.Join(t.TempDir(), "no folder", "vars")}, image("1.0.0"))
	for range 3 {
		_, err := p.open(t).Open(t.Context(), release("2.0.0"))
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	p.config.Boot = fileBoot(t)
	install(t, p.open(t), "2.0.0") // which a file that is still open would not let
}

func TestAShorterImageLeavesNothingOfALongerOneBehind(t *testing.T) {
	p := newPC(t, fileBoot(t), image("1.0.0"))
	require.NoError(t, os.WriteFile(p.config.B, make([]byte, 1<<20), 0o600))
	install(t, p.open(t), "2.0.0")
	got, err := os.ReadFile(p.config.B)
	require.NoError(t, err)
	require.Equal(t, string(image("2.0.0")), string(got))
}

func TestAnImageThatTheFactoryForgotIsNotFound(t *testing.T) {
	p := newPC(t, fileBoot(t), nil)
	require.NoError(t, os.Remove(p.config.A))
	_, err := p.open(t).Base(t.Context())
	require.ErrorIs(t, err, firmware.ErrNotFound)
}
