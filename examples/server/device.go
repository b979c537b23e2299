package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/internal/durable"
)

const product = "demo/camera"

// device is one whose hardware is simulated: its slots are files, and a start
// of the server, as one of its own, is a start by its boot loader. The service
// that keeps it up to date knows nothing of that.
type device struct {
	dir    string
	shop   *shop
	config firmware.Config // but for what is of one start
	auth   httpadapter.Authenticator
	log    *slog.Logger
	asleep bool
	pause  time.Duration // that everything takes

	now atomic.Pointer[program]
}

// program is what an image does once it runs.
type program struct {
	service *firmware.Service
	routes  http.Handler
	restart chan struct{} // once somebody wants that
}

// deviceOptions are the flags of the device.
type deviceOptions struct {
	rate   int64         // bytes a second that it pulls, and a sign that everything takes its time
	window time.Duration // until the hour of the day begins in which it installs; 0: it always may
	asleep bool          // no feed is made, for tests of all else
}

func openDevice(
	ctx context.Context, state string, o deviceOptions, keys credentials, store firmware.Store, log *slog.Logger,
) (*device, error) {
	key, err := keys.feedKey()
	if err != nil {
		return nil, err
	}
	shop := openShop(state, key, log)
	d := &device{dir: filepath.Join(state, "device"), shop: shop, auth: keys.auth(), log: log, asleep: o.asleep}
	if err := d.deliver(); err != nil {
		return nil, err
	}
	d.config = firmware.Config{
		Product: product, Device: "camera-1", Store: store, Logger: log,
		Feed:     &feed.HTTP{URL: "http://" + keys.Addr + "/feed", AllowHTTP: true}, // which may be none of this machine's
		Verifier: shop.verifier(), ConfirmWithin: 3 * time.Second,
	}
	if o.rate > 0 {
		d.pause = 800 * time.Millisecond
		d.config.Rate = func() int64 { return o.rate }
	}
	if o.window > 0 {
		opens := time.Now().Add(o.window)
		d.config.Window = firmware.Window{
			Start: time.Duration(opens.Hour())*time.Hour + time.Duration(opens.Minute())*time.Minute, Length: time.Hour,
		}
	}
	return d, d.start(ctx)
}

// deliver makes the device as the factory does: an image in the first slot.
func (d *device) deliver() error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(d.factory()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	image, err := firstImage(images[0].Version)
	if err != nil {
		return err
	}
	if err := durable.Write(d.slot(slot.SlotA), image, 0o600); err != nil {
		return err
	}
	return durable.Write(d.factory(), image, 0o600)
}

func (d *device) factory() string         { return filepath.Join(d.dir, "factory") }
func (d *device) slot(name string) string { return filepath.Join(d.dir, name) }

// start is what happens when the device gets power: its boot loader chooses a
// slot, and the image there starts its program.
func (d *device) start(ctx context.Context) error {
	boot := slot.File{Path: filepath.Join(d.dir, "boot")}
	runs, err := slot.Next(ctx, boot)
	if err != nil {
		d.log.Warn("device: the boot loader starts what it can", "err", err)
	}
	runs = cmp.Or(runs, slot.SlotA)
	slots, err := slot.Open(slot.Config{
		A: d.slot(slot.SlotA), B: d.slot(slot.SlotB), Boot: boot, Running: func() (string, error) { return runs, nil },
	})
	if err != nil {
		return err
	}
	p := &program{restart: make(chan struct{}, 1)}
	c := d.config
	c.Slots = slowSlots{slots, d.pause}
	c.Reboot = func(context.Context) error {
		select {
		case p.restart <- struct{}{}:
		default: // it is about to
		}
		return nil
	}
	c.Version = func(context.Context) (string, error) {
		version, _, err := readFront(d.slot(runs))
		return version, err
	}
	c.Health = func(context.Context) error {
		_, health, err := readFront(d.slot(runs))
		if err == nil && health != well {
			err = fmt.Errorf("the image in slot %s says of itself that it is not well", runs)
		}
		return err
	}
	if p.service, err = firmware.New(c); err != nil {
		return err
	}
	if p.routes, err = httpadapter.New(httpadapter.Config{Firmware: p.service, Auth: d.auth, Logger: d.log}); err != nil {
		p.service.Close()
		return err
	}
	version, _, _ := readFront(d.slot(runs))
	d.log.Info("device: started", "slot", runs, "version", version)
	d.now.Store(p)
	return nil
}

// ServeHTTP is spoken by the program that runs; while the device restarts, by
// the one before, which does nothing any more but tell its state.
func (d *device) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.now.Load().routes.ServeHTTP(w, r)
}

// live lets the device live, and restart, until ctx ends.
func (d *device) live(ctx context.Context) {
	if d.asleep {
		return
	}
	var publishing sync.WaitGroup
	defer publishing.Wait()
	publishing.Go(func() {
		image, err := os.ReadFile(d.factory())
		if err == nil {
			err = d.shop.publish(ctx, image)
		}
		if err != nil && ctx.Err() == nil {
			d.log.Error("feed: not published", "err", err)
		}
	})
	for {
		p := d.now.Load()
		d.work(ctx, p)
		if ctx.Err() != nil {
			return
		}
		wait(ctx, d.pause)
		if err := d.start(ctx); err != nil {
			d.log.Error("device: it does not start", "err", err)
			return
		}
	}
}

// work runs a program until it is to restart, or ctx ends.
func (d *device) work(ctx context.Context, p *program) {
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = p.service.Run(ctx) }) // ends with ctx
	select {
	case <-p.restart:
	case <-ctx.Done():
	}
	stop()
	patience, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	_ = p.service.Shutdown(patience) // the run goes on at the next start
	running.Wait()
}

// slowSlots are those of a device on which things take their time, so that
// people can look.
type slowSlots struct {
	firmware.Slots
	pause time.Duration
}

func (s slowSlots) Pair(ctx context.Context) (firmware.Pair, error) {
	wait(ctx, s.pause)
	return s.Slots.Pair(ctx)
}

func (s slowSlots) Activate(ctx context.Context, r firmware.Release, run string) error {
	wait(ctx, s.pause)
	return s.Slots.Activate(ctx, r, run)
}

func (s slowSlots) Open(ctx context.Context, r firmware.Release) (firmware.File, error) {
	f, err := s.Slots.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	return slowFile{f, s.pause}, nil
}

type slowFile struct {
	firmware.File
	pause time.Duration
}

// ReadAt takes the pause for an image.
func (f slowFile) ReadAt(p []byte, off int64) (int, error) {
	time.Sleep(f.pause * time.Duration(len(p)) / imageSize)
	return f.File.ReadAt(p, off)
}
