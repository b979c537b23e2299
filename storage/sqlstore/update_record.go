package sqlstore

import (
	"time"

	"github.com/upkeep-go/upkeep/update"
)

type detailRecord struct {
	From    bytesText     `json:"from,omitempty"`
	Version bytesText     `json:"version,omitempty"`
	Release releaseRecord `json:"release,omitzero"`
	State   bytesText     `json:"state,omitempty"`
	Percent int           `json:"percent,omitempty"`
	Reason  bytesText     `json:"reason,omitempty"`
	Undoes  bytesText     `json:"undoes,omitempty"`
	Cancel  *byRecord     `json:"cancel,omitempty"`
	Owner   bytesText     `json:"owner,omitempty"`
}

type releaseRecord struct {
	Version   bytesText `json:"version,omitempty"`
	Time      time.Time `json:"time,omitzero"`
	URL       bytesText `json:"url,omitempty"`
	Digest    []byte    `json:"digest,omitempty"`
	Signature []byte    `json:"signature,omitempty"`
	Size      int64     `json:"size,omitempty"`
}

type requestRecord struct {
	Package         bytesText `json:"package,omitempty"`
	Version         bytesText `json:"version,omitempty"`
	AllowDowngrade  bool      `json:"allow_downgrade,omitempty"`
	AllowPrerelease bool      `json:"allow_prerelease,omitempty"`
	By              byRecord  `json:"by,omitzero"`
}

type stepRecord struct {
	Name      bytesText `json:"name,omitempty"`
	Phase     bytesText `json:"phase,omitempty"`
	Attempt   int       `json:"attempt,omitempty"`
	Data      []byte    `json:"data,omitempty"`
	Error     bytesText `json:"error,omitempty"`
	Weight    int       `json:"weight,omitempty"`
	Final     bool      `json:"final,omitempty"`
	NoUndo    bool      `json:"no_undo,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

type eventRecord struct {
	Package bytesText `json:"package,omitempty"`
	Kind    bytesText `json:"kind,omitempty"`
	State   bytesText `json:"state,omitempty"`
	Percent int       `json:"percent,omitempty"`
	Step    bytesText `json:"step,omitempty"`
	Phase   bytesText `json:"phase,omitempty"`
	Actor   bytesText `json:"actor,omitempty"`
	Message bytesText `json:"message,omitempty"`
}

func detailOf(r update.Run) detailRecord {
	d := detailRecord{
		From: bytesText(r.From), Version: bytesText(r.Version), State: bytesText(r.State), Percent: r.Percent,
		Reason: bytesText(r.Reason), Undoes: bytesText(r.Undoes), Owner: bytesText(r.Owner),
		Release: releaseRecord{
			Version: bytesText(r.Release.Version), Time: r.Release.Time.UTC(), URL: bytesText(r.Release.URL),
			Digest: r.Release.Digest, Signature: r.Release.Signature, Size: r.Release.Size,
		},
	}
	if r.Cancel != nil {
		cancel := byOf(by(*r.Cancel))
		d.Cancel = &cancel
	}
	return d
}

func decodeDetail(data string, r *update.Run) error {
	var d detailRecord
	if err := decode(data, &d); err != nil {
		return err
	}
	r.From, r.Version, r.State, r.Percent = string(d.From), string(d.Version), update.State(d.State), d.Percent
	r.Reason, r.Undoes, r.Owner = string(d.Reason), string(d.Undoes), string(d.Owner)
	r.Release = update.Release{
		Version: string(d.Release.Version), Time: d.Release.Time, URL: string(d.Release.URL),
		Digest: d.Release.Digest, Signature: d.Release.Signature, Size: d.Release.Size,
	}
	if d.Cancel != nil {
		cancel := update.By(d.Cancel.by())
		r.Cancel = &cancel
	}
	return nil
}

func requestOf(r update.Request) requestRecord {
	return requestRecord{
		Package: bytesText(r.Package), Version: bytesText(r.Version), By: byOf(by(r.By)),
		AllowDowngrade: r.AllowDowngrade, AllowPrerelease: r.AllowPrerelease,
	}
}

func decodeRequest(data string) (update.Request, error) {
	var r requestRecord
	err := decode(data, &r)
	return update.Request{
		Package: string(r.Package), Version: string(r.Version), By: update.By(r.By.by()),
		AllowDowngrade: r.AllowDowngrade, AllowPrerelease: r.AllowPrerelease,
	}, err
}

func stepOf(s update.StepRecord) stepRecord {
	return stepRecord{
		Name: bytesText(s.Name), Phase: bytesText(s.Phase), Attempt: s.Attempt, Data: s.Data, Error: bytesText(s.Error),
		Weight: s.Weight, Final: s.Final, NoUndo: s.NoUndo, StartedAt: s.StartedAt.UTC(), EndedAt: s.EndedAt.UTC(),
	}
}

func decodeStep(data string) (update.StepRecord, error) {
	var s stepRecord
	err := decode(data, &s)
	return update.StepRecord{
		Name: string(s.Name), Phase: update.Phase(s.Phase), Attempt: s.Attempt, Data: s.Data, Error: string(s.Error),
		Weight: s.Weight, Final: s.Final, NoUndo: s.NoUndo, StartedAt: s.StartedAt, EndedAt: s.EndedAt,
	}, err
}

func eventOf(e update.Event) eventRecord {
	return eventRecord{
		Package: bytesText(e.Package), Kind: bytesText(e.Kind), State: bytesText(e.State), Percent: e.Percent,
		Step: bytesText(e.Step), Phase: bytesText(e.Phase), Actor: bytesText(e.Actor), Message: bytesText(e.Message),
	}
}

func decodeEvent(data string) (update.Event, error) {
	var e eventRecord
	err := decode(data, &e)
	return update.Event{
		Package: string(e.Package), Kind: update.EventKind(e.Kind), State: update.State(e.State), Percent: e.Percent,
		Step: string(e.Step), Phase: update.Phase(e.Phase), Actor: string(e.Actor), Message: string(e.Message),
	}, err
}
