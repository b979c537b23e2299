package sqlstore

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/update"
)

// What is stored as JSON has types of its own: renaming a field of the domain
// cannot lose data that is on disk already. A field here may be added, never
// renamed.

type detailRecord struct {
	From    string        `json:"from,omitempty"`
	Version string        `json:"version,omitempty"`
	Release releaseRecord `json:"release,omitzero"`
	State   string        `json:"state,omitempty"`
	Percent int           `json:"percent,omitempty"`
	Reason  string        `json:"reason,omitempty"`
	Undoes  string        `json:"undoes,omitempty"`
	Cancel  *byRecord     `json:"cancel,omitempty"`
	Owner   string        `json:"owner,omitempty"`
}

type releaseRecord struct {
	Version   string    `json:"version,omitempty"`
	Time      time.Time `json:"time,omitzero"`
	URL       string    `json:"url,omitempty"`
	Digest    []byte    `json:"digest,omitempty"`
	Signature []byte    `json:"signature,omitempty"`
	Size      int64     `json:"size,omitempty"`
}

type byRecord struct {
	Actor     string `json:"actor,omitempty"`
	Reason    string `json:"reason,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}

type requestRecord struct {
	Package         string   `json:"package,omitempty"`
	Version         string   `json:"version,omitempty"`
	AllowDowngrade  bool     `json:"allow_downgrade,omitempty"`
	AllowPrerelease bool     `json:"allow_prerelease,omitempty"`
	By              byRecord `json:"by,omitzero"`
}

type stepRecord struct {
	Name      string    `json:"name,omitempty"`
	Phase     string    `json:"phase,omitempty"`
	Attempt   int       `json:"attempt,omitempty"`
	Data      []byte    `json:"data,omitempty"`
	Error     string    `json:"error,omitempty"`
	Weight    int       `json:"weight,omitempty"`
	Final     bool      `json:"final,omitempty"`
	NoUndo    bool      `json:"no_undo,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

type eventRecord struct {
	Package string `json:"package,omitempty"`
	Kind    string `json:"kind,omitempty"`
	State   string `json:"state,omitempty"`
	Percent int    `json:"percent,omitempty"`
	Step    string `json:"step,omitempty"`
	Phase   string `json:"phase,omitempty"`
	Actor   string `json:"actor,omitempty"`
	Message string `json:"message,omitempty"`
}

// JSON has no place for bytes that are not UTF-8. They are kept as the last
// 256 characters of Unicode, which are for private use: escape stands for the
// byte 0. Where a text has such a character itself, its bytes are kept so.
const (
	escape       = 0x10ff00
	escapePrefix = "\xf4\x8f" // what those characters begin with, and few others
)

// text makes a string of any bytes fit for JSON.
func text[T ~string](t T) string {
	s := string(t)
	if utf8.ValidString(s) && !strings.Contains(s, escapePrefix) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r < escape && (r != utf8.RuneError || size > 1) {
			b.WriteRune(r)
		} else {
			for _, c := range []byte(s[:size]) {
				b.WriteRune(escape + rune(c))
			}
		}
		s = s[size:]
	}
	return b.String()
}

// untext takes back what text did.
func untext(s string) string {
	if !strings.Contains(s, escapePrefix) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if r < escape {
			b.WriteRune(r)
		} else {
			b.WriteByte(byte(r - escape))
		}
	}
	return b.String()
}

func encode(record any) (string, error) {
	data, err := json.Marshal(record)
	return string(data), err
}

func decode(data string, record any) error {
	if err := json.Unmarshal([]byte(data), record); err != nil {
		return fmt.Errorf("%w: reading a record: %w", storage.ErrCorrupt, err)
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
		by := byOf(*r.Cancel)
		d.Cancel = &by
	}
	return d
}

func decodeDetail(data string, r *update.Run) error {
	var d detailRecord
	if err := decode(data, &d); err != nil {
		return err
	}
	r.From, r.Version, r.State, r.Percent = untext(d.From), untext(d.Version), update.State(untext(d.State)), d.Percent
	r.Reason, r.Undoes, r.Owner = untext(d.Reason), untext(d.Undoes), untext(d.Owner)
	r.Release = update.Release{
		Version: untext(d.Release.Version), Time: d.Release.Time, URL: untext(d.Release.URL),
		Digest: d.Release.Digest, Signature: d.Release.Signature, Size: d.Release.Size,
	}
	if d.Cancel != nil {
		by := d.Cancel.by()
		r.Cancel = &by
	}
	return nil
}

func byOf(b update.By) byRecord {
	return byRecord{Actor: text(b.Actor), Reason: text(b.Reason), RequestID: text(b.RequestID)}
}

func (b byRecord) by() update.By {
	return update.By{Actor: untext(b.Actor), Reason: untext(b.Reason), RequestID: untext(b.RequestID)}
}

func requestOf(r update.Request) requestRecord {
	return requestRecord{
		Package: text(r.Package), Version: text(r.Version), By: byOf(r.By),
		AllowDowngrade: r.AllowDowngrade, AllowPrerelease: r.AllowPrerelease,
	}
}

func decodeRequest(data string) (update.Request, error) {
	var r requestRecord
	err := decode(data, &r)
	return update.Request{
		Package: untext(r.Package), Version: untext(r.Version), By: r.By.by(),
		AllowDowngrade: r.AllowDowngrade, AllowPrerelease: r.AllowPrerelease,
	}, err
}

func stepOf(s update.StepRecord) stepRecord {
	return stepRecord{
		Name: text(s.Name), Phase: text(s.Phase), Attempt: s.Attempt, Data: s.Data, Error: text(s.Error),
		Weight: s.Weight, Final: s.Final, NoUndo: s.NoUndo, StartedAt: s.StartedAt.UTC(), EndedAt: s.EndedAt.UTC(),
	}
}

func decodeStep(data string) (update.StepRecord, error) {
	var s stepRecord
	err := decode(data, &s)
	return update.StepRecord{
		Name: untext(s.Name), Phase: update.Phase(untext(s.Phase)), Attempt: s.Attempt, Data: s.Data, Error: untext(s.Error),
		Weight: s.Weight, Final: s.Final, NoUndo: s.NoUndo, StartedAt: s.StartedAt, EndedAt: s.EndedAt,
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
		Package: untext(e.Package), Kind: update.EventKind(untext(e.Kind)), State: update.State(untext(e.State)), Percent: e.Percent,
		Step: untext(e.Step), Phase: update.Phase(untext(e.Phase)), Actor: untext(e.Actor), Message: untext(e.Message),
	}, err
}
