package sync_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/vault"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// sealed is a Sealer of a vault's keys.
type sealed struct{ *vault.Keys }

func (s sealed) Repository() string {
	id := s.Keys.Repository()
	return hex.EncodeToString(id[:])
}

func (s sealed) Seal(kind cloudsync.ObjectKind, name string, content []byte) []byte {
	return s.Keys.Seal(vault.Kind(kind), name, content)
}

func (s sealed) Open(kind cloudsync.ObjectKind, name string, object []byte, most int) ([]byte, error) {
	content, err := s.Keys.Open(vault.Kind(kind), name, object, most)
	return content, corrupt(err)
}

func (s sealed) NewPacker() cloudsync.Packer { return packer{s.Keys.NewPacker(nil)} }

func (s sealed) OpenBlob(header [32]byte, b cloudsync.Blob, data []byte) ([]byte, error) {
	u, err := s.Keys.NewUnpacker(header)
	if err != nil {
		return nil, corrupt(err)
	}
	content, err := u.Open(nil, vault.Blob{ID: b.ID, Offset: int(b.Offset), Length: b.Length, Size: b.Size}, data)
	return content, corrupt(err)
}

func corrupt(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", cloudsync.ErrCorrupt, err)
}

type packer struct{ *vault.Packer }

func (p packer) Add(id [32]byte, content []byte) (cloudsync.Blob, error) {
	b, err := p.Packer.Add(id, content)
	return cloudsync.Blob{ID: b.ID, Offset: int64(b.Offset), Length: b.Length, Size: b.Size}, err
}

func (p packer) Header() [32]byte { return p.Packer.Header() }

func TestARemoteCannotReadWhatItKeeps(t *testing.T) {
	w := newWorld(t, 2)
	keys := sealed{vault.NewKeys()}
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
