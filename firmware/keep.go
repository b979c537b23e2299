package firmware

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/lease"
)

var (
	errSame      = errors.New("firmware: there is nothing to write")
	errStore     = errors.New("firmware: the record was not written")
	errClosing   = fmt.Errorf("%w: the run is left for the next Run", ErrClosed)
	errOvertaken = fmt.Errorf("%w: somebody else may act", lease.ErrLost)
)

// phase is the part of a run that is under way: what Progress keeps of it.
type phase string

const (
	phaseReceive phase = "receive" // a bundle into the slot
	phasePull    phase = "pull"
	phaseVerify  phase = "verify"
	phaseInstall phase = "install"
	phaseRestart phase = "restart" // the slot is activated
	phaseTrial   phase = "trial"
	phaseBack    phase = "back"
)

// progress is how far a run has come.
type progress struct {
	Phase     phase         `json:"phase,omitempty"`
	Durable   int           `json:"durable,omitempty"`   // segments in the slot, from the first on
	Missing   []string      `json:"missing,omitempty"`   // objects that the feed does not have
	Idle      time.Duration `json:"idle,omitempty"`      // without a durable segment
	Asked     int           `json:"asked,omitempty"`     // how often Reboot was about to be called
	Start     string        `json:"start,omitempty"`     // Pair.Start, when it was
	Restarted bool          `json:"restarted,omitempty"` // Reboot has returned
	Trial     time.Duration `json:"trial,omitempty"`     // for which the new image has run
	Told      bool          `json:"told,omitempty"`      // OnFinish has returned
	Untold    string        `json:"untold,omitempty"`    // the run before, of which OnFinish was not told
}

// activated reports whether the next start may be of the new image, or is of
// the old one again.
func (p phase) activated() bool { return p == phaseRestart || p == phaseTrial || p == phaseBack }

// cancellable reports whether nobody has asked for a restart yet.
func (p progress) cancellable() bool {
	return !p.Phase.activated() || p.Phase == phaseRestart && p.Asked == 0
}

// startedAnew reports whether the device has started since Reboot was called.
func (p progress) startedAnew(now Pair) bool {
	if p.Asked == 0 {
		return false
	}
	if p.Start != "" && now.Start != "" {
		return p.Start != now.Start
	}
	return p.Restarted
}

// progressOf reads what a record keeps. What cannot be read has not come far.
func progressOf(rec Record) (p progress) {
	_ = json.Unmarshal(rec.Progress, &p)
	return p
}

func (p progress) put(rec *Record) {
	rec.Progress, _ = json.Marshal(p) // of texts and numbers only
}

// load reads the record. Before somebody has configured the device, its
// settings are those of Config.
func (s *Service) load(ctx context.Context) (Record, error) {
	rec, err := s.config.DeviceStore.Load(ctx)
	if err != nil {
		return rec, err
	}
	if !rec.Kept {
		rec.Settings = s.first
	}
	if rec.Device == "" {
		rec.Device = DeviceIdle
	}
	return rec, nil
}

// amend writes the record as change makes it, with the events that change
// returns. It asks change again, with the record as it is then, as often as
// somebody else has written meanwhile. After errSame it writes nothing. The
// token is that of the caller's lease, or 0 for a wish, which leaves the writer
// that the record has. A reply that was lost is found out: nothing is written
// twice. Other errors of the engine are met by further tries for some seconds.
func (s *Service) amend(ctx context.Context, token int64, change func(*Record) ([]Event, error)) (Record, error) {
	a := amendment{s: s, token: token, change: change}
	for wait := 10 * time.Millisecond; ; wait *= 3 {
		rec, err := a.try(ctx)
		for errors.Is(err, ErrStale) && a.sent != nil {
			rec, err = a.try(ctx)
		}
		if err == nil || a.refused || ctx.Err() != nil || final(err) || wait > 3*time.Second {
			return rec, err
		}
		if err := pause.For(ctx, wait); err != nil {
			return rec, err
		}
	}
}

// final reports an error that another try would meet again.
func final(err error) bool {
	for _, f := range []error{errOvertaken, ErrInvalid, ErrExists, ErrCorrupt, ErrNotFound, ErrClosed} {
		if errors.Is(err, f) {
			return true
		}
	}
	return false
}

// amendment is one change on its way into the record.
type amendment struct {
	s       *Service
	token   int64
	change  func(*Record) ([]Event, error)
	sent    *Record // what the last try has sent, if nobody knows what became of it
	refused bool    // the last error was that of change
}

func (a *amendment) try(ctx context.Context) (Record, error) {
	a.refused = false
	rec, err := a.s.load(ctx)
	if err != nil {
		return rec, err
	}
	if a.sent != nil && rec.Rev == a.sent.Rev+1 && sameRecord(rec, *a.sent) {
		return rec, nil // the reply of the try before was lost
	}
	a.sent = nil
	if a.token > 0 && rec.Token > a.token {
		return rec, errOvertaken
	}
	rec.Token = max(rec.Token, a.token)
	events, err := a.change(&rec)
	if errors.Is(err, errSame) {
		return rec, nil
	}
	if err != nil {
		a.refused = true
		return rec, err
	}
	sent := rec.Clone()
	a.sent = &sent
	return a.s.config.DeviceStore.Save(ctx, rec, events...)
}

// sameRecord reports whether a is b as an engine has stored it.
func sameRecord(a, b Record) bool {
	for _, r := range []*Record{&a, &b} {
		*r = r.Clone()
		r.Rev = 0
		if r.Run != nil {
			r.Run.Seq, r.Run.CreatedAt, r.Run.UpdatedAt, r.Run.EndedAt = 0, time.Time{}, time.Time{}, time.Time{}
		}
	}
	return reflect.DeepEqual(a, b)
}
