package httpadapter_test

import (
	"encoding/json"

	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/vault"
)

// latch is a Vault whose slots hide nothing and cost nothing, unlike those that a
// passphrase opens. All else is as of package vault.
type latch struct{ *vault.Vault }

func newLatch() latch { return latch{vault.New("")} }

type keySlot struct {
	Name, Passphrase string
	Keys             []byte
}

func (latch) Lock(k cloudsync.Keys, name, passphrase string) ([]byte, error) {
	return json.Marshal(keySlot{name, passphrase, k.Bytes()})
}

// Unlock opens what was locked with the Vault's own passphrase.
func (l latch) Unlock(text []byte) (cloudsync.Keys, error) {
	var s keySlot
	if err := json.Unmarshal(text, &s); err != nil || s.Passphrase != "" {
		return nil, cloudsync.ErrPassphrase
	}
	return l.Load(s.Keys)
}

func (latch) Name(k cloudsync.Keys, text []byte) (string, error) {
	var s keySlot
	if err := json.Unmarshal(text, &s); err != nil || string(s.Keys) != string(k.Bytes()) {
		return "", cloudsync.ErrCorrupt
	}
	return s.Name, nil
}
