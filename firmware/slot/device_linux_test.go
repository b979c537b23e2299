package slot_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/firmwaretest"
	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/internal/mounttest"
	"github.com/upkeep-go/upkeep/internal/needstest"
)

// loop makes a block device of a file, until the test has ended.
func loop(t testing.TB, image []byte, size int64) (device, file string) {
	t.Helper()
	losetup := tool(t, "losetup", "mount")
	needstest.Tool(t, "root", os.Geteuid() == 0)
	file = filepath.Join(t.TempDir(), "medium")
	require.NoError(t, os.WriteFile(file, image, 0o600))
	require.NoError(t, os.Truncate(file, size))
	out, err := exec.Command(losetup, "--find", "--show", file).Output()
	needstest.Tool(t, "loop devices", err == nil)
	device = strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command(losetup, "--detach", device).Run() })
	return device, file
}

// board is a device with two slots on block devices.
func board(t testing.TB, image []byte) *pc {
	t.Helper()
	p := newPC(t, fileBoot(t), image)
	p.config.Records = filepath.Join(t.TempDir(), "records")
	p.config.A, _ = loop(t, image, 1<<20)
	p.config.B, _ = loop(t, nil, 1<<20)
	return p
}

func TestSlotsOnBlockDevicesKeepTheirPromises(t *testing.T) {
	all := map[firmware.Slots]*pc{}
	firmwaretest.RunSlots(t, firmwaretest.SlotsHarness{
		RealTime: true, Padded: true,
		Open: func(t testing.TB, image []byte) firmware.Slots {
			p := board(t, image)
			s := p.open(t)
			all[s] = p
			return s
		},
		Restart: func(t testing.TB, s firmware.Slots) firmware.Slots {
			next := all[s].restart(t)
			all[next] = all[s]
			return next
		},
	})
}

func TestABlockDeviceHasTheSizeOfItsEnd(t *testing.T) {
	p := board(t, image("1.0.0"))
	info, err := os.Stat(p.config.A)
	require.NoError(t, err)
	require.Zero(t, info.Size(), "which Stat does not tell")
	base, err := p.open(t).Base(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1<<20, base.Size())
	require.NoError(t, base.Close())
	r := release("2.0.0")
	r.Size = 1<<20 + 1
	_, err = p.open(t).Open(t.Context(), r)
	require.ErrorIs(t, err, firmware.ErrNoSpace)
	require.Equal(t, &firmware.SpaceError{Need: 1<<20 + 1, Have: 1 << 20}, err)
	r.Size = 1 << 20
	f, err := p.open(t).Open(t.Context(), r)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("xy"), 1<<20-1)
	require.Error(t, err)
	require.NoError(t, f.Close())
}

func TestADeviceInUseIsRefusedAndLeftAlone(t *testing.T) {
	p := board(t, image("1.0.0"))
	install(t, p.open(t), "2.0.0")
	require.NoError(t, p.open(t).Activate(t.Context(), release("2.0.0"), "run"))
	holder, err := os.OpenFile(p.config.B, os.O_RDONLY|syscall.O_EXCL, 0) // as a mount does
	require.NoError(t, err)
	for range 3 {
		_, err = p.open(t).Open(t.Context(), release("3.0.0"))
		require.ErrorIs(t, err, syscall.EBUSY)
	}
	pair, err := p.open(t).Pair(t.Context())
	require.NoError(t, err)
	require.True(t, pair.Other.Whole, "it was refused before anything changed")
	require.NoError(t, holder.Close())
	install(t, p.open(t), "3.0.0")
}

func TestAMountedDeviceIsRefused(t *testing.T) {
	mounttest.Run(t, func(t *testing.T) {
		p := board(t, image("1.0.0"))
		out, err := exec.Command(tool(t, "mke2fs", "e2fsprogs"), "-q", p.config.B).CombinedOutput()
		require.NoError(t, err, string(out))
		at := t.TempDir()
		mounttest.Mount(t, p.config.B, at, "ext2", 0, "")
		_, err = p.open(t).Open(t.Context(), release("2.0.0"))
		require.ErrorIs(t, err, syscall.EBUSY)
		require.ErrorContains(t, err, "mounted")
	})
}

// TestWhatIsReadBackComesFromTheMedium changes the medium behind what memory
// holds of the device.
func TestWhatIsReadBackComesFromTheMedium(t *testing.T) {
	p := newPC(t, fileBoot(t), image("1.0.0"))
	p.config.Records = filepath.Join(t.TempDir(), "records")
	var medium string
	p.config.B, medium = loop(t, nil, 1<<20)
	holder, err := os.Open(p.config.B) // else the last Close drops all that memory holds
	require.NoError(t, err)
	defer holder.Close()
	install(t, p.open(t), "2.0.0")
	raw, err := os.OpenFile(medium, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = raw.WriteAt(bytes.Repeat([]byte{0xff}, 512), 512)
	require.NoError(t, err)
	require.NoError(t, raw.Close())
	f, err := p.open(t).Open(t.Context(), release("2.0.0"))
	require.NoError(t, err)
	defer f.Close()
	got := make([]byte, 512)
	_, err = f.ReadAt(got, 512)
	require.NoError(t, err)
	require.Equal(t, bytes.Repeat([]byte{0xff}, 512), got)
}

func TestADeviceMayBeNamedByALinkInDev(t *testing.T) {
	p := board(t, image("1.0.0"))
	link := filepath.Join(t.TempDir(), "rootfs_b")
	require.NoError(t, os.Symlink(p.config.B, link))
	plain := p.config.B
	p.config.B = link
	install(t, p.open(t), "2.0.0")
	p.config.A, p.config.B = plain, link
	_, err := slot.Open(p.config)
	require.ErrorContains(t, err, "same place")
	p.config.Records = ""
	p.config.B = p.config.A
	_, err = slot.Open(p.config)
	require.ErrorIs(t, err, firmware.ErrInvalid)
}

func TestDevicesNeedAPlaceForRecords(t *testing.T) {
	p := board(t, image("1.0.0"))
	p.config.Records = ""
	_, err := slot.Open(p.config)
	require.ErrorContains(t, err, "Records")
}

func TestADeviceWhoseRootIsElsewhereHasToSayWhatRuns(t *testing.T) {
	p := board(t, image("1.0.0"))
	p.config.Running = nil
	_, err := p.open(t).Pair(t.Context())
	require.ErrorIs(t, err, firmware.ErrUnavailable)
	require.ErrorContains(t, err, "Config.Running")
}
