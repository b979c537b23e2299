package firmware

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/closing"
	"github.com/upkeep-go/upkeep/internal/record"
	"github.com/upkeep-go/upkeep/lease"
)

// Service is the update service of one device. It is safe for concurrent use,
// and by several processes on one Store: the one that holds the device's lease
// acts, the others see what it does and may ask it to stop.
type Service struct {
	config Config
	first  Settings // until Configure
	item   string   // of the lease
	door   *closing.Door
	began  time.Time
	plans  planner

	mu         sync.Mutex
	live       *runner          // what this process works on
	looked     bool             // the slots were looked at since this process began
	restarting string           // the run for which this process has asked for a restart
	given      map[string]error // by run: why this process works on it no more, though it is not done
	telling    map[string]bool  // runs of which OnFinish is, or was, told
	trial      trial
	later      time.Time // before it the feed does not want to be asked for a catalog by Run
	shown      bool      // that this process looked at the slots for the first time
	line       lease.Line
}

// Get returns a run, or ErrNotFound.
func (s *Service) Get(ctx context.Context, id string) (Run, error) {
	run, err := s.config.DeviceStore.Get(ctx, id)
	if errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("device %q: %w", s.config.Device, err)
	}
	return run, err
}

// Status returns the present of the device. It holds no lock and waits for no
// network, no slot and no pull. The version is that which Run, or the last call
// that acted, found running, and before the first that of Config.Version, or ""
// if that does not tell; beside an error the state is DeviceUnavailable.
func (s *Service) Status(ctx context.Context) (Status, error) {
	rec, err := s.load(ctx)
	if err != nil {
		return Status{State: DeviceUnavailable, Disabled: s.config.Disabled}, err
	}
	if rec.Running == (Slot{}) && s.config.Version != nil { // nobody has looked yet
		rec.Running.Version, _ = s.config.Version(ctx)
	}
	st := Status{
		State: rec.Device, Info: rec.Info, Version: rec.Running.Version, OSName: s.osName(), Disabled: s.config.Disabled,
		Settings: rec.Settings, Check: rec.Check, Catalog: rec.Catalog,
	}
	switch {
	case rec.Run == nil:
	case rec.Run.State.Done():
		st.Last = rec.Run
	default:
		st.Run = rec.Run
		for run, err := range s.config.DeviceStore.History(ctx, Query{After: rec.Run.ID}) {
			if errors.Is(err, ErrCorrupt) {
				continue
			}
			if err != nil {
				return Status{State: DeviceUnavailable, Disabled: s.config.Disabled}, err
			}
			st.Last = &run
			break
		}
	}
	if newest, ok := s.newest(rec); ok {
		st.Newest = newest
		st.UpToDate = !s.offers(rec, newest)
	} else {
		st.UpToDate = !rec.Check.Time.IsZero() && rec.Check.Reason == ""
	}
	return st, nil
}

// osName reads what os-release says, once.
func (s *Service) osName() string {
	if s.config.OSName != "" {
		return s.config.OSName
	}
	return readOSName()
}

var readOSName = sync.OnceValue(func() string {
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
				return cut(strings.Trim(strings.TrimSpace(name), `"'`), maxName)
			}
		}
	}
	return ""
})

// History yields runs, newest first, and stops after an error. But one that
// cannot be read comes with ErrCorrupt and its ID, and the list goes on.
func (s *Service) History(ctx context.Context, q Query) iter.Seq2[Run, error] {
	return s.config.DeviceStore.History(ctx, q)
}

// Watch yields every event with a Seq greater than after, in order, losing
// none, and waits for more until ctx ends or the caller breaks. A negative
// after starts with the next event. The last pair has an error: ctx's, or
// ErrCompacted when events that follow after are no longer kept, or after is of
// another history, such as one from before a restore. Engines keep events for
// 30 days and 100,000 of each device.
func (s *Service) Watch(ctx context.Context, after int64) iter.Seq2[Event, error] {
	return s.config.DeviceStore.Watch(ctx, after)
}

// Configure changes the Settings of Status, whatever they are by then: change
// is called with what stands, and once more if others were faster.
func (s *Service) Configure(ctx context.Context, change func(*Settings), by By) error {
	by = by.bounded()
	_, err := s.amend(ctx, 0, func(rec *Record) ([]Event, error) {
		settings := rec.Settings
		change(&settings)
		if rec.Kept && rec.Settings == settings {
			return nil, record.ErrSame
		}
		rec.Settings, rec.Kept = settings, true
		return []Event{{
			Kind: EventConfigured, Actor: by.Actor,
			Message: fmt.Sprintf("checks=%t prereleases=%t %s", settings.Checks, settings.Prereleases, by.Reason),
		}}, nil
	})
	return err
}

// Apply opens the Gate for a run: what is waiting goes on now. It is asked for
// once, and counts for every step of the run. Applying a run that is done is
// ErrStale.
func (s *Service) Apply(ctx context.Context, id string, by By) error {
	by = by.bounded()
	return s.wish(ctx, id, func(rec *Record) ([]Event, error) {
		switch {
		case rec.Run.State.Done():
			return nil, fmt.Errorf("%w: run %q has ended", ErrStale, id)
		case rec.Run.Apply != nil:
			return nil, record.ErrSame
		}
		rec.Run.Apply = &by
		return []Event{{Kind: EventApply, Run: id, Actor: by.Actor, Message: by.Reason}}, nil
	})
}

// Cancel asks the run to stop, and returns once that is recorded; the process
// that works on the run sees it within a second. It returns ErrTooLate once the
// device is about to restart; from then on there is Rollback. Cancelling a run that is
// done is not an error.
func (s *Service) Cancel(ctx context.Context, id string, by By) error {
	by = by.bounded()
	return s.wish(ctx, id, func(rec *Record) ([]Event, error) {
		switch {
		case rec.Run.State.Done(), rec.Run.Cancel != nil:
			return nil, record.ErrSame
		case !progressOf(*rec).cancellable():
			return nil, fmt.Errorf("%w: run %q is %s", ErrTooLate, id, rec.Run.State)
		}
		rec.Run.Cancel = &by
		rec.Device = DeviceCancelling
		return []Event{{Kind: EventCancel, Run: id, Actor: by.Actor, Message: by.Reason}}, nil
	})
}

// wish writes what somebody wants of the last run, whoever works on it. An
// earlier run has ended.
func (s *Service) wish(ctx context.Context, id string, change func(*Record) ([]Event, error)) error {
	rec, err := s.amend(ctx, 0, func(rec *Record) ([]Event, error) {
		if rec.Run == nil || rec.Run.ID != id {
			if _, err := s.Get(ctx, id); err != nil {
				return nil, err
			}
			ended := Record{Run: &Run{ID: id, State: StateSucceeded}}
			return nil, refusalOf(change(&ended))
		}
		return change(rec)
	})
	if errors.Is(err, ErrNotFound) { // it names the run
		return err
	}
	if err != nil {
		return fmt.Errorf("run %q: %w", id, err)
	}
	s.mu.Lock()
	r := s.live
	s.mu.Unlock()
	if r != nil {
		r.notice(rec)
	}
	return nil
}

// refusalOf is the error of a change of a run that has ended, which is never
// made.
func refusalOf(_ []Event, err error) error {
	if err == nil {
		return record.ErrSame
	}
	return err
}

// Shutdown stops the live run at a durable point, of which there is one every
// segment, and waits for it until ctx ends; then it ends the run's context. The
// run is left for the next Run or Start. Calls that follow return ErrClosed.
func (s *Service) Shutdown(ctx context.Context) error { return s.door.Shutdown(ctx) }

// Close is Shutdown without patience. It may be called twice, and never fails.
func (s *Service) Close() error {
	s.door.Close()
	return nil
}
