package sqlstore_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
)

// full is a run with something in every field.
func full() (update.Run, update.Event) {
	at := time.Date(2026, 5, 1, 12, 30, 0, 123456789, time.UTC)
	run := update.Run{
		ID: "run", Package: "demo/site", Item: "core", From: "1.0.0", Version: "1.1.0",
		Release: update.Release{
			Version: "1.1.0", Time: at, URL: "https://example.org/a?b&c", Digest: []byte{1, 2}, Signature: []byte{3}, Size: 4,
		},
		State: update.StateRollingBack, Percent: 50, Reason: "it <broke>\xff",
		Steps: []update.StepRecord{{
			Name: "publish", Phase: update.PhaseDoing, Attempt: 2, Data: []byte(`{"a":1}`), Error: "no",
			Weight: 3, Final: true, NoUndo: true, StartedAt: at, EndedAt: at,
		}},
		Request: update.Request{
			Package: "demo/site", Version: "^1", AllowDowngrade: true, AllowPrerelease: true,
			By: update.By{Actor: "ada", Reason: "due", RequestID: "q"},
		},
		Undoes: "earlier", Cancel: &update.By{Actor: "bob", Reason: "enough", RequestID: "c"}, Owner: "host:1", Token: 7,
	}
	event := update.Event{
		Kind: update.EventStep, Step: "publish", Phase: update.PhaseDoing, Actor: "ada", Message: "begun",
	}
	return run, event
}

// stored is what full looks like in the database. It may grow, but what is
// here must be read for ever: databases have it.
var stored = map[string]string{
	"SELECT request FROM upkeep_update_run": `{"package":"demo/site","version":"^1","allow_downgrade":true,` +
		`"allow_prerelease":true,"by":{"actor":"ada","reason":"due","request_id":"q"}}`,
	"SELECT detail FROM upkeep_update_run": `{"from":"1.0.0","version":"1.1.0","release":{"version":"1.1.0",` +
		`"time":"2026-05-01T12:30:00.123456789Z","url":"https://example.org/a?b\u0026c","digest":"AQI=",` +
		`"signature":"Aw==","size":4},"state":"rolling_back","percent":50,"reason":"it \u003cbroke\u003e` + "\U0010ffff" + `",` +
		`"undoes":"earlier","cancel":{"actor":"bob","reason":"enough","request_id":"c"},"owner":"host:1"}`,
	"SELECT record FROM upkeep_update_step": `{"name":"publish","phase":"doing","attempt":2,"data":"eyJhIjoxfQ==",` +
		`"error":"no","weight":3,"final":true,"no_undo":true,"started_at":"2026-05-01T12:30:00.123456789Z","ended_at":"2026-05-01T12:30:00.123456789Z"}`,
	"SELECT record FROM upkeep_update_event": `{"package":"demo/site","kind":"step","state":"rolling_back",` +
		`"percent":50,"step":"publish","phase":"doing","actor":"ada","message":"begun"}`,
}

func TestWhatIsStoredDoesNotChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := sqlite.Open(sqlite.Config{Path: path})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	run, event := full()
	written, err := db.Journal().Create(t.Context(), run, event)
	require.NoError(t, err)

	raw, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	defer raw.Close()
	for query, want := range stored {
		var got string
		require.NoError(t, raw.QueryRow(query).Scan(&got))
		require.Equal(t, want, got, query)
	}

	read, err := db.Journal().Get(t.Context(), run.ID)
	require.NoError(t, err)
	require.Equal(t, written, read)
	run.CreatedAt, run.UpdatedAt, run.Rev, run.Seq = read.CreatedAt, read.UpdatedAt, 1, 1
	require.Equal(t, run, read)
	for got, err := range db.Journal().Watch(t.Context(), 0) {
		require.NoError(t, err)
		event.Seq, event.Time, event.Run, event.Package = 1, got.Time, run.ID, run.Package
		event.State, event.Percent = run.State, run.Percent
		require.Equal(t, event, got)
		break
	}
}

func TestTextsOfAnyBytesComeBack(t *testing.T) {
	db, err := sqlite.Open(sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db"), Relaxed: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	texts := []string{
		"", "\x00", "a\xffb", "\xf4", "\xf4\x8f", "\xf4\x8f\xbf", "\U0010ff00", "\U0010ffff", "\U0010feff", "\U0010f000",
		"\ufffd", "\xef\xbf", "\xed\xa0\x80", "日本\xe6\x97", string(every), "\U0010ffff\xff\U0010ffff",
	}
	events := make([]update.Event, len(texts))
	for i, text := range texts {
		events[i] = update.Event{Kind: update.EventLog, Message: text}
	}
	_, err = db.Journal().Create(t.Context(), update.Run{ID: "run", State: update.StateRunning}, events...)
	require.NoError(t, err)
	i := 0
	for e, err := range db.Journal().Watch(t.Context(), 0) {
		require.NoError(t, err)
		require.Equal(t, texts[i], e.Message)
		if i++; i == len(texts) {
			break
		}
	}
}
