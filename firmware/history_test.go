package firmware_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/historytest"
)

// TestRandomHistoriesBreakNoPromise lets anything happen to devices, in any order.
// What must hold then is in invariant_test.go.
func TestRandomHistoriesBreakNoPromise(t *testing.T) {
	play := player(t, mutant{})
	historytest.Run(t, historytest.Unraced(10_000), play, play)
}

func FuzzHistory(f *testing.F) {
	historytest.Fuzz(f, func(t *testing.T, steps []historytest.Step) string { return player(t, mutant{})(steps) })
}

// player plays each history with a device of its own.
func player(t *testing.T, m mutant) historytest.Player {
	return func(steps []historytest.Step) (why string) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, m)
			defer w.end()
			for _, s := range steps {
				if w.do(s); w.check() {
					break
				}
			}
			w.recovers()
			why = w.story()
		})
		return why
	}
}

// kinds is how many kinds of steps there are.
const kinds = 36

// do makes a step.
func (w *world) do(s historytest.Step) {
	x, y := int(s[1]), int(s[2])
	switch s[0] % kinds {
	case 0, 1, 2, 3, 4:
		w.note("%d ms pass", 13*x)
		w.pass(time.Duration(13*x) * time.Millisecond)
	case 5, 6:
		w.note("%d s pass", x)
		w.pass(time.Duration(x) * time.Second)
	case 7:
		w.note("%d min pass", x/8)
		w.pass(time.Duration(x/8) * time.Minute)
	case 8: // a clock that is set, too
		off := []time.Duration{time.Second, time.Hour, 40 * 24 * time.Hour, 26 * 365 * 24 * time.Hour}[x%4]
		w.note("off for %s", off)
		w.kill()
		time.Sleep(off)
		w.boot(func(ctx context.Context) error { return w.sim.PowerCut(ctx, 0) })
	case 9, 10:
		w.publish(fmt.Sprintf("1.3.%d", len(w.releases)), x, y, y%4 == 0)
	case 11: // an old one, or other bytes under a name that is there
		version := "1.1.0"
		if y%2 == 0 && len(w.releases) > 0 {
			version = w.any(x).Version
		}
		w.publish(version, x, y, false)
	case 12, 13:
		w.note("check")
		w.call(func(ctx context.Context, fw *firmware.Service) error {
			_, err := fw.Check(ctx)
			return err
		})
	case 14, 15, 16:
		w.begin(firmware.Request{})
	case 17:
		w.begin(firmware.Request{Version: w.any(x).Version, AllowDowngrade: y%2 == 0})
	case 18:
		w.upload(w.any(x), y)
	case 19:
		w.note("plan, and do it")
		w.call(func(ctx context.Context, fw *firmware.Service) error {
			p, err := fw.Plan(ctx, firmware.Request{})
			if err == nil {
				_, err = fw.Start(ctx, firmware.Request{Plan: p.ID})
			}
			return err
		})
	default:
		w.doMore(s[0]%kinds, x, y)
	}
}

// doMore makes the steps of people who change their minds, and of the power.
func (w *world) doMore(kind byte, x, y int) {
	switch kind {
	case 20:
		w.wish("apply", x, (*firmware.Service).Apply)
	case 21, 22:
		w.wish("cancel", x, (*firmware.Service).Cancel)
	case 23:
		w.wish("rollback", x, func(fw *firmware.Service, ctx context.Context, id string, by firmware.By) error {
			_, err := fw.Rollback(ctx, id, by)
			return err
		})
	case 24:
		w.note("confirm")
		w.call(func(ctx context.Context, fw *firmware.Service) error { return fw.Confirm(ctx, ann) })
	case 25:
		w.note("checks %t, pre-releases %t", x%2 == 0, y%2 == 0)
		w.call(func(ctx context.Context, fw *firmware.Service) error {
			return fw.Configure(ctx, func(s *firmware.Settings) { s.Checks, s.Prereleases = x%2 == 0, y%2 == 0 }, ann)
		})
	case 26, 27:
		w.note("killed %d calls from now, after %t", 1+x%24, y%2 == 0)
		w.procs[0].endsAt(1+x%24, y%2 == 0)
	case 28:
		w.note("ended, and begun again")
		w.close()
		w.start()
	case 29:
		w.note("killed, and begun again")
		w.kill()
		w.start()
	case 30:
		w.note("power cut, %d bytes reach the disk", 64*x)
		w.kill()
		w.boot(func(ctx context.Context) error { return w.sim.PowerCut(ctx, 64*x) })
	case 31:
		w.note("somebody restarts the device")
		w.kill()
		w.boot(w.sim.Reboot)
	case 32:
		w.note("another process begins")
		w.start()
	case 33, 34:
		w.fails(x, y)
	case 35:
		w.heals()
	}
}

// fails makes something go wrong from now on.
func (w *world) fails(x, y int) {
	var f faults
	w.lock(func() { f = w.faults })
	switch x % 10 {
	case 0, 1, 2:
		f.feed = feedFaults[y%len(feedFaults)]
		w.note("from now on the feed %s", f.feed)
	case 3:
		f.unwell = true
		w.note("from now on no image is well")
	case 4:
		f.shut = true
		w.note("from now on the gate is shut")
	case 5:
		f.write = 1 + y%5
		w.note("write %d fails", f.write)
	case 6:
		f.sync = 1 + y%9
		w.note("sync %d fails", f.sync)
	case 7:
		f.loader.Stuck, f.loader.Deaf = y%2 == 0, y%2 == 1
		w.note("from now on the boot loader is stuck %t, deaf %t", f.loader.Stuck, f.loader.Deaf)
	case 8:
		f.reboot = rebootFaults[y%len(rebootFaults)]
		w.note("from now on a restart %s", f.reboot)
	case 9:
		f.poor = !f.poor
		w.note("images that are published do not come up: %t", f.poor)
	}
	w.lock(func() { w.faults = f })
	w.inject()
}

// heals makes all go well.
func (w *world) heals() {
	w.note("all goes well from now on")
	w.lock(func() { w.faults = faults{} })
	for _, p := range w.procs {
		p.endsAt(-1, false)
	}
	w.inject()
}

// publish adds a release.
func (w *world) publish(version string, x, y int, raises bool) {
	if raises {
		w.epoch++
	}
	image := imageOf(len(w.releases)+1, (1+x%12)*small+y)
	r := w.shop.add(version, image, func(r *firmware.Release) {
		r.Epoch, r.Prerelease = w.epoch, y%16 == 1
		if version == "1.1.0" {
			r.Epoch = max(0, w.epoch-1)
		}
	})
	w.images[r.Digest], w.poor[r.Digest] = image, w.faults.poor
	w.releases = append(w.releases, r)
	w.note("published %s %x of epoch %d, %d bytes, pre-release %t", version, r.Digest[:3], r.Epoch, r.Size, r.Prerelease)
}

// any is one of the releases.
func (w *world) any(x int) firmware.Release {
	if len(w.releases) == 0 {
		return firmware.Release{Version: "9.9.9"}
	}
	return w.releases[x%len(w.releases)]
}

// call calls a process, and notes what it answers. Who calls waits for two minutes.
func (w *world) call(f func(context.Context, *firmware.Service) error) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	err := f(ctx, w.procs[0].fw)
	if err != nil {
		w.note("  no: %v", err)
	}
	w.settle()
	return err
}

func (w *world) begin(r firmware.Request) error {
	w.note("start %q, downgrade %t", r.Version, r.AllowDowngrade)
	return w.call(func(ctx context.Context, fw *firmware.Service) error {
		_, err := fw.Start(ctx, r)
		return err
	})
}

// upload brings a bundle, whole or not.
func (w *world) upload(r firmware.Release, y int) {
	image, known := w.images[r.Digest]
	if !known {
		return
	}
	file := w.shop.bundle(packed(w.shop, r), image)
	switch y % 4 {
	case 0:
		file = file[:len(file)*y/256]
	case 1:
		file[len(file)-1-y] ^= 1
	}
	w.note("upload of %s %x, %d of 4", r.Version, r.Digest[:3], y%4)
	w.call(func(ctx context.Context, fw *firmware.Service) error {
		_, err := fw.Upload(ctx, io.NopCloser(bytes.NewReader(file)), ann)
		return err
	})
}

// wish asks for something of the last run, or now and then of any.
func (w *world) wish(what string, x int, f func(*firmware.Service, context.Context, string, firmware.By) error) {
	var ids []string
	for run := range w.watched.History(w.t.Context(), firmware.Query{}) {
		ids = append(ids, run.ID)
	}
	if len(ids) == 0 {
		return
	}
	n := 0
	if x%8 == 7 {
		n = x % len(ids)
	}
	w.note("%s of run -%d", what, n)
	w.call(func(ctx context.Context, fw *firmware.Service) error { return f(fw, ctx, ids[n], ann) })
}

// recovers lets all go well, and requires that the device comes to rest, and can
// be updated: whatever has happened to it.
func (w *world) recovers() {
	if w.failed() {
		return
	}
	w.heals()
	w.settle() // a process may have died just before
	w.rests()
	w.epoch++
	w.publish("2.0.0", 3, 0, false)
	r := w.releases[len(w.releases)-1]
	for range 10 { // somebody may still look for a while, and a process may have died just now
		if err := w.begin(firmware.Request{Version: r.Version}); !errors.Is(err, firmware.ErrBusy) && !isDead(err) {
			break
		}
		w.pass(5 * time.Second)
		w.rests()
	}
	w.rests()
	if !w.check() && !slices.Equal(w.images[r.Digest], w.sim.Image()) {
		w.fail("the device cannot be updated any more")
	}
}

// rests lets time pass until no run is live.
func (w *world) rests() {
	for began := time.Now(); !w.check(); w.pass(5 * time.Second) {
		rec, err := w.watched.Load(w.t.Context())
		if err == nil && (rec.Run == nil || rec.Run.State.Done()) {
			return
		}
		if time.Since(began) > 6*time.Hour {
			w.fail("the device does not come to rest: run %+v, %s", rec.Run, rec.Progress)
		}
	}
}

var errBroken = errors.New("broken on purpose")
