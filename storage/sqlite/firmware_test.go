package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/proctest"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// spiedDevice is a device whose statements are seen.
func spiedDevice(t *testing.T, keep storage.Retention) (*sqlite.DB, *spy, *sqlstore.Device) {
	db := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "state.db"), Relaxed: true})
	_, err := db.Firmware("serial 1").Load(t.Context()) // makes the tables
	require.NoError(t, err)
	s := &spy{DB: db.Engine()}
	return db, s, sqlstore.NewDevice(s, keep, "serial 1")
}

// pulling is a device with a run and a catalog.
func pulling(t *testing.T, d firmware.DeviceStore) firmware.Record {
	r := firmware.Record{
		Run: &firmware.Run{ID: "run", State: firmware.StateRunning}, Trust: []byte("keys"),
		Catalog: firmware.Catalog{Number: 1, Releases: []firmware.Release{{Version: "1.1.0", Meta: map[string]string{"a": "b"}}}},
	}
	r.Run.Request.By.RequestID = "request"
	r, err := d.Save(t.Context(), r, firmware.Event{Kind: firmware.EventStarted, Run: "run"})
	require.NoError(t, err)
	return r
}

func TestACheckpointIsThreeStatements(t *testing.T) {
	_, spy, d := spiedDevice(t, storage.Retention{})
	r := pulling(t, d)
	spy.seen()
	for percent := range 3 {
		r.Run.Percent, r.Progress = percent, []byte("so far")
		var err error
		r, err = d.Save(t.Context(), r, firmware.Event{Kind: firmware.EventProgress, Run: "run"})
		require.NoError(t, err)
		seen := spy.seen()
		require.Len(t, seen, 3, "the record, the run and the event")
		require.NotContains(t, strings.Join(seen, "\n"), "upkeep_firmware_catalog")

		r, err = d.Load(t.Context())
		require.NoError(t, err)
		seen = spy.seen()
		require.Len(t, seen, 2, "the record and the run")
		require.NotContains(t, strings.Join(seen, "\n"), "upkeep_firmware_catalog")
	}
	r.Catalog.Number++
	_, err := d.Save(t.Context(), r)
	require.NoError(t, err)
	require.Contains(t, strings.Join(spy.seen(), "\n"), "upkeep_firmware_catalog")
}

func TestACatalogThatIsNotWhatWasWrittenIsDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := open(t, sqlite.Config{Path: path, Relaxed: true})
	pulling(t, db.Firmware("serial 1"))
	require.NoError(t, db.Close())
	damage(t, path, `UPDATE upkeep_firmware_catalog SET record = '{"number":2}' WHERE device = ?`, []byte("serial 1"))
	db = open(t, sqlite.Config{Path: path, Relaxed: true})
	_, err := db.Firmware("serial 1").Load(t.Context())
	require.ErrorIs(t, err, firmware.ErrCorrupt)
	require.ErrorIs(t, err, storage.ErrCorrupt)
	require.ErrorContains(t, err, `"serial 1"`)
	damage(t, path, `DELETE FROM upkeep_firmware_catalog WHERE device = ?`, []byte("serial 1"))
	_, err = db.Firmware("serial 1").Load(t.Context())
	require.ErrorIs(t, err, firmware.ErrCorrupt)
	damage(t, path, `DELETE FROM upkeep_firmware_run WHERE device = ?`, []byte("serial 1"))
	_, err = db.Firmware("serial 1").Load(t.Context())
	require.ErrorIs(t, err, firmware.ErrCorrupt)
	require.ErrorContains(t, err, `"run"`)
}

func TestNoStatementOfADeviceReadsAWholeTable(t *testing.T) {
	db, spy, d := spiedDevice(t, storage.Retention{Events: 5})
	r := pulling(t, d)
	for i := range 20 {
		var err error
		r.Catalog.Number = int64(i)
		r, err = d.Save(t.Context(), r, firmware.Event{Kind: firmware.EventProgress, Run: "run"})
		require.NoError(t, err)
	}
	_, err := d.Save(t.Context(), firmware.Record{})
	require.ErrorIs(t, err, firmware.ErrStale)
	_, err = sqlstore.NewDevice(spy, storage.Retention{}, "serial 1").Load(t.Context())
	require.NoError(t, err)
	_, err = d.Get(t.Context(), "run")
	require.NoError(t, err)
	for _, q := range []firmware.Query{{}, {Live: true}, {RequestID: "request"}, {After: "run"}, {After: "none"}} {
		for _, err := range d.History(t.Context(), q) {
			require.True(t, err == nil || errors.Is(err, firmware.ErrNotFound))
		}
	}
	for range d.Watch(t.Context(), r.Run.Seq+18) {
		break
	}
	seen := spy.seen()
	require.Contains(t, strings.Join(seen, "\n"), "DELETE FROM upkeep_firmware_event")
	for _, query := range seen {
		for _, step := range plan(t, db, query) {
			if strings.HasPrefix(step, "SCAN") {
				require.Contains(t, []string{"SCAN upkeep_history", "SCAN h"}, step, query)
			}
		}
	}
}

func TestTheEventsOfADeviceGoOnInANewHistory(t *testing.T) {
	folder := t.TempDir()
	c, backup := sqlite.Config{Path: filepath.Join(folder, "state.db"), Relaxed: true}, filepath.Join(folder, "backup.db")
	db := open(t, c)
	save := func(device string, events int) firmware.Record {
		t.Helper()
		d := db.Firmware(device)
		r, err := d.Load(t.Context())
		require.NoError(t, err)
		id := fmt.Sprint("run ", r.Rev, time.Now().UnixNano())
		r.Run = &firmware.Run{ID: id, State: firmware.StateRunning}
		all := make([]firmware.Event, events)
		for i := range all {
			all[i] = firmware.Event{Kind: firmware.EventLog, Run: id}
		}
		r, err = d.Save(t.Context(), r, all...)
		require.NoError(t, err)
		return r
	}
	// told returns the events that a reader is told of before it hears that
	// others are gone.
	told := func(device string, after int64) (seqs []int64) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), proctest.Hangs)
		defer cancel()
		for e, err := range db.Firmware(device).Watch(ctx, after) {
			if err != nil {
				require.ErrorIs(t, err, firmware.ErrCompacted)
				return seqs
			}
			seqs = append(seqs, e.Seq)
		}
		return seqs
	}
	save("kept", 3)
	_, err := db.Firmware("quiet").Save(t.Context(), firmware.Record{}) // which has had no event
	require.NoError(t, err)
	require.NoError(t, db.Backup(t.Context(), backup))
	save("kept", 2)
	save("quiet", 2)
	save("lost", 4)
	require.NoError(t, db.Close())
	require.NoError(t, sqlite.Restore(t.Context(), backup, c))

	db = open(t, c)
	require.Equal(t, []int64{1, 2, 3}, told("kept", 0))
	for _, device := range []string{"kept", "quiet", "lost"} {
		require.Empty(t, told(device, 4), "at once: it may be another event by now")
	}
	require.Empty(t, told("quiet", 0))
	require.Empty(t, told("lost", 2))
	base, err := db.Base(t.Context())
	require.NoError(t, err)
	for _, device := range []string{"kept", "quiet", "lost", "new"} {
		first := nextOf(t, db, device, func() { save(device, 1) })
		require.Greater(t, first, base, "with numbers that were never given")
		seq := save(device, 3).Run.Seq
		for e, err := range db.Firmware(device).Watch(t.Context(), seq-1) {
			require.NoError(t, err, "a run is followed from its first event on")
			require.Equal(t, seq, e.Seq)
			break
		}
		for e, err := range db.Firmware(device).Watch(t.Context(), base) {
			require.NoError(t, err, "where the history begins a reader may begin")
			require.Equal(t, base+1, e.Seq)
			break
		}
		require.Empty(t, told(device, 4), "%s: it is of another history", device)
	}
}

// nextOf returns the first event that a reader sees who wants the next ones.
func nextOf(t *testing.T, db *sqlite.DB, device string, write func()) int64 {
	t.Helper()
	first := make(chan int64, 1)
	go func() {
		for e, err := range db.Firmware(device).Watch(t.Context(), -1) {
			if err != nil {
				e.Seq = -1
			}
			first <- e.Seq
			return
		}
	}()
	for range 1000 { // until the reader has begun
		write()
		select {
		case seq := <-first:
			return seq
		case <-time.After(5 * time.Millisecond):
		}
	}
	require.Fail(t, "no event has come")
	return 0
}
