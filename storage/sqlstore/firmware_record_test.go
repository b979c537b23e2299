package sqlstore_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// storedDevice is what a record of package firmware looks like in the database.
// It may grow, but what is here must be read for ever: databases have it. That
// no field is forgotten is found out by the suite, on every engine.
var storedDevice = map[string]string{
	"SELECT detail FROM upkeep_firmware_device": `{"state":"pulling","info":"it \u003cpulls\u003e` + "\U0010ffff" + `",` +
		`"running":{"version":"1.0.0","epoch":2,"digest":"` + ones + `","whole":true,"run":"before","tries":1},` +
		`"checks":true,"prereleases":true,"kept":true,"check_time":"2026-05-01T12:30:00.123456789Z","check_reason":"no",` +
		`"check_cause":"expired","floor":2,"rolled_back":["` + ones + `"],"progress":"eyJhIjoxfQ=="}`,
	"SELECT record FROM upkeep_firmware_catalog": `{"product":"encoder","number":7,"issued":"2026-05-01T12:30:00.123456789Z",` +
		`"expires":"2026-05-01T12:30:00.123456789Z","releases":[` + storedRelease + `],"trust":"AQI="}`,
	"SELECT request FROM upkeep_firmware_run": `{"version":"1.1.0","allow_downgrade":true,"plan":"p",` +
		`"by":{"actor":"ada","reason":"due","request_id":"q"}}`,
	"SELECT detail FROM upkeep_firmware_run": `{"from":"1.0.0","version":"1.1.0","release":` + storedRelease + `,"state":"running",` +
		`"percent":50,"pulled":[{"key":"patch","value":5}],"reason":"why","cause":"no_space","undoes":"earlier",` +
		`"cancel":{"actor":"ada","reason":"due","request_id":"q"},"apply":{"actor":"ada","reason":"due","request_id":"q"},"owner":"host:1"}`,
	"SELECT record FROM upkeep_firmware_event": `{"kind":"log","state":"running","device":"pulling","percent":50,"actor":"ada","message":"begun"}`,
}

const (
	ones          = "01000000000000000000000000000000000000000000000000000000000000ff"
	storedRelease = `{"version":"1.1.0","prerelease":true,"time":"2026-05-01T12:30:00.123456789Z","epoch":3,"hardware":["r1"],` +
		`"min_from":"0.9","cohort":10,"size":4,"digest":"` + ones + `","index_name":"i","index_size":5,"index_digest":"` + ones + `",` +
		`"meta":[{"key":"a","value":"b"},{"key":"c"}]}`
)

func fullDevice() (firmware.Record, firmware.Event) {
	at := time.Date(2026, 5, 1, 12, 30, 0, 123456789, time.UTC)
	digest := [32]byte{0: 1, 31: 0xff}
	by := firmware.By{Actor: "ada", Reason: "due", RequestID: "q"}
	release := firmware.Release{
		Version: "1.1.0", Prerelease: true, Time: at, Epoch: 3, Hardware: []string{"r1"}, MinFrom: "0.9", Cohort: 10, Size: 4,
		Digest: digest, Index: firmware.Object{Name: "i", Size: 5, Digest: digest}, Meta: map[string]string{"c": "", "a": "b"},
	}
	return firmware.Record{
		Run: &firmware.Run{
			ID: "run", From: "1.0.0", Version: "1.1.0", Release: release, State: firmware.StateRunning, Percent: 50,
			Pulled: map[firmware.Way]int64{firmware.WayPatch: 5}, Reason: "why", Cause: "no_space", Undoes: "earlier",
			Request: firmware.Request{Version: "1.1.0", AllowDowngrade: true, Plan: "p", By: by}, Cancel: &by, Apply: &by, Owner: "host:1",
		},
		Device: firmware.DevicePulling, Info: "it <pulls>\xff",
		Running:  firmware.Slot{Version: "1.0.0", Epoch: 2, Digest: digest, Whole: true, Run: "before", Tries: 1},
		Settings: firmware.Settings{Checks: true, Prereleases: true}, Kept: true,
		Check:   firmware.Check{Time: at, Reason: "no", Cause: "expired"},
		Catalog: firmware.Catalog{Product: "encoder", Number: 7, Issued: at, Expires: at, Releases: []firmware.Release{release}},
		Trust:   []byte{1, 2}, Floor: 2, RolledBack: [][32]byte{digest}, Progress: []byte(`{"a":1}`),
	}, firmware.Event{Run: "run", Kind: firmware.EventLog, Actor: "ada", Message: "begun"}
}

func TestWhatIsStoredOfADeviceDoesNotChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := sqlite.Open(sqlite.Config{Path: path})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	record, event := fullDevice()
	written, err := db.Firmware("serial 1").Save(t.Context(), record, event)
	require.NoError(t, err)

	raw, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	defer raw.Close()
	for query, want := range storedDevice {
		var got string
		require.NoError(t, raw.QueryRow(query).Scan(&got))
		require.Equal(t, want, got, query)
	}
	again, err := sqlite.Open(sqlite.Config{Path: path}) // which has seen no catalog yet
	require.NoError(t, err)
	defer func() { require.NoError(t, again.Close()) }()
	read, err := again.Firmware("serial 1").Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, written, read)
}
