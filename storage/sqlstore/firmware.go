package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/storage"
)

// Device is the firmware.DeviceStore of a device: its record, its runs and its
// events are rows of their own, so that a save writes what changed and no more.
type Device struct {
	db     DB
	d      Dialect
	device []byte
	events eventLog[firmware.Event]
	runs   runs[firmware.Run]
	kept   *atomic.Pointer[keptCatalog] // the catalog that was last read or written

	saveDevice, putDevice string
}

var _ firmware.DeviceStore = (*Device)(nil)

// Firmware returns what package firmware keeps of a device.
func (a *Accessors) Firmware(device string) firmware.DeviceStore {
	return storeOf(a, "firmware", device, func(db DB, keep storage.Retention) *Device { return NewDevice(db, keep, device) })
}

// NewDevice returns the DeviceStore of a device in db. An engine makes one of
// each and keeps it.
func NewDevice(db DB, keep storage.Retention, device string) *Device {
	d := db.Dialect()
	return &Device{
		db: db, d: d, device: []byte(device),
		events: newEventLog(db, keep, "firmware", firmwareEvents).logOf(device),
		runs:   runs[firmware.Run]{firmwareRuns, []byte(device)},
		kept:   new(atomic.Pointer[keptCatalog]),

		saveDevice: d.clocked(6, firmwareSave),
		putDevice:  d.clocked(6, firmwarePut),
	}
}

// On returns the same store in a transaction of the caller's, which db stands
// for.
func (s *Device) On(db DB) *Device {
	on := *s
	on.db, on.events = db, s.events.on(db)
	return &on
}

const (
	// firmwareSave is the save of a record whose catalog stays as it is: three
	// statements with that of the run and that of an event.
	firmwareSave = `
UPDATE upkeep_firmware_device SET rev = rev + 1, token = ?3, run = ?5, detail = ?6
WHERE device = ?1 AND rev = ?2 AND token <= ?3 AND catalog = ?4
RETURNING {now},` + firmwareNext

	// firmwarePut is any other save, of a record whose rev is known.
	firmwarePut = `
INSERT INTO upkeep_firmware_device (device, rev, token, run, catalog, detail) VALUES (?1, CAST(?2 AS BIGINT) + 1, ?3, ?5, ?4, ?6)
ON CONFLICT (device) DO UPDATE SET
	rev = excluded.rev, token = excluded.token, run = excluded.run, catalog = excluded.catalog, detail = excluded.detail
RETURNING {now},` + firmwareNext

	// firmwareNext is the number of the device's next event: those of a device
	// that is new follow where the history begins.
	firmwareNext = ` (SELECT coalesce(max(e.seq), (SELECT max(h.base) FROM upkeep_history AS h), 0) + 1
	FROM upkeep_firmware_event AS e WHERE e.device = ?1)`

	firmwareRev = `SELECT rev, token FROM upkeep_firmware_device WHERE device = ?1`

	firmwareLoad = `SELECT rev, token, run, catalog, detail FROM upkeep_firmware_device WHERE device = ?1`

	catalogPut = `
INSERT INTO upkeep_firmware_catalog (device, record) VALUES (?1, ?2)
ON CONFLICT (device) DO UPDATE SET record = excluded.record`

	catalogRead = `SELECT record FROM upkeep_firmware_catalog WHERE device = ?1`
)

// Load keeps the promise of firmware.DeviceStore.
func (s *Device) Load(ctx context.Context) (firmware.Record, error) {
	var r firmware.Record
	err := s.db.Read(ctx, func(tx Tx) (err error) {
		r, err = s.load(tx)
		return err
	})
	if err != nil {
		return firmware.Record{}, fmt.Errorf("reading device %q: %w", s.device, err)
	}
	return r, nil
}

func (s *Device) load(tx Tx) (r firmware.Record, err error) {
	var run []byte
	var catalog, detail string
	there, err := found(tx.Row(firmwareLoad, []any{s.device}, &r.Rev, &r.Token, &run, &catalog, &detail))
	if err != nil || !there {
		return r, err
	}
	if err := decodeDevice(detail, &r); err != nil {
		return r, err
	}
	if run != nil {
		last, err := s.runs.one(tx, s.runs.where("id = ?1", run))
		if errors.Is(err, firmware.ErrNotFound) {
			err = fmt.Errorf("%w: %w: run %q is not there", firmware.ErrCorrupt, storage.ErrCorrupt, run)
		}
		if err != nil {
			return r, err
		}
		r.Run = &last
	}
	kept, err := s.catalog(tx, catalog)
	if err != nil {
		return r, err
	}
	r.Catalog, r.Trust = kept.catalog.Clone(), slices.Clone(kept.trust)
	return r, nil
}

// catalog returns what has a digest: what this process has seen last, if that
// has it.
func (s *Device) catalog(tx Tx, digest string) (*keptCatalog, error) {
	if kept := s.kept.Load(); kept != nil && kept.digest == digest {
		return kept, nil
	}
	var record string
	err := tx.Row(catalogRead, []any{s.device}, &record)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	kept, err := decodeCatalog(record, digest)
	if err == nil {
		s.kept.Store(kept)
	}
	return kept, err
}

// Save keeps the promise of firmware.DeviceStore.
func (s *Device) Save(ctx context.Context, r firmware.Record, events ...firmware.Event) (firmware.Record, error) {
	if r.Run != nil && r.Run.ID == "" {
		return firmware.Record{}, fmt.Errorf("%w: a run without an id", firmware.ErrInvalid)
	}
	kept, err := keeping(r, s.kept.Load())
	if err != nil {
		return firmware.Record{}, err
	}
	var saved firmware.Record
	err = s.db.Write(ctx, func(tx Tx) error {
		if err := s.events.lock(tx); err != nil {
			return err
		}
		saved = r
		now, next, err := s.replace(tx, r, kept)
		if err != nil {
			return err
		}
		if saved.Rev++; r.Run != nil {
			run := *r.Run
			saved.Run = &run
			if err := s.putRun(tx, &run, now, next, events); err != nil {
				return err
			}
		}
		return s.append(tx, next, now, saved, events)
	})
	if err != nil {
		return firmware.Record{}, fmt.Errorf("saving device %q: %w", s.device, err)
	}
	s.kept.Store(kept)
	return saved.Clone(), nil
}

// replace writes the record without its run. It returns the time, and the number
// of the next event.
func (s *Device) replace(tx Tx, r firmware.Record, kept *keptCatalog) (now, next int64, err error) {
	detail, err := encode(deviceOf(r))
	if err != nil {
		return 0, 0, err
	}
	var run any // NULL for none
	if r.Run != nil {
		run = []byte(r.Run.ID)
	}
	args := []any{s.device, r.Rev, r.Token, kept.digest, run, detail}
	err = tx.Row(s.saveDevice, s.d.withNow(slices.Clone(args)...), &now, &next)
	if !errors.Is(err, sql.ErrNoRows) {
		return now, next, err
	}
	var rev, token int64
	if _, err := found(tx.Row(firmwareRev, []any{s.device}, &rev, &token)); err != nil {
		return 0, 0, err
	}
	if rev != r.Rev || token > r.Token {
		return 0, 0, firmware.ErrStale
	}
	record, err := kept.record()
	if err == nil {
		err = tx.Exec(catalogPut, s.device, record)
	}
	if err == nil {
		err = tx.Row(s.putDevice, s.d.withNow(args...), &now, &next)
	}
	return now, next, err
}
