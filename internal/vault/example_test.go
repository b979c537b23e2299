package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"

	"github.com/upkeep-go/upkeep/internal/vault"
)

// A store holds what opens with a passphrase, and nothing that is read without.
func Example() {
	store := make(map[string][]byte)
	keys := vault.NewKeys()
	store["keys/1"] = must(keys.Slot("correct horse", "Ann's laptop"))

	text := []byte("Dear diary")
	packer := keys.NewPacker(nil)
	blob := must(packer.Add(keys.ID(text), text))
	store["packs/1"] = must(packer.Finish())
	store["heads/1"] = keys.Seal("head", "heads/1", []byte("the first"))

	// On another device:
	keys = must(vault.OpenSlot(store["keys/1"], "correct horse"))
	fmt.Printf("%s, ", must(keys.Open("head", "heads/1", store["heads/1"], 4<<10)))
	unpacker := must(keys.NewUnpacker(must(vault.ReadHeader(store["packs/1"]))))
	fmt.Printf("%s\n", must(unpacker.Open(nil, blob, store["packs/1"][blob.Offset:][:blob.Length])))

	_, err := keys.Open("head", "heads/2", store["heads/1"], 4<<10)
	fmt.Println(errors.Is(err, vault.ErrCorrupt))
	_, blobs, err := keys.Footer(bytes.NewReader(store["packs/1"]), int64(len(store["packs/1"])))
	fmt.Println(len(blobs), blobs[0] == blob, err)
	// Output:
	// the first, Dear diary
	// true
	// 1 true <nil>
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
