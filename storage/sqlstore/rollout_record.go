package sqlstore

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
)

// With omitzero what is empty is written, and what is nil is not: a reader gets
// the one or the other back. What a newer library adds to these types is kept by
// encodeOver.

type rolloutRun struct {
	From     rolloutRevisionID `json:"from,omitzero"`
	Revision rolloutRevisionID `json:"revision,omitzero"`
	Percent  int               `json:"percent,omitzero"`
	Step     int               `json:"step,omitzero"`
	States   []rolloutState    `json:"states,omitzero"`
	Before   rolloutSplit      `json:"before,omitzero"`
	Was      rolloutSpec       `json:"was,omitzero"`
	Split    rolloutSplit      `json:"split,omitzero"`
	Reason   bytesText         `json:"reason,omitzero"`
	Spec     rolloutSpec       `json:"spec,omitzero"`
	Strategy rolloutStrategy   `json:"strategy,omitzero"`
	Undoes   bytesText         `json:"undoes,omitzero"`
	Wish     *rolloutWish      `json:"wish,omitzero"`
	Owner    bytesText         `json:"owner,omitzero"`
	Progress []byte            `json:"progress,omitzero"` // as it came, byte by byte
}

type rolloutServiceID struct {
	Env  bytesText `json:"env,omitzero"`
	Name bytesText `json:"name,omitzero"`
}

type rolloutRevisionID struct {
	Service rolloutServiceID `json:"service,omitzero"`
	Version bytesText        `json:"version,omitzero"`
	Run     bytesText        `json:"run,omitzero"`
}

type rolloutState struct {
	State        bytesText            `json:"state,omitzero" entry:"id"`
	Step         int                  `json:"step,omitzero" entry:"id"`
	Reason       bytesText            `json:"reason,omitzero"`
	Measurements []rolloutMeasurement `json:"measurements,omitzero"`
	Started      time.Time            `json:"started,omitzero" entry:"id"`
	Ended        time.Time            `json:"ended,omitzero"`
}

type rolloutMeasurement struct {
	Name    bytesText      `json:"name,omitzero"`
	Verdict bytesText      `json:"verdict,omitzero"`
	Values  []pair[number] `json:"values,omitzero"`
	Reason  bytesText      `json:"reason,omitzero"`
	Time    time.Time      `json:"time,omitzero"`
}

type rolloutWish struct {
	Kind bytesText `json:"kind,omitzero"`
	Step int       `json:"step,omitzero"`
	By   byRecord  `json:"by,omitzero"`
}

type rolloutRequest struct {
	Replace   bytesText        `json:"replace,omitzero"`
	Service   rolloutServiceID `json:"service,omitzero"`
	Version   bytesText        `json:"version,omitzero"`
	Spec      rolloutSpec      `json:"spec,omitzero"`
	Snapshot  bytesText        `json:"snapshot,omitzero"`
	Share     *int             `json:"share,omitzero"`
	Remark    bytesText        `json:"remark,omitzero"`
	Strategy  *rolloutStrategy `json:"strategy,omitzero"`
	Restart   bool             `json:"restart,omitzero"`
	Supersede bool             `json:"supersede,omitzero"`
	Plan      bytesText        `json:"plan,omitzero"`
	By        byRecord         `json:"by,omitzero"`
}

type rolloutService struct {
	Revisions  []rolloutRevision `json:"revisions,omitzero"`
	Split      rolloutSplit      `json:"split,omitzero"`
	Generation int64             `json:"generation,omitzero"`
	Stable     rolloutRevisionID `json:"stable,omitzero"`
	KeptUntil  time.Time         `json:"kept_until,omitzero"`
	Held       bool              `json:"held,omitzero"`
	Path       bytesText         `json:"path,omitzero"`
	Untold     []bytesText       `json:"untold,omitzero"`
}

type rolloutRevision struct {
	ID       rolloutRevisionID `json:"id,omitzero" entry:"id"`
	Spec     rolloutSpec       `json:"spec,omitzero"`
	Replicas int               `json:"replicas,omitzero"`
	Remark   bytesText         `json:"remark,omitzero"`
	Replaced bool              `json:"replaced,omitzero"`
}

type rolloutEvent struct {
	Service rolloutServiceID `json:"service,omitzero"`
	Kind    bytesText        `json:"kind,omitzero"`
	State   bytesText        `json:"state,omitzero"`
	Step    int              `json:"step,omitzero"`
	Percent int              `json:"percent,omitzero"`
	Split   rolloutSplit     `json:"split,omitzero"`
	Actor   bytesText        `json:"actor,omitzero"`
	Message bytesText        `json:"message,omitzero"`
}

type rolloutInstance struct {
	Revision rolloutRevisionID `json:"revision,omitzero"`
	Process  bytesText         `json:"process,omitzero"`
	Endpoint bytesText         `json:"endpoint,omitzero"`
	Spec     rolloutSpec       `json:"spec,omitzero"`
}

// number is one that need not be finite, for which JSON has no place.
type number float64

// MarshalJSON writes it as a number if it is one.
func (n number) MarshalJSON() ([]byte, error) {
	if f := float64(n); !math.IsNaN(f) && !math.IsInf(f, 0) {
		return json.Marshal(f)
	}
	return json.Marshal(strconv.FormatFloat(float64(n), 'g', -1, 64))
}

// UnmarshalJSON takes back what MarshalJSON did.
func (n *number) UnmarshalJSON(data []byte) error {
	text := string(data)
	if len(data) > 0 && data[0] == '"' {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("a number that is %q", text)
	}
	*n = number(f)
	return nil
}

func toNumber(f float64) number { return number(f) }
func toFloat(n number) float64  { return float64(n) }

func rolloutServiceIDOf(s rollout.ServiceID) rolloutServiceID {
	return rolloutServiceID{bytesText(s.Env), bytesText(s.Name)}
}

func (s rolloutServiceID) id() rollout.ServiceID {
	return rollout.ServiceID{Env: string(s.Env), Name: string(s.Name)}
}

func revisionIDOf(r rollout.RevisionID) rolloutRevisionID {
	return rolloutRevisionID{rolloutServiceIDOf(r.Service), bytesText(r.Version), bytesText(r.Run)}
}

func (r rolloutRevisionID) id() rollout.RevisionID {
	return rollout.RevisionID{Service: r.Service.id(), Version: string(r.Version), Run: string(r.Run)}
}

func rolloutRunOf(r rollout.Run) rolloutRun {
	return rolloutRun{
		From: revisionIDOf(r.From), Revision: revisionIDOf(r.Revision), Percent: r.Percent, Step: r.Step,
		States: converted(r.States, rolloutStateOf), Before: rolloutSplitOf(r.Before), Was: rolloutSpecOf(r.Was),
		Split: rolloutSplitOf(r.Split), Reason: bytesText(r.Reason), Progress: r.Progress,
		Spec: rolloutSpecOf(r.Spec), Strategy: rolloutStrategyOf(r.Strategy), Undoes: bytesText(r.Undoes),
		Wish:  optional(r.Wish, func(w rollout.Wish) rolloutWish { return rolloutWish{bytesText(w.Kind), w.Step, byOf(by(w.By))} }),
		Owner: bytesText(r.Owner),
	}
}

func decodeRolloutRun(data string, r *rollout.Run) error {
	var d rolloutRun
	if err := decode(data, &d); err != nil {
		return err
	}
	r.From, r.Revision, r.Percent, r.Step = d.From.id(), d.Revision.id(), d.Percent, d.Step
	r.States, r.Before, r.Was = converted(d.States, rolloutState.state), d.Before.split(), d.Was.spec()
	r.Split, r.Reason, r.Progress = d.Split.split(), string(d.Reason), d.Progress
	r.Spec, r.Strategy, r.Undoes, r.Owner = d.Spec.spec(), d.Strategy.strategy(), string(d.Undoes), string(d.Owner)
	r.Wish = optional(d.Wish, func(w rolloutWish) rollout.Wish {
		return rollout.Wish{Kind: rollout.WishKind(w.Kind), Step: w.Step, By: rollout.By(w.By.by())}
	})
	return nil
}

func rolloutStateOf(s rollout.StateRecord) rolloutState {
	return rolloutState{
		State: bytesText(s.State), Step: s.Step, Reason: bytesText(s.Reason), Started: s.StartedAt, Ended: s.EndedAt,
		Measurements: converted(s.Measurements, func(m rollout.Measurement) rolloutMeasurement {
			return rolloutMeasurement{
				bytesText(m.Name), bytesText(m.Verdict), pairsOf(m.Values, toNumber), bytesText(m.Reason), m.Time,
			}
		}),
	}
}

func (s rolloutState) state() rollout.StateRecord {
	return rollout.StateRecord{
		State: rollout.State(s.State), Step: s.Step, Reason: string(s.Reason), StartedAt: s.Started, EndedAt: s.Ended,
		Measurements: converted(s.Measurements, func(m rolloutMeasurement) rollout.Measurement {
			return rollout.Measurement{
				Name: string(m.Name), Verdict: rollout.Verdict(m.Verdict), Reason: string(m.Reason), Time: m.Time,
				Values: mapOf[string](m.Values, toFloat),
			}
		}),
	}
}

func rolloutRequestOf(r rollout.Request) rolloutRequest {
	return rolloutRequest{
		Service: rolloutServiceIDOf(r.Service), Replace: bytesText(r.Replace), Version: bytesText(r.Version), Spec: rolloutSpecOf(r.Spec),
		Snapshot: bytesText(r.Snapshot), Share: r.Share, Remark: bytesText(r.Remark), Strategy: optional(r.Strategy, rolloutStrategyOf),
		Restart: r.Restart, Supersede: r.Supersede, Plan: bytesText(r.Plan), By: byOf(by(r.By)),
	}
}

func decodeRolloutRequest(data string) (rollout.Request, error) {
	var r rolloutRequest
	err := decode(data, &r)
	return rollout.Request{
		Service: r.Service.id(), Replace: string(r.Replace), Version: string(r.Version), Spec: r.Spec.spec(),
		Snapshot: string(r.Snapshot), Share: r.Share, Remark: string(r.Remark), Strategy: optional(r.Strategy, rolloutStrategy.strategy),
		Restart: r.Restart, Supersede: r.Supersede, Plan: string(r.Plan), By: rollout.By(r.By.by()),
	}, err
}

func rolloutServiceOf(s rollout.Service) rolloutService {
	return rolloutService{
		Revisions: converted(s.Revisions, func(r rollout.Revision) rolloutRevision {
			return rolloutRevision{revisionIDOf(r.ID), rolloutSpecOf(r.Spec), r.Replicas, bytesText(r.Remark), r.Replaced}
		}),
		Split: rolloutSplitOf(s.Split), Generation: s.Generation, Stable: revisionIDOf(s.Stable), KeptUntil: s.KeptUntil,
		Held: s.Held, Path: bytesText(s.Path), Untold: converted(s.Untold, toBytes),
	}
}

func decodeRolloutService(data string, s *rollout.Service) error {
	var d rolloutService
	if err := decode(data, &d); err != nil {
		return err
	}
	s.Revisions = converted(d.Revisions, func(r rolloutRevision) rollout.Revision {
		return rollout.Revision{ID: r.ID.id(), Spec: r.Spec.spec(), Replicas: r.Replicas, Remark: string(r.Remark), Replaced: r.Replaced}
	})
	s.Split, s.Generation, s.Stable, s.KeptUntil = d.Split.split(), d.Generation, d.Stable.id(), d.KeptUntil
	s.Held, s.Path, s.Untold = d.Held, string(d.Path), converted(d.Untold, toString)
	return nil
}

func rolloutEventOf(e rollout.Event) rolloutEvent {
	return rolloutEvent{
		Service: rolloutServiceIDOf(e.Service), Kind: bytesText(e.Kind), State: bytesText(e.State), Step: e.Step, Percent: e.Percent,
		Split: rolloutSplitOf(e.Split), Actor: bytesText(e.Actor), Message: bytesText(e.Message),
	}
}

func decodeRolloutEvent(data string) (rollout.Event, error) {
	var e rolloutEvent
	err := decode(data, &e)
	return rollout.Event{
		Service: e.Service.id(), Kind: rollout.EventKind(e.Kind), State: rollout.State(e.State), Step: e.Step, Percent: e.Percent,
		Split: e.Split.split(), Actor: string(e.Actor), Message: string(e.Message),
	}, err
}

func instanceOf(i rollout.Instance) rolloutInstance {
	return rolloutInstance{revisionIDOf(i.Revision), bytesText(i.Process), bytesText(i.Endpoint), rolloutSpecOf(i.Spec)}
}

func decodeInstance(data string) (rollout.Instance, error) {
	var i rolloutInstance
	err := decode(data, &i)
	return rollout.Instance{
		Revision: i.Revision.id(), Process: string(i.Process), Endpoint: string(i.Endpoint), Spec: i.Spec.spec(),
	}, err
}
