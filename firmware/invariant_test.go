package firmware_test

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"

	"github.com/upkeep-go/upkeep/firmware"
)

// documented are the states that the document has a bit for, and idle, its 0.
var documented = []firmware.DeviceState{
	firmware.DeviceIdle, firmware.DeviceCheckingLocal, firmware.DeviceCheckingOnline, firmware.DevicePulling, firmware.DeviceVerifying,
	firmware.DeviceUploading, firmware.DeviceCancelling, firmware.DeviceRestarting, firmware.DeviceUnavailable, firmware.DeviceFailed,
}

// watched is the store of a world, which looks at each save.
type watched struct {
	firmware.DeviceStore
	w *world

	mu    sync.Mutex
	last  firmware.Record
	ended map[string]int    // events that say so, by run
	fell  map[[32]byte]bool // images that were left, and did not come back since
}

// Save implements firmware.DeviceStore.
func (s *watched) Save(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.DeviceStore.Save(ctx, r, events...)
	if err != nil {
		return now, err
	}
	before := s.last
	s.last = now.Clone()
	if now.Floor < before.Floor {
		s.w.fail("the floor falls from %d to %d", before.Floor, now.Floor)
	}
	if !slices.Contains(documented, now.Device) {
		s.w.fail("the device's state is %q, which is not one of the document", now.Device)
	}
	for _, e := range events {
		if e.Kind == firmware.EventEnded {
			s.ended[e.Run]++
		}
	}
	if now.Run != nil {
		s.progress(before, now)
		s.outcome(before, now)
	}
	return now, nil
}

// progress looks at how far a run has come.
func (s *watched) progress(before, now firmware.Record) {
	percent := 0
	if before.Run != nil && before.Run.ID == now.Run.ID {
		percent = before.Run.Percent
	}
	switch {
	case now.Run.Percent == percent, now.Run.State == firmware.StateSucceeded && now.Run.Percent == 100:
	case now.Run.Percent < percent || now.Run.Percent > 100:
		s.w.fail("progress goes from %d %% to %d %%", percent, now.Run.Percent)
	case now.Device != firmware.DevicePulling && now.Device != firmware.DeviceUploading && now.Device != firmware.DeviceCancelling:
		s.w.fail("there is progress, to %d %%, while the device is %s", now.Run.Percent, now.Device)
	}
}

// outcome looks at how a run begins, and how it ends.
func (s *watched) outcome(before, now firmware.Record) {
	run := now.Run
	begins := before.Run == nil || before.Run.ID != run.ID
	ends := run.State.Done() && (begins || !before.Run.State.Done())
	digest := run.Release.Digest
	switch {
	case begins && run.Undoes != "":
		s.fell[before.Running.Digest] = true
	case begins && run.Request.Version == "" && s.fell[digest]:
		s.w.fail("version %q was left, and is taken again by itself: %v", run.Version, run.Request)
	case ends && run.State == firmware.StateRolledBack && run.Undoes == "":
		s.fell[digest] = true
	case ends && run.State == firmware.StateSucceeded:
		delete(s.fell, digest)
		pair, err := s.w.sim.Pair(context.Background())
		if err == nil && (!pair.Confirmed || pair.Running.Run != run.ID || pair.Running.Digest != digest) {
			s.w.fail("a run has succeeded whose image is not confirmed: %+v", pair)
		}
	}
}

// check looks at what everybody can see, and reports whether a promise was broken.
func (w *world) check() bool {
	ctx := w.t.Context()
	if _, whole := w.images[sha256.Sum256(w.sim.Image())]; !whole {
		w.fail("the image that runs is not whole")
	}
	w.watched.mu.Lock()
	defer w.watched.mu.Unlock()
	rec := w.watched.last
	pair, err := w.sim.Pair(ctx)
	if err == nil && pair.Confirmed && pair.Running.Epoch < rec.Floor {
		w.fail("epoch %d runs, and is confirmed, below the floor of %d", pair.Running.Epoch, rec.Floor)
	}
	for _, p := range w.procs {
		st, err := p.fw.Status(ctx)
		if err != nil && !isDead(err) {
			w.fail("the status cannot be told: %v", err)
		}
		if err == nil && !slices.Contains(documented, st.State) {
			w.fail("the device's state is told as %q, which is not one of the document", st.State)
		}
	}
	live := 0
	for run, err := range w.watched.History(ctx, firmware.Query{}) {
		want := 1
		if err == nil && !run.State.Done() {
			live, want = live+1, 0
		}
		if got := w.watched.ended[run.ID]; got != want {
			w.fail("run to %q is %s, and %d events say that it has ended", run.Version, run.State, got)
		}
	}
	if live > 1 {
		w.fail("%d runs are live", live)
	}
	return w.failed()
}
