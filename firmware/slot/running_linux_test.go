package slot_test

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/slot"
)

func TestTheSlotOfTheRootFileSystemRuns(t *testing.T) {
	slots := map[string]uint64{"a": unix.Mkdev(179, 2), "b": unix.Mkdev(179, 3)}
	// 253:1 is encrypted, on 253:0, which dm-verity checks, on 179:3 and its
	// digests on 179:7; 9:0 is a mirror of both slots.
	system := fstest.MapFS{
		"253:1/slaves/dm-0/dev":      {Data: []byte("253:0\n")},
		"253:0/slaves/mmcblk0p3/dev": {Data: []byte("179:3\n")},
		"253:0/slaves/mmcblk0p7/dev": {Data: []byte("179:7\n")},
		"9:0/slaves/mmcblk0p2/dev":   {Data: []byte("179:2\n")},
		"9:0/slaves/mmcblk0p3/dev":   {Data: []byte("179:3\n")},
	}
	for name, tt := range map[string]struct {
		root uint64
		want string
	}{
		"on it":              {unix.Mkdev(179, 2), "a"},
		"on the other":       {unix.Mkdev(179, 3), "b"},
		"by way of two":      {unix.Mkdev(253, 1), "b"},
		"elsewhere":          {unix.Mkdev(179, 4), ""},
		"of no device":       {unix.Mkdev(0, 33), ""},
		"on both":            {unix.Mkdev(9, 0), ""},
		"of a large number":  {unix.Mkdev(259, 70000), ""},
		"on what has no one": {unix.Mkdev(179, 7), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := slot.OnRoot(tt.root, slots, system)
			if tt.want == "" {
				require.ErrorIs(t, err, firmware.ErrUnavailable)
				require.ErrorContains(t, err, "Config.Running")
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestTheKernelIsToldWhichSlotRuns(t *testing.T) {
	got, err := slot.Argument("root=/dev/sda2 upkeep.slot=a quiet upkeep.slot=b\n", "upkeep.slot")
	require.NoError(t, err)
	require.Equal(t, "b", got)
	_, err = slot.Argument("root=/dev/sda2 xupkeep.slot=a", "upkeep.slot")
	require.ErrorIs(t, err, firmware.ErrUnavailable)
	_, err = slot.KernelArgument("upkeep.no_such_argument")()
	require.ErrorIs(t, err, firmware.ErrUnavailable)
}
