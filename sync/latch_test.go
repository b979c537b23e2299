package sync_test

import (
	"crypto/rand"
	"fmt"
	"strings"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// latch is a Vault that hides nothing, and costs nothing.
type latch string

// latched are its keys: the name of the repository.
type latched struct {
	plain
	name string
}

func (l latched) Repository() string { return l.name }
func (l latched) Bytes() []byte      { return []byte(l.name) }

func (latch) Draw() cloudsync.Keys { return latched{name: strings.ToLower(rand.Text())} }

func (latch) Load(bytes []byte) (cloudsync.Keys, error) { return latched{name: string(bytes)}, nil }

func (l latch) Lock(k cloudsync.Keys, name, passphrase string) ([]byte, error) {
	if passphrase == "" {
		passphrase = string(l)
	}
	if passphrase == "" {
		return nil, cloudsync.ErrPassphrase
	}
	return fmt.Appendf(nil, "%s|%s|%s", passphrase, name, k.Bytes()), nil
}

func (l latch) Unlock(slot []byte) (cloudsync.Keys, error) {
	part := strings.Split(string(slot), "|")
	if l == "" {
		return nil, fmt.Errorf("%w: it is empty", cloudsync.ErrPassphrase)
	}
	if part[0] != string(l) {
		return nil, cloudsync.ErrPassphrase
	}
	return latched{name: part[2]}, nil
}

func (latch) Name(k cloudsync.Keys, slot []byte) (string, error) {
	part := strings.Split(string(slot), "|")
	if part[2] != string(k.Bytes()) {
		return "", cloudsync.ErrCorrupt
	}
	return part[1], nil
}

func (l latched) Seal(kind cloudsync.ObjectKind, name string, content []byte) []byte {
	return l.plain.Seal(kind, l.name+name, content)
}

func (l latched) Open(kind cloudsync.ObjectKind, name string, object []byte, most int) ([]byte, error) {
	return l.plain.Open(kind, l.name+name, object, most)
}
