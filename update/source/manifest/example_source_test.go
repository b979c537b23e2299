package manifest_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/upkeep-go/upkeep/update/source/manifest"
)

// A program that believes only what its publisher has signed, and nothing old.
func ExampleSource() {
	// The publisher's side, which is otherwise done by upkeep-manifest.
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		log.Fatal(err)
	}
	sum := sha256.Sum256([]byte("the program"))
	var file manifest.File
	if err := file.Sign(manifest.Manifest{
		Product: "demo/app", Channel: "stable", Serial: 1, Issued: time.Now(), Expires: time.Now().AddDate(0, 1, 0),
		Releases: []manifest.Release{{Version: "1.1.0", Artifacts: []manifest.Artifact{
			{OS: "linux", Arch: "amd64", URL: "dist/app_1.1.0_linux_amd64.tar.gz", Size: 11, SHA256: sum[:]},
		}}},
	}, private); err != nil {
		log.Fatal(err)
	}
	text, err := file.Encode()
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }))
	defer server.Close()

	// The program's side.
	dir, err := os.MkdirTemp("", "example-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	m := &manifest.Source{
		URL:   server.URL + "/manifest.json",
		Keys:  []ed25519.PublicKey{public},
		State: manifest.StateFile(filepath.Join(dir, "manifest.state")),
		OS:    "linux", Arch: "amd64",
	}
	for r, err := range m.Versions(context.Background(), "demo/app") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %d bytes, SHA-256 %x...\n", r.Version, r.Size, r.Digest[:4])
	}
	// Output: 1.1.0: 11 bytes, SHA-256 50fda23b...
}
