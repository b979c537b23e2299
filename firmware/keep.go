package firmware

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/upkeep-go/upkeep/internal/record"
	"github.com/upkeep-go/upkeep/lease"
)

var (
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
	Adopted   bool          `json:"adopted,omitempty"`   // from the slots: no run was live
	Told      bool          `json:"told,omitempty"`      // OnFinish has returned
	Untold    []string      `json:"untold,omitempty"`    // runs before, of which OnFinish was not told
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
// returns, as record.Store does. The token is that of the caller's lease, or 0
// for a wish, which leaves the writer that the record has.
func (s *Service) amend(ctx context.Context, token int64, change func(*Record) ([]Event, error)) (Record, error) {
	store := record.Store[Record, Event]{
		Load: s.load, Save: s.config.DeviceStore.Save,
		Rev:   func(rec Record) int64 { return rec.Rev },
		Same:  func(stored, sent Record) bool { return stored.Rev == sent.Rev+1 && sameRecord(stored, sent) },
		Stale: ErrStale, Final: []error{ErrInvalid, ErrExists, ErrCorrupt, ErrNotFound, ErrClosed},
	}
	return store.Amend(ctx, nil, func(rec *Record) ([]Event, error) {
		if token > 0 && rec.Token > token {
			return nil, errOvertaken
		}
		rec.Token = max(rec.Token, token)
		return change(rec)
	})
}

// sameRecord reports whether stored is other as an engine has stored it.
func sameRecord(stored, other Record) bool {
	if stored.Run != nil && other.Run != nil {
		run := *other.Run
		run.Seq, run.CreatedAt, run.UpdatedAt, run.EndedAt = stored.Run.Seq, stored.Run.CreatedAt, stored.Run.UpdatedAt, stored.Run.EndedAt
		other.Run = &run
	}
	other.Rev = stored.Rev
	return reflect.DeepEqual(stored, other)
}
