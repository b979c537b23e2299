package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
)

// firmwareRuns is the table of the runs of all devices.
var firmwareRuns = &runTable[firmware.Run]{
	name:     "upkeep_firmware_run",
	columns:  "n, id, seq, created_ms, updated_ms, ended_ms, request, detail",
	part:     "device",
	notFound: firmware.ErrNotFound,
	scan:     scanFirmwareRun,
}

const (
	firmwareRunSave = `
UPDATE upkeep_firmware_run SET updated_ms = ?3, detail = ?4, live = ?5,
	ended_ms = CASE WHEN CAST(?5 AS BIGINT) = 1 THEN 0 WHEN ended_ms > 0 THEN ended_ms ELSE CAST(?3 AS BIGINT) END
WHERE device = ?1 AND id = ?2
RETURNING seq, created_ms, ended_ms, request`

	firmwareRunOfRequest = `SELECT id FROM upkeep_firmware_run WHERE device = ?1 AND request_id = ?2`

	firmwareRunInsert = `
INSERT INTO upkeep_firmware_run
	(device, n, id, request_id, live, seq, created_ms, updated_ms, ended_ms, request, detail)
VALUES (?1, (SELECT coalesce(max(n), 0) + 1 FROM upkeep_firmware_run WHERE device = ?1), ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9)`
)

// putRun writes the run of a record and completes it. Seq is the number of the
// first of the events.
func (s *Device) putRun(tx Tx, run *firmware.Run, now, seq int64, events []firmware.Event) error {
	detail, err := encode(firmwareRunOf(*run))
	if err != nil {
		return err
	}
	var created, ended int64
	var request string
	err = tx.Row(firmwareRunSave, []any{s.device, []byte(run.ID), now, detail, flag(!run.State.Done())},
		&run.Seq, &created, &ended, &request)
	if errors.Is(err, sql.ErrNoRows) {
		return s.insertRun(tx, run, now, seq, detail, events)
	}
	if err != nil {
		return err
	}
	run.CreatedAt, run.UpdatedAt, run.EndedAt = utc(created), utc(now), utc(ended)
	run.Request, err = decodeFirmwareRequest(request)
	return err
}

func (s *Device) insertRun(tx Tx, run *firmware.Run, now, seq int64, detail string, events []firmware.Event) error {
	var requestID any // NULL for none: the index of requests is unique
	if id := run.Request.By.RequestID; id != "" {
		requestID = []byte(id)
		var earlier []byte
		there, err := found(tx.Row(firmwareRunOfRequest, []any{s.device, requestID}, &earlier))
		if err != nil {
			return err
		}
		if there {
			return fmt.Errorf("%w: request %q began run %q", firmware.ErrExists, id, earlier)
		}
	}
	request, err := encode(firmwareRequestOf(run.Request))
	if err != nil {
		return err
	}
	run.Seq = 0
	if i := slices.IndexFunc(events, func(e firmware.Event) bool { return e.Run == run.ID }); i >= 0 {
		run.Seq = seq + int64(i)
	}
	var ended int64
	if run.State.Done() {
		ended = now
	}
	run.CreatedAt, run.UpdatedAt, run.EndedAt = utc(now), utc(now), utc(ended)
	return tx.Exec(firmwareRunInsert, s.device, []byte(run.ID), requestID, flag(!run.State.Done()), run.Seq, now, ended, request, detail)
}

// Get keeps the promise of firmware.DeviceStore.
func (s *Device) Get(ctx context.Context, id string) (firmware.Run, error) {
	return s.runs.get(ctx, s.db, id)
}

// History keeps the promise of firmware.DeviceStore.
func (s *Device) History(ctx context.Context, q firmware.Query) iter.Seq2[firmware.Run, error] {
	return s.runs.history(ctx, s.db, q.After, func(of *query) {
		if q.RequestID != "" {
			of.and("request_id", []byte(q.RequestID))
		}
		if q.Live {
			of.text += " AND live = 1"
		}
	})
}

func scanFirmwareRun(scan func(...any) error) (r scannedRun[firmware.Run], err error) {
	var created, updated, ended int64
	var id []byte
	var request, detail string
	run := &r.run
	if err = scan(&r.n, &id, &run.Seq, &created, &updated, &ended, &request, &detail); err != nil {
		return r, err
	}
	r.id, r.bytes, r.fault = string(id), len(request)+len(detail), decodeFirmwareRun(detail, run)
	run.ID = r.id
	run.CreatedAt, run.UpdatedAt, run.EndedAt = utc(created), utc(updated), utc(ended)
	var fault error
	if run.Request, fault = decodeFirmwareRequest(request); r.fault == nil {
		r.fault = fault
	}
	return r, nil
}

// firmwareEvents is the table of the events of all devices.
var firmwareEvents = &eventTable[firmware.Event]{
	insert:    `INSERT INTO upkeep_firmware_event (seq, time_ms, device, run, record) VALUES (?1, ?2, ?3, ?4, ?5)`,
	after:     `SELECT seq, time_ms, run, record FROM upkeep_firmware_event WHERE seq >= ?1{and} ORDER BY seq LIMIT {size}`,
	part:      "device",
	compacted: firmware.ErrCompacted,
	scan: scanEvents(decodeFirmwareEvent, firmware.Event{Kind: firmware.EventCorrupt}, func(e *firmware.Event, seq int64, at time.Time, run string) {
		e.Seq, e.Time, e.Run = seq, at, run
	}),
}

// append writes the events of a save, the first of which has the number seq.
func (s *Device) append(tx Tx, seq, now int64, r firmware.Record, events []firmware.Event) error {
	for i, e := range events {
		e.Device, e.State, e.Percent = r.Device, "", 0
		if r.Run != nil && e.Run == r.Run.ID {
			e.State, e.Percent = r.Run.State, r.Run.Percent
		}
		record, err := encode(firmwareEventOf(e))
		if err != nil {
			return err
		}
		if err := s.events.append(tx, seq+int64(i), now, s.device, []byte(e.Run), record); err != nil {
			return err
		}
	}
	return nil
}

// Watch keeps the promise of firmware.DeviceStore.
func (s *Device) Watch(ctx context.Context, after int64) iter.Seq2[firmware.Event, error] {
	return s.events.watch(ctx, after)
}
