package feed_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/storage/memory"
)

// A release is published, and a device in memory takes it.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "feed-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	public, private, err := ed25519.GenerateKey(nil) // once: upkeep-feed keys
	if err != nil {
		log.Fatal(err)
	}
	publisher := feed.Publisher{Dir: dir, Product: "encoder", Keys: []ed25519.PrivateKey{private}}
	if _, err := publisher.Add(ctx, firmware.Release{Version: "1.3.0"}, bytes.NewReader([]byte("new image"))); err != nil {
		log.Fatal(err)
	}

	device := slot.NewSimulator("1.2.0", []byte("old image"))
	fw, err := firmware.New(firmware.Config{
		Product: "encoder", Device: "test", Store: memory.New(), Slots: device, Reboot: device.Reboot,
		Feed:     feed.Dir(dir), // or &feed.HTTP{URL: "https://updates.example.com/encoder"}
		Verifier: feed.Keys{Trusted: []ed25519.PublicKey{public}},
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer fw.Close()
	run, err := fw.Update(ctx, firmware.Request{})
	fmt.Println(run.Version, errors.Is(err, firmware.ErrRestarting))
	fmt.Println(string(device.Image()))
	// Output:
	// 1.3.0 true
	// new image
}
