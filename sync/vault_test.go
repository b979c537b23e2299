package sync_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/vault"
)

func TestARemoteCannotReadWhatItKeeps(t *testing.T) {
	w := newWorld(t, 2)
	keys := vault.New("secret").Draw()
	w.planted = func(c *cloudsync.EngineConfig, _ use, _ mount, _ bool) { c.Sealer = keys }
	a, b := w.devices[0], w.devices[1]
	a.disk.write("diary.md", strings.Repeat("dear diary ", 1000))
	a.disk.write("d/photo", string(bytes.Repeat([]byte("a large one "), 100_000)))
	w.must(a)
	w.must(b)
	w.equal()
	b.disk.write("diary.md", "nothing new")
	w.must(b)
	w.must(a)
	w.equal()
	for name, object := range w.cloud.content {
		for _, secret := range []string{"diary", "photo", "a large one", `"seq"`} {
			require.NotContains(t, string(object), secret, name)
			require.NotContains(t, name, secret)
		}
		object[len(object)/2] ^= 1
		p := new(process)
		fresh := newWorld(t, 1)
		fresh.cloud, fresh.planted = w.cloud, w.planted
		_, err := fresh.sync(fresh.devices[0], p, cloudsync.Request{})
		if strings.HasPrefix(name, "heads/") && name != cloudsync.HeadName(2) {
			require.NoError(t, err)
		} else if err != nil {
			require.ErrorIs(t, err, cloudsync.ErrCorrupt, name)
		} else {
			require.Equal(t, a.disk.String(), fresh.devices[0].disk.String(), name)
		}
		object[len(object)/2] ^= 1
	}
}
