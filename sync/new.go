package sync

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/closing"
	"github.com/upkeep-go/upkeep/lease"
)

const (
	maxText   = 256     // bytes of a name
	maxDevice = 255     // bytes of that of a device, or a key
	maxReason = 4 << 10 // bytes

	maxTTL = 365 * 24 * time.Hour
)

// New returns a Folder. It starts nothing. What Config lacks, or has too much of,
// is ErrInvalid.
func New(c Config) (*Folder, error) {
	if c.Store != nil && c.Locker == nil {
		c.Locker = c.Store.Locker()
	}
	if c.Store != nil && c.FolderStore == nil && c.Name != "" {
		c.FolderStore = c.Store.SyncState(c.Name)
	}
	if c.Device == "" {
		c.Device, _ = os.Hostname() // "" is refused below
	}
	if c.Owner == "" {
		host, _ := os.Hostname()
		c.Owner = cut(fmt.Sprintf("%s %d", host, os.Getpid()), maxText)
	}
	c.Interval = cmp.Or(c.Interval, 5*time.Minute)
	c.LockTTL = cmp.Or(c.LockTTL, 30*time.Second)
	c.MaxDelete.Share = cmp.Or(c.MaxDelete.Share, 0.5)
	c.MaxDelete.Files = cmp.Or(c.MaxDelete.Files, 20)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Gate == nil {
		c.Gate = func(context.Context) error { return nil }
	}
	if c.OnFinish == nil {
		c.OnFinish = func(Run) {}
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return &Folder{
		config: c, records: records{c.FolderStore}, item: lease.Item("sync", c.Name), door: closing.NewDoor(ErrClosed, errClosing),
		telling: make(map[string]bool), nudged: make(chan struct{}, 1), configures: make(chan struct{}, 1),
	}, nil
}

func (c Config) check() error {
	for _, f := range []struct {
		name string
		is   bool
	}{
		{"Name", c.Name != ""}, {"Device", c.Device != ""},
		{"Store or Config.Locker", c.Locker != nil}, {"Store or Config.FolderStore", c.FolderStore != nil},
		{"Files", c.Files != nil}, {"Remote or Config.Remotes", c.Remote != nil || c.Remotes != nil}, {"Vault", c.Vault != nil},
	} {
		if !f.is {
			return fmt.Errorf("%w: Config.%s is required", ErrInvalid, f.name)
		}
	}
	if err := fits("Config.Device", c.Device, maxDevice); err != nil {
		return err
	}
	for _, f := range []struct{ name, value string }{{"Config.Name", c.Name}, {"Config.Owner", c.Owner}} {
		if err := fits(f.name, f.value, maxText); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"Interval", c.Interval}, {"LockTTL", c.LockTTL}} {
		if f.value < time.Second {
			return fmt.Errorf("%w: Config.%s is %s, at least %s is needed", ErrInvalid, f.name, f.value, time.Second)
		}
	}
	if c.LockTTL > maxTTL {
		return fmt.Errorf("%w: Config.LockTTL is %s, at most %s is allowed", ErrInvalid, c.LockTTL, maxTTL)
	}
	if s := c.MaxDelete.Share; !(s >= 0 && s <= 1) || c.MaxDelete.Files < 0 { // nor is it no number
		return fmt.Errorf("%w: Config.MaxDelete is %v of the files and %d, it has to be 0 to 1 and not negative", ErrInvalid, s, c.MaxDelete.Files)
	}
	if _, err := ignores(c.Ignore); err != nil {
		return err
	}
	return c.Retain.check("Config.Retain")
}

func (k Retention) check(name string) error {
	if k.Age < 0 || k.Daily < 0 || k.Weekly < 0 {
		return fmt.Errorf("%w: %s is %+v, none of it may be negative", ErrInvalid, name, k)
	}
	return nil
}

func (r Request) check() error {
	switch r.Mode {
	case ModeTwoWay, ModeForcePush, ModeForcePull:
	default:
		return fmt.Errorf("%w: Request.Mode is %q", ErrInvalid, cut(r.Mode, maxText))
	}
	if r.Fresh && r.Mode != ModeTwoWay {
		return fmt.Errorf("%w: Request.Fresh is of two ways, and Request.Mode is %q", ErrInvalid, r.Mode)
	}
	for _, f := range []struct{ name, value string }{
		{"Request.Remote", r.Remote}, {"Request.Plan", r.Plan}, {"By.RequestID", r.By.RequestID},
	} {
		if err := fits(f.name, f.value, maxText); err != nil {
			return err
		}
	}
	return nil
}

// fits refuses a text of too many bytes, or with a zero byte.
func fits(name, text string, most int) error {
	if len(text) > most {
		return fmt.Errorf("%w: %s has %d bytes, at most %d are allowed", ErrInvalid, name, len(text), most)
	}
	if strings.ContainsRune(text, 0) {
		return fmt.Errorf("%w: %s has a zero byte", ErrInvalid, name)
	}
	return nil
}

// bounded cuts what people may write, so that it fits into a record.
func (b By) bounded() By {
	return By{Actor: cut(b.Actor, maxText), Reason: cut(b.Reason, maxReason), RequestID: b.RequestID}
}
