package sqlstore

import (
	"context"
	"fmt"
	"sync"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
)

// Versions is the lv.VersionStore of a DB.
type Versions struct {
	db     DB
	d      Dialect
	events eventLog[lvLogged]

	findRow, findPointer, findGray, findTarget string

	tables *sync.Map // lv.TableID to int64: those that are known to be there
	inside bool      // a transaction of the caller's, who may take back what is there
}

var _ lv.VersionStore = (*Versions)(nil)

// Versions returns the rows of package lv.
func (a *Accessors) Versions() lv.VersionStore { return storeOf(a, "lv", "", NewVersions) }

// NewVersions returns the VersionStore of db. An engine makes one and keeps it.
func NewVersions(db DB, keep storage.Retention) *Versions {
	d := db.Dialect()
	return &Versions{
		db: db, d: d, events: newEventLog(db, keep, "lv", lvEvents), tables: new(sync.Map),
		findRow:     d.clocked(2, lvRowFind),
		findPointer: d.clocked(3, lvPointerFind),
		findGray:    d.clocked(4, lvGrayFind),
		findTarget:  d.clocked(2, lvTargetFind),
	}
}

// On returns the same store in a transaction of the caller's, which db stands
// for.
func (s *Versions) On(db DB) *Versions {
	on := *s
	on.db, on.inside, on.events = db, true, s.events.on(db)
	return &on
}

const (
	lvTableFind   = `SELECT id FROM upkeep_lv_table WHERE app = ?1 AND schema = ?2`
	lvTableInsert = `
INSERT INTO upkeep_lv_table (id, app, schema)
VALUES ((SELECT coalesce(max(id), 0) + 1 FROM upkeep_lv_table), ?1, ?2) RETURNING id`

	lvAnswerFind   = `SELECT answer FROM upkeep_lv_request WHERE tbl = ?1 AND id = ?2`
	lvAnswerInsert = `INSERT INTO upkeep_lv_request (tbl, id, answer) VALUES (?1, ?2, ?3)`
)

// lvTable is a table in a transaction.
type lvTable struct {
	Tx
	s  *Versions
	id lv.TableID
	n  int64 // 0: nobody has written to it

	remembered bool
}

// table finds a table.
func (s *Versions) table(tx Tx, id lv.TableID) (lvTable, error) {
	t := lvTable{Tx: tx, s: s, id: id}
	if n, ok := s.tables.Load(id); ok {
		t.n, t.remembered = n.(int64), true
		return t, nil
	}
	_, err := found(tx.Row(lvTableFind, []any{[]byte(id.App), []byte(id.Schema)}, &t.n))
	return t, err
}

// known remembers a table that is there for good.
func (s *Versions) known(t lvTable) {
	if t.n > 0 && !t.remembered && !s.inside {
		s.tables.Store(t.id, t.n)
	}
}

// read runs f on a snapshot of a table.
func (s *Versions) read(ctx context.Context, id lv.TableID, f func(lvTable) error) error {
	var t lvTable
	err := s.db.Read(ctx, func(tx Tx) (err error) {
		if t, err = s.table(tx, id); err != nil {
			return err
		}
		return f(t)
	})
	if err == nil {
		s.known(t)
	}
	return err
}

// lvWriting is one write to a table under way.
type lvWriting struct {
	lvTable
	by    lv.By
	seq   int64 // of its event
	given int64 // the last id that was given before it
	now   int64 // the time of it, Unix milliseconds
}

// head is where a statement that has lvHead leaves what it says.
func (w *lvWriting) head() []any { return []any{&w.seq, &w.given, &w.now} }

// lvHead says where the events are, and what time it is: columns for the
// statement that a write begins with.
const lvHead = `
	coalesce((SELECT e.seq FROM upkeep_lv_event e ORDER BY e.seq DESC LIMIT 1), 0) + 1,
	coalesce((SELECT e.version FROM upkeep_lv_event e ORDER BY e.seq DESC LIMIT 1), 0), {now}`

// lvAnswer is what a write returns: one of these.
type lvAnswer struct {
	versions []lv.Version
	release  *lv.Release
	strategy *lv.Strategy
}

// write runs f after every earlier write of the store, unless the request has
// its answer already.
func (s *Versions) write(ctx context.Context, id lv.TableID, by lv.By, f func(*lvWriting) (lvAnswer, error)) (lvAnswer, error) {
	if err := lv.CheckWrite(id, by); err != nil {
		return lvAnswer{}, err
	}
	var w *lvWriting
	var a lvAnswer
	err := s.db.Write(ctx, func(tx Tx) error {
		if err := s.events.lock(tx); err != nil {
			return err
		}
		t, err := s.table(tx, id)
		if err != nil {
			return err
		}
		w = &lvWriting{lvTable: t, by: by}
		earlier, err := w.earlier()
		if err != nil {
			return err
		}
		if earlier != nil {
			a = *earlier
			return nil
		}
		if a, err = f(w); err != nil {
			return err
		}
		return w.remember(a)
	})
	if err != nil {
		return lvAnswer{}, err
	}
	s.known(w.lvTable)
	return a, nil
}

// earlier returns the first answer to the request, or nil.
func (w *lvWriting) earlier() (*lvAnswer, error) {
	if w.by.RequestID == "" || w.n == 0 {
		return nil, nil
	}
	record, err := w.answer(w.by.RequestID)
	if err != nil || record == nil {
		return nil, err
	}
	return w.decodeAnswer(*record)
}

// answer returns what was first answered to a request, or nil.
func (t lvTable) answer(request string) (*answerRecord, error) {
	var data string
	there, err := found(t.Row(lvAnswerFind, []any{t.n, []byte(request)}, &data))
	if err != nil || !there {
		return nil, err
	}
	record := new(answerRecord)
	return record, decode(data, record)
}

// remember keeps the answer for when the request is repeated.
func (w *lvWriting) remember(a lvAnswer) error {
	if w.by.RequestID == "" || w.n == 0 {
		return nil
	}
	record, err := encodeAnswer(a)
	if err != nil {
		return err
	}
	return w.Exec(lvAnswerInsert, w.n, []byte(w.by.RequestID), record)
}

// create makes the table if it is not there.
func (w *lvWriting) create() error {
	if w.n > 0 {
		return nil
	}
	if err := w.Row(lvTableInsert, []any{[]byte(w.id.App), []byte(w.id.Schema)}, &w.n); err != nil {
		return err
	}
	return w.Exec(lvEnvInsert, w.n, []byte(lv.Production))
}

// errOtherRequest reports a request id that has got another kind of answer.
var errOtherRequest = fmt.Errorf("%w: the request id was used for something else", lv.ErrStale)
