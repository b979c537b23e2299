package sqlstore

import (
	"context"
	"iter"
	"time"

	"github.com/upkeep-go/upkeep/update"
)

// updateEvents is the log of a Journal.
var updateEvents = &eventTable[update.Event]{
	insert:    `INSERT INTO upkeep_update_event (seq, time_ms, run, record) VALUES (?1, ?2, ?3, ?4)`,
	after:     `SELECT seq, time_ms, run, record FROM upkeep_update_event WHERE seq >= ?1 ORDER BY seq LIMIT {size}`,
	compacted: update.ErrCompacted,
	scan: scanEvents(decodeEvent, update.Event{Kind: update.EventCorrupt}, func(e *update.Event, seq int64, at time.Time, run string) {
		e.Seq, e.Time, e.Run = seq, at, run
	}),
}

// append writes the events of a run, the first of which has the number seq.
func (j *Journal) append(tx Tx, seq int64, run update.Run, events []update.Event) error {
	for i, e := range events {
		e.Package, e.State, e.Percent = run.Package, run.State, run.Percent
		record, err := encode(eventOf(e))
		if err != nil {
			return err
		}
		if err := j.events.append(tx, seq+int64(i), millis(run.UpdatedAt), []byte(run.ID), record); err != nil {
			return err
		}
	}
	return nil
}

// Watch keeps the promise of update.Journal.
func (j *Journal) Watch(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
	return j.events.watch(ctx, after)
}
