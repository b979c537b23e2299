package manifest_test

import (
	"crypto/ed25519"
	"fmt"
	"log"
	"time"

	"github.com/upkeep-go/upkeep/update/source/manifest"
)

// A publisher's key is replaced, and the program follows.
func ExampleFile_Rotate() {
	oldKey, newKey := key(1), key(2) // of ed25519.GenerateKey
	var file manifest.File
	if err := file.Rotate(manifest.Rotation{
		Product: "demo/app", Serial: 1, Keys: []ed25519.PublicKey{newKey.Public().(ed25519.PublicKey)},
	}, oldKey); err != nil {
		log.Fatal(err)
	}
	if err := file.Sign(manifest.Manifest{
		Product: "demo/app", Channel: "stable", Serial: 8, Issued: time.Now(), Expires: time.Now().AddDate(0, 1, 0),
	}, newKey); err != nil {
		log.Fatal(err)
	}
	text, err := file.Encode()
	if err != nil {
		log.Fatal(err)
	}

	var state manifest.State
	m, err := state.Accept(text, manifest.Check{
		Product: "demo/app", Channel: "stable", Now: time.Now(),
		Keys: []ed25519.PublicKey{oldKey.Public().(ed25519.PublicKey)}, // what the program was built with
	})
	fmt.Println(m.Serial, err)
	// Output: 8 <nil>
}
