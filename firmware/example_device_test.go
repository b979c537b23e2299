package firmware_test

import (
	"cmp"
	"context"
	"crypto/ed25519"
	_ "embed"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// publicKey is the file that the command upkeep-feed keys has made beside the
// one that signs.
//
//go:embed testdata/upkeep.pub
var publicKey string

// encoder is the main function of a device. Its slots are the files a and b, of
// which the one that runs was started by an init, and its image says its
// version. It returns when the device is to restart, or ctx ends.
func encoder(ctx context.Context, dir, runs string, finished func(firmware.Run)) error {
	key, err := feed.ParsePublicKey(publicKey)
	if err != nil {
		return err
	}
	db, err := sqlite.Open(sqlite.Config{Path: filepath.Join(dir, "device.db")})
	if err != nil {
		return err
	}
	defer db.Close()
	slots, err := slot.Open(slot.Config{
		A: filepath.Join(dir, "a"), B: filepath.Join(dir, "b"), // of a real one: partitions, by links in /dev
		Boot:    slot.File{Path: filepath.Join(dir, "boot")}, // or slot.GRUB, or slot.Command for U-Boot
		Running: func() (string, error) { return runs, nil }, // slot.KernelArgument
	})
	if err != nil {
		return err
	}
	restarting, restart := context.WithCancel(ctx)
	defer restart()
	version := func(context.Context) (string, error) {
		image, err := os.ReadFile(filepath.Join(dir, runs))
		return strings.TrimPrefix(string(image), "image "), err
	}
	fw, err := firmware.New(firmware.Config{
		Product: "encoder", Device: "4711", Automatic: true, Store: db, Slots: slots,
		Feed:     feed.Dir(filepath.Join(dir, "feed")), // &feed.HTTP{URL: "https://updates.example.com/encoder"}
		Verifier: feed.Keys{Trusted: []ed25519.PublicKey{key}},
		Version:  version,
		Health:   func(context.Context) error { return nil },            // is there a picture?
		Reboot:   func(context.Context) error { restart(); return nil }, // slot.SystemReboot
		OnFinish: finished,
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer fw.Close()
	if err := fw.Run(restarting); restarting.Err() == nil {
		return err
	}
	return nil
}

// A whole device, on two files. Its publisher adds a release to the feed, and
// the device takes it, restarts with it, and confirms it.
func Example_device() {
	dir, err := os.MkdirTemp("", "device-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	factory := os.WriteFile(filepath.Join(dir, "a"), []byte("image 1.2.0"), 0o600)
	private := ed25519.NewKeyFromSeed([]byte("the publisher of these examples!")) // feed.ParsePrivateKey
	publisher := feed.Publisher{Dir: filepath.Join(dir, "feed"), Product: "encoder", Keys: []ed25519.PrivateKey{private}}
	_, err = publisher.Add(context.Background(), firmware.Release{Version: "1.3.0"}, strings.NewReader("image 1.3.0")) // upkeep-feed add
	if err := errors.Join(factory, err); err != nil {
		log.Fatal(err)
	}

	ctx, off := context.WithCancel(context.Background())
	finished := func(run firmware.Run) {
		fmt.Println("from", run.From, "to", run.Version, run.State)
		off()
	}
	for ctx.Err() == nil { // what an init does
		next, err := slot.Next(ctx, slot.File{Path: filepath.Join(dir, "boot")})
		runs := cmp.Or(next, slot.SlotA)
		fmt.Println("slot", runs)
		if err := errors.Join(err, encoder(ctx, dir, runs, finished)); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// slot a
	// slot b
	// from 1.2.0 to 1.3.0 succeeded
}
