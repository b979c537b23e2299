package firmware_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

var publishers []ed25519.PublicKey // whoever publishes keeps the private keys

// A device that keeps itself up to date, at night.
func Example() {
	ctx := context.Background()
	db := must(sqlite.Open(sqlite.Config{Path: "/data/device.db"}))
	defer db.Close()
	slots := must(slot.Open(slot.Config{
		A: "/dev/mmcblk0p2", B: "/dev/mmcblk0p3", Boot: slot.GRUB{Path: "/boot/grub/grubenv"}, Records: "/data/slots",
	}))
	fw := must(firmware.New(firmware.Config{
		Product: "encoder", Device: "4711", Automatic: true,
		Store: db, Slots: slots, Reboot: slot.SystemReboot,
		Feed:     &feed.HTTP{URL: "https://updates.example.com/encoder"},
		Verifier: feed.Keys{Trusted: publishers, Threshold: 2},
		Window:   firmware.Window{Start: 2 * time.Hour, Length: time.Hour}, // from two to three
		Health:   healthy,
	}))
	defer fw.Close()
	check(fw.Run(ctx)) // checks, pulls, installs, restarts, and confirms or goes back
}

// By hand.
func ExampleService_Update() {
	ctx, fw := context.Background(), service()
	plan := must(fw.Plan(ctx, firmware.Request{}))
	fmt.Println(plan.From, "→", plan.Release.Version, plan.Pull[firmware.WayPatch], "bytes")

	run, err := fw.Update(ctx, firmware.Request{Plan: plan.ID, By: firmware.By{Actor: "ann"}})
	switch {
	case errors.Is(err, firmware.ErrUpToDate):
		fmt.Println("nothing to do")
	case errors.Is(err, firmware.ErrRestarting):
		fmt.Println(run.Version, "is on trial from the next start on")
	default:
		fmt.Println(run.State, err) // failed, and why: the old image goes on
	}
}

// A run, for a person at a terminal.
func ExamplePrint() {
	ctx, fw := context.Background(), service()
	run := must(fw.Start(ctx, firmware.Request{By: firmware.By{Actor: "ann"}}))
	check(firmware.Print(os.Stdout, fw.Follow(ctx, run.ID)))
}

// After the restart: keep the new image or go back, in a program that does not
// leave it to Run.
func ExampleService_Confirm() {
	ctx, fw := context.Background(), service()
	run := must(fw.Status(ctx)).Run
	if run == nil || run.State != firmware.StateTrial {
		return
	}
	by := firmware.By{Actor: "self-test"}
	if err := healthy(ctx); err != nil {
		by.Reason = err.Error()
		must(fw.Rollback(ctx, run.ID, by)) // restarts
		return
	}
	check(fw.Confirm(ctx, by))
}

// A run that waits for its window, and somebody who does not.
func ExampleService_Apply() {
	ctx, fw := context.Background(), service()
	run := must(fw.Status(ctx)).Run
	if run != nil && run.State == firmware.StateWaiting {
		fmt.Println(run.Version, run.Reason) // 1.3.0 the window opens on Monday at 02:00
		check(fw.Apply(ctx, run.ID, firmware.By{Actor: "ann"}))
	}
}

// A file from a USB stick.
func ExampleService_Upload() {
	ctx, fw := context.Background(), service()
	bundle := must(os.Open("/media/usb/encoder-1.3.0.bundle"))
	defer bundle.Close()
	run := must(fw.Upload(ctx, bundle, firmware.By{Actor: "field service"}))
	fmt.Println(run.Version, run.State)
}

// A report to a server of yours that loses nothing.
func ExampleService_Watch() {
	ctx, fw := context.Background(), service()
	var reported int64 // kept with what the server has acknowledged
	for e, err := range fw.Watch(ctx, reported) {
		check(err) // firmware.ErrCompacted: nobody has read it for a month
		report(e.Seq, e.Run, e.Kind, e.Message)
	}
}

// A test of an application: a feed in a folder, a device in memory, and the
// real service between them.
func Example_inATest() {
	ctx, dir := context.Background(), must(os.MkdirTemp("", "feed-")) // t.TempDir()
	defer os.RemoveAll(dir)
	public, private, _ := ed25519.GenerateKey(nil)
	publisher := feed.Publisher{Dir: dir, Product: "encoder", Keys: []ed25519.PrivateKey{private}}
	must(publisher.Add(ctx, firmware.Release{Version: "1.3.0"}, bytes.NewReader([]byte("new image"))))

	device := slot.NewSimulator("1.2.0", []byte("old image"))
	config := firmware.Config{
		Product: "encoder", Device: "test", Store: memory.New(), Slots: device, Reboot: device.Reboot,
		Feed: feed.Dir(dir), Verifier: feed.Keys{Trusted: []ed25519.PublicKey{public}},
		Logger: slog.New(slog.DiscardHandler),
	}
	fw := must(firmware.New(config))
	run, err := fw.Update(ctx, firmware.Request{})
	fmt.Println(run.State, errors.Is(err, firmware.ErrRestarting))
	check(fw.Close()) // the program ends with the old image

	fw = must(firmware.New(config)) // the program that starts with the new image
	defer fw.Close()
	check(fw.Confirm(ctx, firmware.By{Actor: "test"}))
	run = must(fw.Wait(ctx, run.ID))
	fmt.Printf("%s %s, the device runs a %s\n", run.Version, run.State, device.Image())
	// Output:
	// restarting true
	// 1.3.0 succeeded, the device runs a new image
}

func service() *firmware.Service                       { return nil } // firmware.New, as above
func healthy(context.Context) error                    { return nil }
func report(int64, string, firmware.EventKind, string) {}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
