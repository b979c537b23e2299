package slot_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/slot"
)

// A device of two partitions would have them as A and B, such as by links in
// /dev/disk/by-partlabel, its Records on a partition of data, and as Boot
// slot.GRUB{Path: "/boot/grub/grubenv"}, with the script in grub.cfg, from which
// the program that runs is told by slot.KernelArgument("upkeep.slot").
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "device")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	a := filepath.Join(dir, "a.img")
	if err := os.WriteFile(a, []byte("image of the factory"), 0o600); err != nil {
		log.Fatal(err)
	}
	slots, err := slot.Open(slot.Config{
		A: a, B: filepath.Join(dir, "b.img"),
		Boot:    slot.File{Path: filepath.Join(dir, "variables")},
		Running: func() (string, error) { return slot.SlotA, nil },
	})
	if err != nil {
		log.Fatal(err)
	}
	pair, err := slots.Pair(context.Background())
	fmt.Println("confirmed:", pair.Confirmed, "a way back:", pair.Other.Whole, err)
	// Output: confirmed: true a way back: false <nil>
}

// A device with U-Boot.
func ExampleCommand() {
	boot := slot.Command{Get: []string{"fw_printenv"}, Set: []string{"fw_setenv", "-s", "-"}} // see uboot.cmd
	boot.Get = []string{"echo", "upkeep_slot=a"}                                              // for this example
	vars, err := boot.Read(context.Background())
	fmt.Println(vars.Slot, err)
	// Output: a <nil>
}

// What an init does that starts one of two images by itself.
func ExampleNext() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "boot")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	boot := slot.File{Path: filepath.Join(dir, "variables")}
	if err := boot.Write(ctx, slot.Vars{Slot: "a", Try: "b"}); err != nil {
		log.Fatal(err)
	}
	for range 3 {
		next, err := slot.Next(ctx, boot)
		fmt.Println(next, err)
	}
	// Output:
	// b <nil>
	// a <nil>
	// a <nil>
}

// A device in a test: its new image does not come up.
func ExampleNewSimulator() {
	ctx := context.Background()
	device := slot.NewSimulator("1.0.0", []byte("good image"))
	image := []byte("bad image")
	release := firmware.Release{Version: "1.1.0", Size: int64(len(image)), Digest: sha256.Sum256(image)}
	file, err := device.Open(ctx, release)
	if err != nil {
		log.Fatal(err)
	}
	_, err = file.WriteAt(image, 0)
	if err := errors.Join(err, file.Sync(), file.Close(), device.Activate(ctx, release, "run 1")); err != nil {
		log.Fatal(err)
	}
	device.Inject(slot.Faults{Start: func(string) error {
		if bytes.HasPrefix(device.Image(), []byte("bad")) {
			return errors.New("kernel panic")
		}
		return nil
	}})
	if err := device.Reboot(ctx); err != nil {
		log.Fatal(err)
	}
	pair, err := device.Pair(ctx)
	fmt.Println(pair.Running.Version, pair.Other.Version, pair.Other.Tries, err)
	// Output: 1.0.0 1.1.0 1 <nil>
}
