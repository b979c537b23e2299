package firmware

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/upkeep-go/upkeep/internal/closing"
	"github.com/upkeep-go/upkeep/lease"
)

// Config configures a Service. A zero field means its documented default.
type Config struct {
	Product  string // required: releases of other products are refused
	Hardware string // this device's revision; default: any release fits
	// Device is required: what tells this device from others of its product,
	// such as its serial number. It names the record in Store and the device's
	// place in a cohort.
	Device string

	Store       Store        // required, unless Locker and DeviceStore are set
	Locker      lease.Locker // default: that of Store
	DeviceStore DeviceStore  // default: that of Store for Device

	Feed     Feed     // required: where catalogs and images come from
	Verifier Verifier // required: whose signatures count
	Slots    Slots    // required: where images go
	// Reboot restarts the device. Required. It may return before it happens, and
	// returns when ctx ends, after 10 minutes: then it is asked again.
	Reboot func(ctx context.Context) error
	// Version tells the version of the running image; Status asks too, until the
	// slots were looked at. Default: what Slots knows of it, which is nothing of
	// an image for which a factory wrote no record: such a device is offered what
	// is there, and takes none of it by itself.
	Version func(ctx context.Context) (string, error)
	// OSName names the operating system. Default: PRETTY_NAME of os-release.
	OSName string

	// Automatic makes Run update to what its checks find, but never again to
	// the bytes of a release that has fallen back, until somebody asks for it.
	// While Settings.Checks is false it does not, whatever somebody else finds.
	Automatic bool
	// Window is when a run may install and restart, unless Apply is called.
	// Default: at any time.
	Window Window
	// Gate may hold a run before it pulls, installs and restarts, in the Window
	// too. Default: nothing is held.
	Gate Gate
	// Health decides, in Run, whether a new image is confirmed. It is asked
	// again until ConfirmWithin is over, which its ctx ends with; it must return
	// then. Default: the application calls Confirm.
	Health func(ctx context.Context) error
	// ConfirmWithin is how long Run lets a new image run unconfirmed before it
	// goes back, by a clock that does not jump, and however often the program
	// begins anew. An image that has started more than three times
	// without being confirmed has failed too. Default 10 minutes.
	ConfirmWithin time.Duration

	// Interval is the time between the checks of Run, each at a moment of its
	// own within it. Default 24 hours; negative: none, until Configure.
	Interval    time.Duration
	Prereleases bool // offer them too, until Configure says otherwise
	// Disabled refuses every update with ErrDisabled, and cancels one that an
	// earlier process has left before its restart. What is on trial is judged.
	Disabled bool
	// Rate limits what a run pulls, and beside it a check or a plan; it is asked
	// every second. Default: no limit, which also is what 0 means.
	Rate func() (bytesPerSecond int64)
	// Stall is how long one request may go without a byte before it is made
	// again. Default 1 minute.
	Stall time.Duration
	// GiveUp is how long a run may go without a durable segment before it has
	// failed; until then it tries again, at least once an hour. Default 7 days.
	GiveUp time.Duration

	LockTTL time.Duration // how long the lease of a dead process lasts; default 30 seconds, at least 1 second
	Owner   string        // names this process in leases and runs; default: host name and process id
	// OnFinish is told of every run that has ended, at least once, after its
	// lease is free. It is called on a goroutine that Shutdown and Close wait
	// for, and does not call them. Default: nothing.
	OnFinish func(Run)
	Logger   *slog.Logger // default slog.Default()
}

// Request asks for an update.
type Request struct {
	// Version is a version of the catalog, or "" for the newest that fits this
	// device, its cohort and its channel. Naming one leaves cohort and channel
	// out of account, and tries again what was rolled back. At most 256 bytes.
	Version string
	// AllowDowngrade allows a version below the running one, never an epoch
	// below the floor.
	AllowDowngrade bool
	Plan           string // the ID of a Plan, to do only what was planned; else ErrStale
	By             By
}

// By says who asks for something, and why.
type By struct {
	Actor  string // at most 256 bytes
	Reason string // at most 4 KiB
	// RequestID makes a repeated request to begin a run return the run that the
	// first one began. At most 256 bytes.
	RequestID string
}

// String is "by Actor: Reason", without what is not known.
func (b By) String() string {
	switch {
	case b.Actor == "":
		return b.Reason
	case b.Reason == "":
		return "by " + b.Actor
	}
	return "by " + b.Actor + ": " + b.Reason
}

// Settings are what an operator may change while the device runs. Config has
// the first values.
type Settings struct {
	Checks      bool // Run checks at every Interval
	Prereleases bool // checks offer pre-releases too
}

// New returns a Service. It starts nothing.
func New(c Config) (*Service, error) {
	if c.Store != nil && c.Locker == nil {
		c.Locker = c.Store.Locker()
	}
	if c.Store != nil && c.DeviceStore == nil && c.Device != "" {
		c.DeviceStore = c.Store.Firmware(c.Device)
	}
	c.ConfirmWithin = cmp.Or(c.ConfirmWithin, 10*time.Minute)
	c.Stall = cmp.Or(c.Stall, time.Minute)
	c.GiveUp = cmp.Or(c.GiveUp, 7*24*time.Hour)
	c.LockTTL = cmp.Or(c.LockTTL, 30*time.Second)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	first := Settings{Checks: c.Interval >= 0, Prereleases: c.Prereleases}
	if c.Interval <= 0 {
		c.Interval = 24 * time.Hour
	}
	if c.Gate == nil {
		c.Gate = func(context.Context, Run, Step) error { return nil }
	}
	c.Gate = both(c.Window, c.Gate)
	if c.OnFinish == nil {
		c.OnFinish = func(Run) {}
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return &Service{
		config: c, first: first, item: lease.Item("firmware", c.Device), began: time.Now(),
		door: closing.NewDoor(ErrClosed, errClosing), telling: map[string]bool{},
		plans: newPlanner(),
	}, nil
}

func (c Config) check() error {
	for _, f := range []struct {
		name string
		is   bool
	}{
		{"Product", c.Product != ""}, {"Device", c.Device != ""},
		{"Store or Config.Locker", c.Locker != nil}, {"Store or Config.DeviceStore", c.DeviceStore != nil},
		{"Feed", c.Feed != nil}, {"Verifier", c.Verifier != nil}, {"Slots", c.Slots != nil}, {"Reboot", c.Reboot != nil},
	} {
		if !f.is {
			return fmt.Errorf("%w: Config.%s is required", ErrInvalid, f.name)
		}
	}
	for _, f := range []struct {
		name  string
		value time.Duration
		least time.Duration
	}{
		{"ConfirmWithin", c.ConfirmWithin, time.Second}, {"Interval", c.Interval, time.Second},
		{"Stall", c.Stall, time.Second}, {"GiveUp", c.GiveUp, time.Second}, {"LockTTL", c.LockTTL, time.Second},
	} {
		if f.value < f.least {
			return fmt.Errorf("%w: Config.%s is %s, at least %s is needed", ErrInvalid, f.name, f.value, f.least)
		}
	}
	if err := c.Window.check(); err != nil {
		return err
	}
	for _, f := range []struct{ name, value string }{
		{"Config.Product", c.Product}, {"Config.Device", c.Device}, {"Config.Hardware", c.Hardware}, {"Config.Owner", c.Owner},
	} {
		if err := fits(f.name, f.value, maxName); err != nil {
			return err
		}
	}
	return nil
}
