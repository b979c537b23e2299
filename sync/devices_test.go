package sync_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// copyOf returns a device that was copied: its folder, and all that it knows.
func (d *desk) copyOf(name string) *desk {
	c := newDesk(d.t, name, d.c.Remote, nil)
	for path, n := range d.disk.all {
		same := *n
		c.disk.all[path] = &same
	}
	c.disk.now, c.disk.born = d.disk.now, d.disk.born
	var entries []cloudsync.Entry
	for e, err := range d.store.SyncState("notes").List(context.Background(), "") {
		require.NoError(d.t, err)
		entries = append(entries, cloudsync.Entry{Key: e.Key, Value: bytes.Clone(e.Value)})
	}
	_, err := c.store.SyncState("notes").Update(context.Background(), 0, entries)
	require.NoError(d.t, err)
	return c
}

// devices are those of Status.
func (d *desk) devices() map[string]bool {
	status, err := d.Status(d.t.Context())
	require.NoError(d.t, err)
	all := make(map[string]bool)
	for _, device := range status.Devices {
		require.NotEmpty(d.t, device.Commit)
		all[device.Name] = device.Cloned
	}
	return all
}

func TestADeviceThatWasCopiedLosesNothingAndIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := memory.New().Remote("notes")
		a, b := newDesk(t, "laptop", cloud, nil), newDesk(t, "phone", cloud, nil)
		a.disk.write("a", "one")
		a.sync(cloudsync.Request{})
		b.sync(cloudsync.Request{})
		b.disk.write("b", "two")
		b.sync(cloudsync.Request{})
		a.sync(cloudsync.Request{})
		require.Equal(t, map[string]bool{"laptop": false, "phone": false}, a.devices())
		twin := a.copyOf("laptop")
		for i, content := range []string{"first", "second", "third"} {
			a.disk.write("a", content)
			twin.disk.write("twin", content)
			twin.disk.write("a", content+" of the twin")
			a.sync(cloudsync.Request{})
			twin.sync(cloudsync.Request{})
			if i > 0 {
				require.True(t, a.devices()["laptop"])
			}
			require.True(t, twin.devices()["laptop"])
			require.False(t, twin.devices()["phone"])
		}
		a.sync(cloudsync.Request{})
		b.sync(cloudsync.Request{})
		for _, d := range []*desk{twin, b} {
			require.Equal(t, a.disk.String(), d.disk.String())
		}
		for _, content := range []string{"third", "third of the twin"} {
			require.Contains(t, a.disk.String(), content)
		}
		twin.c.Device = "desktop"
		twin.open()
		twin.sync(cloudsync.Request{Fresh: true})
		twin.disk.write("twin", "itself")
		twin.sync(cloudsync.Request{})
		a.sync(cloudsync.Request{})
		require.False(t, twin.devices()["desktop"])
		require.False(t, twin.devices()["laptop"])
	})
}
