package sqlstore

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/update"
)

// What is stored as JSON has types of its own: renaming a field of the domain
// cannot lose data that is on disk already. A field here may be added, never
// renamed.

type detailRecord struct {
	From    text          `json:"from,omitempty"`
	Version text          `json:"version,omitempty"`
	Release releaseRecord `json:"release,omitzero"`
	State   text          `json:"state,omitempty"`
	Percent int           `json:"percent,omitempty"`
	Reason  text          `json:"reason,omitempty"`
	Undoes  text          `json:"undoes,omitempty"`
	Cancel  *byRecord     `json:"cancel,omitempty"`
	Owner   text          `json:"owner,omitempty"`
}

type releaseRecord struct {
	Version   text      `json:"version,omitempty"`
	Time      time.Time `json:"time,omitzero"`
	URL       text      `json:"url,omitempty"`
	Digest    []byte    `json:"digest,omitempty"`
	Signature []byte    `json:"signature,omitempty"`
	Size      int64     `json:"size,omitempty"`
}

type byRecord struct {
	Actor  text `json:"actor,omitempty"`
	Reason text `json:"reason,omitempty"`
}

type requestRecord struct {
	Package         text `json:"package,omitempty"`
	Version         text `json:"version,omitempty"`
	AllowDowngrade  bool `json:"allow_downgrade,omitempty"`
	AllowPrerelease bool `json:"allow_prerelease,omitempty"`
	Actor           text `json:"actor,omitempty"`
	RequestID       text `json:"request_id,omitempty"`
}

type stepRecord struct {
	Name      text      `json:"name,omitempty"`
	Phase     text      `json:"phase,omitempty"`
	Attempt   int       `json:"attempt,omitempty"`
	Data      []byte    `json:"data,omitempty"`
	Error     text      `json:"error,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

type eventRecord struct {
	Package text `json:"package,omitempty"`
	Kind    text `json:"kind,omitempty"`
	State   text `json:"state,omitempty"`
	Percent int  `json:"percent,omitempty"`
	Step    text `json:"step,omitempty"`
	Phase   text `json:"phase,omitempty"`
	Actor   text `json:"actor,omitempty"`
	Message text `json:"message,omitempty"`
}

// text is a string of any bytes: JSON has no place for those that are not
// UTF-8, which it keeps as a list of one base64 string.
type text string

func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal([][]byte{[]byte(t)})
}

func (t *text) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		var raw [1][]byte
		err := json.Unmarshal(data, &raw)
		*t = text(raw[0])
		return err
	}
	return json.Unmarshal(data, (*string)(t))
}

func encode(record any) (string, error) {
	data, err := json.Marshal(record)
	return string(data), err
}

func decode(data string, record any) error {
	if err := json.Unmarshal([]byte(data), record); err != nil {
		return fmt.Errorf("sqlstore: reading a record: %w", err)
	}
	return nil
}

func detailOf(r update.Run) detailRecord {
	d := detailRecord{
		From: text(r.From), Version: text(r.Version), State: text(r.State), Percent: r.Percent,
		Reason: text(r.Reason), Undoes: text(r.Undoes), Owner: text(r.Owner),
		Release: releaseRecord{
			Version: text(r.Release.Version), Time: r.Release.Time.UTC(), URL: text(r.Release.URL),
			Digest: r.Release.Digest, Signature: r.Release.Signature, Size: r.Release.Size,
		},
	}
	if r.Cancel != nil {
		d.Cancel = &byRecord{Actor: text(r.Cancel.Actor), Reason: text(r.Cancel.Reason)}
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
		r.Cancel = &update.By{Actor: string(d.Cancel.Actor), Reason: string(d.Cancel.Reason)}
	}
	return nil
}

func requestOf(r update.Request) requestRecord {
	return requestRecord{
		Package: text(r.Package), Version: text(r.Version), Actor: text(r.Actor), RequestID: text(r.RequestID),
		AllowDowngrade: r.AllowDowngrade, AllowPrerelease: r.AllowPrerelease,
	}
}

func decodeRequest(data string) (update.Request, error) {
	var r requestRecord
	err := decode(data, &r)
	return update.Request{
		Package: string(r.Package), Version: string(r.Version), Actor: string(r.Actor), RequestID: string(r.RequestID),
		AllowDowngrade: r.AllowDowngrade, AllowPrerelease: r.AllowPrerelease,
	}, err
}

func stepOf(s update.StepRecord) stepRecord {
	return stepRecord{
		Name: text(s.Name), Phase: text(s.Phase), Attempt: s.Attempt, Data: s.Data, Error: text(s.Error),
		StartedAt: s.StartedAt.UTC(), EndedAt: s.EndedAt.UTC(),
	}
}

func decodeStep(data string) (update.StepRecord, error) {
	var s stepRecord
	err := decode(data, &s)
	return update.StepRecord{
		Name: string(s.Name), Phase: update.Phase(s.Phase), Attempt: s.Attempt, Data: s.Data, Error: string(s.Error),
		StartedAt: s.StartedAt, EndedAt: s.EndedAt,
	}, err
}

func eventOf(e update.Event) eventRecord {
	return eventRecord{
		Package: text(e.Package), Kind: text(e.Kind), State: text(e.State), Percent: e.Percent,
		Step: text(e.Step), Phase: text(e.Phase), Actor: text(e.Actor), Message: text(e.Message),
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
