package firmware_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/slot"
)

// world is a device to which anything may happen, and the processes on it.
type world struct {
	*device
	watched  *watched
	mutant   mutant
	procs    []*process
	releases []firmware.Release
	images   map[[32]byte][]byte
	poor     map[[32]byte]bool // images that do not come up
	epoch    int64

	opened firmware.File // of a mutant, as shown is
	shown  map[[32]byte][]byte

	mu     sync.Mutex
	faults faults
	due    time.Time // when the device restarts that was asked to; or zero
	words  []string  // what was done
	why    string    // the first promise that was broken
}

// faults are what goes wrong from now on.
type faults struct {
	feed, reboot       string
	unwell, shut, poor bool
	dark               bool // no image comes up
	write, sync        int  // the so many-th fails
	loader             slot.Faults
}

// What goes wrong with a feed, and with a restart.
var (
	feedFaults = []string{
		"is as it should be", "is down", "has nothing but the catalog", "flips a bit", "cuts bodies short", "does not answer", "has old catalogs",
	}
	rebootFaults = []string{"happens at once", "takes a while", "does not happen", "is an error"}
)

// small is the size of a segment, which makes histories short.
const small = firmware.MinSegment

var kept sync.Map // images by their number and size

// imageOf is the n-th image.
func imageOf(n, size int) []byte {
	image, _ := kept.LoadOrStore([2]int{n, size}, noise(byte(n), size))
	return image.([]byte)
}

func newWorld(t *testing.T, m mutant) *world {
	w := &world{device: newDevice(t), mutant: m, shown: map[[32]byte][]byte{}, images: map[[32]byte][]byte{}, poor: map[[32]byte]bool{}}
	w.shop.segment = small
	factory := imageOf(0, 3*small+5)
	w.sim = slot.NewSimulator("1.2.0", factory)
	w.images[sha256.Sum256(factory)] = factory
	w.watched = &watched{DeviceStore: w.db.Firmware("4711"), w: w, ended: map[string]int{}, fell: map[[32]byte]bool{}}
	w.shop.fail, w.shop.body = w.feedFails, w.feedSpoils
	w.inject()
	w.start()
	return w
}

// process is one process on the device.
type process struct {
	*life
	fw   *firmware.Service
	stop context.CancelFunc
	ran  sync.WaitGroup
}

// start begins another process, of which the device has two at most.
func (w *world) start() {
	if len(w.procs) > 1 {
		return
	}
	p := &process{life: newLife(0, false)}
	c := w.config
	c.Logger = slog.New(slog.DiscardHandler)
	c.Automatic, c.Interval, c.ConfirmWithin, c.GiveUp = true, time.Hour, 5*time.Minute, 3*time.Hour
	c.Health = func(context.Context) error { return w.broken(func(f *faults) bool { return f.unwell }) }
	c.Gate = func(context.Context, firmware.Run, firmware.Step) error {
		return w.broken(func(f *faults) bool { return f.shut })
	}
	c.Store, c.Locker, c.DeviceStore, c.Slots = nil, w.db.Locker(), w.watched, w.sim
	c.Reboot = func(context.Context) error { return w.reboot(p) }
	if w.mutant.breaks != nil {
		w.mutant.breaks(w, &c)
	}
	var err error
	if p.fw, err = firmware.New(p.ends(c)); err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.ran.Go(func() { _ = p.fw.Run(ctx) })
	w.procs = append(w.procs, p)
	synctest.Wait() // it looks at the feed at once
}

// close ends the processes.
func (w *world) close() {
	for _, p := range w.procs {
		p.stop()
		_ = p.fw.Close()
		p.ran.Wait()
	}
	w.procs = nil
}

// kill kills them: nothing that they do has an effect any more.
func (w *world) kill() {
	for _, p := range w.procs {
		p.end()
	}
	synctest.Wait()
	w.close()
}

func (w *world) end() { w.kill() }

// boot starts the device, which has no processes any more, and a process on it.
func (w *world) boot(how func(context.Context) error) {
	w.lock(func() { w.due = time.Time{} })
	if err := how(w.t.Context()); err != nil {
		w.fail("no image is started: %v", err)
	}
	w.start()
}

// reboot is what a process asks for.
func (w *world) reboot(p *process) (err error) {
	w.lock(func() {
		switch w.faults.reboot {
		case "does not happen":
		case "is an error":
			err = errBroken
		case "takes a while":
			w.due = time.Now().Add(3 * time.Second)
		default:
			p.end()
			w.due = time.Now()
		}
	})
	return err
}

// settle lets happen what was to happen by now.
func (w *world) settle() {
	synctest.Wait()
	due := false
	w.lock(func() { due = !w.due.IsZero() && !time.Now().Before(w.due) })
	if due {
		w.note("the device restarts")
		w.kill()
		w.boot(w.sim.Reboot)
	}
	for i := len(w.procs) - 1; i >= 0; i-- {
		if p := w.procs[i]; p.gone() {
			w.note("a process has ended in %q", p.last)
			synctest.Wait()
			_ = p.fw.Close()
			p.stop()
			p.ran.Wait()
			w.procs = append(w.procs[:i:i], w.procs[i+1:]...)
		}
	}
	if len(w.procs) == 0 {
		w.start()
	}
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	for end := time.Now().Add(d); ; {
		w.settle()
		left := time.Until(end)
		if left <= 0 || w.failed() {
			return
		}
		time.Sleep(min(left, max(time.Second, left/16)))
	}
}

func (w *world) lock(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// broken returns an error if that is what was asked for.
func (w *world) broken(is func(*faults) bool) (err error) {
	w.lock(func() {
		if is(&w.faults) {
			err = errBroken
		}
	})
	return err
}

// inject makes the faults those of the simulator too.
func (w *world) inject() {
	var f slot.Faults
	w.lock(func() { f = w.faults.loader })
	f.Write = func(where string, _ int64, _ []byte) error {
		if where == w.sim.Running() {
			w.fail("the slot that runs is written")
		}
		return w.broken(func(f *faults) bool { f.write--; return f.write == 0 })
	}
	f.Sync = func(string) error { return w.broken(func(f *faults) bool { f.sync--; return f.sync == 0 }) }
	f.Start = func(string) error {
		digest := sha256.Sum256(w.sim.Image())
		if _, whole := w.images[digest]; !whole {
			w.fail("an image is started that is not whole")
		}
		return w.broken(func(f *faults) bool { return f.dark || w.poor[digest] })
	}
	w.sim.Inject(f)
}

// feedFails is the feed's answer, if it is none.
func (w *world) feedFails(name string, _ int64) error {
	var fault string
	w.lock(func() { fault = w.faults.feed })
	switch {
	case fault == "is down":
		return &firmware.UnavailableError{Err: errBroken}
	case fault == "has nothing but the catalog" && name != firmware.CatalogName:
		return fs.ErrNotExist
	}
	return nil
}

// feedSpoils is what the feed makes of a body.
func (w *world) feedSpoils(name string, _ int64, body io.ReadCloser) io.ReadCloser {
	var fault string
	w.lock(func() { fault = w.faults.feed })
	switch {
	case fault == "flips a bit" && name != firmware.CatalogName:
		return flips{body}
	case fault == "cuts bodies short" && name != firmware.CatalogName:
		return &short{body, 3*small - 1, io.ErrUnexpectedEOF}
	case fault == "has old catalogs" && name == firmware.CatalogName:
		return io.NopCloser(strings.NewReader(`{"Product":"encoder","Number":0}`))
	case fault == "does not answer":
		return silent{body.(obedient)}
	}
	return body
}

// flips is a body of which the first bit of each read is another one.
type flips struct{ io.ReadCloser }

func (f flips) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if n > 0 {
		p[0] ^= 1
	}
	return n, err
}

// silent is a body that does not come.
type silent struct{ obedient }

func (s silent) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, context.Cause(s.ctx)
}

// note keeps what was done.
func (w *world) note(format string, args ...any) {
	w.lock(func() { w.words = append(w.words, fmt.Sprintf(format, args...)) })
}

// fail keeps the first promise that was broken.
func (w *world) fail(format string, args ...any) {
	w.lock(func() {
		if w.why == "" {
			w.why = fmt.Sprintf(format, args...)
		}
	})
}

func (w *world) failed() (is bool) {
	w.lock(func() { is = w.why != "" })
	return is
}

// story is what was done and which promise that broke, or "".
func (w *world) story() string {
	if w.why == "" {
		return ""
	}
	return strings.Join(w.words, "\n") + "\n\n" + w.why
}

// isDead reports an error of a process that was killed.
func isDead(err error) bool { return errors.Is(err, errDead) }
