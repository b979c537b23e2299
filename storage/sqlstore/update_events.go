package sqlstore

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/upkeep-go/upkeep/update"
)

// Events are numbered without a gap but where a history begins, in the order of
// their commits: a reader that finds one missing knows that it was pruned, or
// is of another history.
const (
	eventInsert = `
INSERT INTO upkeep_update_event (seq, time_ms, run, record)
VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM upkeep_update_event), {now}, ?1, ?2)`

	eventsAfter = `SELECT seq, time_ms, run, record FROM upkeep_update_event
WHERE seq >= ?1 ORDER BY seq LIMIT 257`

	eventNewest = `SELECT coalesce(max(seq), 0) FROM upkeep_update_event`
	eventRange  = `SELECT coalesce((SELECT min(seq) FROM upkeep_update_event), 0),
	coalesce((SELECT max(seq) FROM upkeep_update_event), 0)`

	// eventFirstYoung finds the first event before ?1 that is at most ?2 old.
	eventFirstYoung = `SELECT coalesce(min(seq), ?1) FROM upkeep_update_event
WHERE seq < ?1 AND time_ms >= {now} - ?2`

	// eventsKept finds the first of the newest ?1 events.
	eventsKept = `SELECT min(seq) FROM (SELECT seq FROM upkeep_update_event ORDER BY seq DESC LIMIT ?1) AS kept`

	eventPrune = `DELETE FROM upkeep_update_event WHERE seq < ?1`
)

// append writes the events of a run, and now and then deletes old ones.
func (j *Journal) append(tx Tx, run update.Run, events []update.Event) error {
	for _, e := range events {
		e.Package, e.State, e.Percent = run.Package, run.State, run.Percent
		record, err := encode(eventOf(e))
		if err != nil {
			return err
		}
		if err := tx.Exec(j.insertEvent, j.d.withNow([]byte(run.ID), record)...); err != nil {
			return err
		}
	}
	if !j.due(len(events)) {
		return nil
	}
	return j.prune(tx)
}

// pruneChunk bounds the work that pruning adds to one write. It is more than
// the events between two prunings, so that pruning catches up.
const pruneChunk = 2000

// due reports that it is time to prune: at the first write of the process,
// every 1,000 events or a tenth of what is kept if that is less, and now and
// then because events age.
func (j *Journal) due(events int) bool {
	now := time.Now().UnixMilli()
	written := j.written.Add(int64(events))
	age := now - j.pruned.Load()
	if written < int64(min(1000, j.keep.Events/10)) && age >= 0 && age < j.keep.Age.Milliseconds()/30 {
		return false
	}
	j.written.Store(0)
	j.pruned.Store(now)
	return true
}

// prune deletes the oldest events that are too many or too old, never the
// newest.
func (j *Journal) prune(tx Tx) error {
	var oldest, newest int64
	if err := tx.Row(eventRange, nil, &oldest, &newest); err != nil {
		return err
	}
	end := min(oldest+pruneChunk, newest) // the first event that must stay
	keep, err := firstKept(tx, eventsKept, oldest, newest, j.keep.Events)
	if err != nil {
		return err
	}
	keep = min(keep, end)
	var young int64
	if err := tx.Row(j.firstYoung, j.d.withNow(end, j.keep.Age.Milliseconds()), &young); err != nil {
		return err
	}
	if keep = max(keep, young); keep <= oldest {
		return nil
	}
	return tx.Exec(eventPrune, keep)
}

// Watch keeps the promise of update.Journal.
func (j *Journal) Watch(ctx context.Context, after int64) iter.Seq2[update.Event, error] {
	return func(yield func(update.Event, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		err := j.watch(ctx, after, func(e update.Event) bool { return yield(e, nil) })
		if err != nil {
			yield(update.Event{}, fmt.Errorf("watching events: %w", err))
		}
	}
}

// watch returns nil once the caller breaks.
func (j *Journal) watch(ctx context.Context, after int64, yield func(update.Event) bool) error {
	if after < 0 {
		if err := j.db.Row(ctx, eventNewest, nil, &after); err != nil {
			return err
		}
	}
	at := int64(0) // the time of the event after, once it is known
	for {
		changed := j.db.Changed(ctx)
		batch, anchor, err := j.events(ctx, after)
		if err != nil {
			return err
		}
		if !anchor.holds(after, at, len(batch) > 0) {
			return fmt.Errorf("%w: event %d is another one, or is not yet", update.ErrCompacted, after)
		}
		at = anchor.time
		for _, e := range batch {
			if e.Seq != after+1 {
				return update.ErrCompacted
			}
			if !yield(e) {
				return nil
			}
			after, at = e.Seq, e.Time.UnixMilli()
		}
		if len(batch) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// events reads the next events after a number, and the event of the number.
func (j *Journal) events(ctx context.Context, after int64) (batch []update.Event, a anchor, err error) {
	err = j.feeds.read(ctx, j.db, func(tx Tx) error {
		batch, a = batch[:0], anchor{}
		return tx.Query(eventsAfter, []any{after}, func(scan func(...any) error) error {
			var seq, ms int64
			var run []byte
			var record string
			if err := scan(&seq, &ms, &run, &record); err != nil {
				return err
			}
			if seq == after {
				a = anchor{there: true, time: ms}
				return nil
			}
			if len(run) == 0 { // a history begins
				return nil
			}
			e, err := decodeEvent(record)
			if err != nil {
				e = update.Event{Kind: update.EventCorrupt}
			}
			e.Seq, e.Time, e.Run = seq, time.UnixMilli(ms).UTC(), string(run)
			batch = append(batch, e)
			return nil
		})
	})
	return batch, a, err
}
