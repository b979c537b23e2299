package vault

import (
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/upkeep-go/upkeep/internal/vault"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// Vault is a cloudsync.Vault. It is safe for concurrent use.
type Vault struct{ passphrase string }

var _ cloudsync.Vault = (*Vault)(nil)

// New returns a Vault with a passphrase of any length. It may be empty on a device
// that has opened the remote before: its Store keeps the keys.
func New(passphrase string) *Vault { return &Vault{passphrase} }

// Format implements fmt.Formatter: a passphrase is in no log.
func (v *Vault) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("vault")) }

// Draw implements cloudsync.Vault.
func (v *Vault) Draw() cloudsync.Keys { return keysOf(vault.NewKeys()) }

// Load implements cloudsync.Vault.
func (v *Vault) Load(bytes []byte) (cloudsync.Keys, error) {
	k, err := vault.ParseKeys(bytes)
	if err != nil {
		return nil, translated(err)
	}
	return keysOf(k), nil
}

// Lock implements cloudsync.Vault.
func (v *Vault) Lock(k cloudsync.Keys, name, passphrase string) ([]byte, error) {
	if passphrase == "" {
		passphrase = v.passphrase
	}
	if passphrase == "" {
		return nil, fmt.Errorf("%w: it is empty", cloudsync.ErrPassphrase)
	}
	own, err := vault.ParseKeys(k.Bytes())
	if err != nil {
		return nil, translated(err)
	}
	slot, err := own.Slot(passphrase, name)
	return slot, translated(err)
}

// Unlock implements cloudsync.Vault.
func (v *Vault) Unlock(slot []byte) (cloudsync.Keys, error) {
	if v.passphrase == "" {
		return nil, fmt.Errorf("%w: it is empty", cloudsync.ErrPassphrase)
	}
	k, err := vault.OpenSlot(slot, v.passphrase)
	if err != nil {
		return nil, translated(err)
	}
	return keysOf(k), nil
}

// Name implements cloudsync.Vault.
func (v *Vault) Name(k cloudsync.Keys, slot []byte) (string, error) {
	own, err := vault.ParseKeys(k.Bytes())
	if err != nil {
		return "", translated(err)
	}
	name, err := own.SlotName(slot)
	return name, translated(err)
}

// keys are cloudsync.Keys.
type keys struct {
	*vault.Keys
	last *atomic.Pointer[opened]
}

// opened is the pack of which a blob was opened last: others of it are likely to be
// the next.
type opened struct {
	header [32]byte
	by     *vault.Unpacker
}

func keysOf(k *vault.Keys) keys { return keys{k, new(atomic.Pointer[opened])} }

func (k keys) Repository() string {
	id := k.Keys.Repository()
	return hex.EncodeToString(id[:])
}

func (k keys) Seal(kind cloudsync.ObjectKind, name string, content []byte) []byte {
	return k.Keys.Seal(vault.Kind(kind), name, content)
}

func (k keys) Open(kind cloudsync.ObjectKind, name string, object []byte, most int) ([]byte, error) {
	content, err := k.Keys.Open(vault.Kind(kind), name, object, most)
	return content, translated(err)
}

func (k keys) NewPacker(spare []byte) cloudsync.Packer { return packer{k.Keys.NewPacker(spare)} }

func (k keys) OpenBlob(dst []byte, header [32]byte, b cloudsync.Blob, sealed []byte) ([]byte, error) {
	pack := k.last.Load()
	if pack == nil || pack.header != header {
		u, err := k.NewUnpacker(header)
		if err != nil {
			return nil, translated(err)
		}
		pack = &opened{header, u}
		k.last.Store(pack)
	}
	content, err := pack.by.Open(dst, vault.Blob{ID: b.ID, Offset: int(b.Offset), Length: b.Length, Size: b.Size}, sealed)
	return content, translated(err)
}

type packer struct{ *vault.Packer }

func (p packer) Add(id [32]byte, content []byte) (cloudsync.Blob, error) {
	b, err := p.Packer.Add(id, content)
	return cloudsync.Blob{ID: b.ID, Offset: int64(b.Offset), Length: b.Length, Size: b.Size}, err
}

func (p packer) Header() [32]byte { return p.Packer.Header() }

// translated is an error in the words of package sync.
func translated(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, vault.ErrPassphrase):
		return fmt.Errorf("%w: it is another one", cloudsync.ErrPassphrase)
	}
	return fmt.Errorf("%w: %w", cloudsync.ErrCorrupt, err)
}
