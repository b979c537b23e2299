package memory

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/eventlog"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
)

// versions is the lv.VersionStore of a DB. Contents that are in it are never
// changed; they are copied on their way in and out.
type versions struct {
	db      *DB
	history string // its name: it ends with the process
	tables  map[lv.TableID]*table
	last    lv.VersionID // given to a version
	log     eventlog.Log[lv.Event]
}

var _ lv.VersionStore = (*versions)(nil)

// table is what is kept of a table.
type table struct {
	id         lv.TableID
	seq        int64 // of its last event
	time       time.Time
	rows       map[string]*row
	byStatus   [rowStatuses]map[string]*row
	versions   []*version    // oldest first, without forgotten ones
	releases   []*lv.Release // oldest first
	strategies map[int64]lv.Strategy
	envs       map[lv.Env]bool // the grays that somebody has published to
	requests   map[string]any  // the answers
}

// row is what is kept of a row. A row is never dropped.
type row struct {
	name     string
	created  time.Time
	versions []*version // oldest first, with forgotten ones
	moves    map[lv.Env][]move
	status   rowStatus
}

// rowStatus compares the working row with production, and that of a deletion
// with whatever shows the row.
type rowStatus int

const (
	rowUnborn   rowStatus = iota // there is no version yet
	rowSame                      // both show the same
	rowChanged                   // the working row shows something else
	rowDeleted                   // only an environment or a strategy shows the row
	rowGone                      // nobody shows it
	rowStatuses = iota
)

// version is a version, and the Seq of the event that made it.
type version struct {
	lv.Version
	digest    [sha256.Size]byte
	seq       int64
	forgotten bool
}

// move is what a release did to the pointer of one row in one environment.
type move struct {
	seq      int64
	from, to *version // nil is none
	release  *lv.Release
}

// Versions returns the rows of package lv.
func (db *DB) Versions() lv.VersionStore { return storeOf(db, "", newVersions) }

func newVersions(db *DB, keep storage.Retention) *versions {
	return &versions{
		db: db, history: rand.Text(), tables: make(map[lv.TableID]*table),
		log: eventlog.Log[lv.Event]{Events: keep.Events, Age: keep.Age, Compacted: lv.ErrCompacted, Clone: cloneEvent},
	}
}

func newTable(id lv.TableID) *table {
	t := &table{
		id: id, rows: make(map[string]*row), strategies: make(map[int64]lv.Strategy),
		envs: make(map[lv.Env]bool), requests: make(map[string]any),
	}
	for s := range t.byStatus {
		t.byStatus[s] = make(map[string]*row)
	}
	return t
}

// table returns a table, or a new one that is not kept yet. The mutex is held.
func (s *versions) table(id lv.TableID) *table {
	if t := s.tables[id]; t != nil {
		return t
	}
	return newTable(id)
}

// working returns the version of the working row.
func (r *row) working() *version { return r.versions[len(r.versions)-1] }

// pointer returns what env points at, or nil.
func (r *row) pointer(env lv.Env) *version {
	if moves := r.moves[env]; len(moves) > 0 {
		return moves[len(moves)-1].to
	}
	return nil
}

// shows reports whether there is something to see.
func (v *version) shows() bool { return v != nil && v.Op != lv.OpDelete }

// id is 0 for nil.
func (v *version) id() lv.VersionID {
	if v == nil {
		return 0
	}
	return v.ID
}

// judge keeps the status of a row after a change.
func (t *table) judge(r *row) {
	before := r.status
	r.status = t.judged(r)
	if r.status != before {
		delete(t.byStatus[before], r.name)
		t.byStatus[r.status][r.name] = r
	}
}

func (t *table) judged(r *row) rowStatus {
	if len(r.versions) == 0 {
		return rowUnborn
	}
	working, live := r.working(), r.pointer(lv.Production)
	switch {
	case working.shows() && live.shows() && working.digest == live.digest:
		return rowSame
	case working.shows():
		return rowChanged
	case t.stillShown(r):
		return rowDeleted
	}
	return rowGone
}

// stillShown reports whether an environment or a strategy shows a row.
func (t *table) stillShown(r *row) bool {
	for env := range r.moves {
		if r.pointer(env).shows() {
			return true
		}
	}
	for _, s := range t.strategies {
		if s.Row == r.name && !s.Deleted {
			if target, err := t.find(s.Target); err == nil && target.shows() {
				return true
			}
		}
	}
	return false
}

// find returns a version of the table, or ErrNotFound.
func (t *table) find(id lv.VersionID) (*version, error) {
	i, ok := slices.BinarySearchFunc(t.versions, id, byID)
	if !ok {
		return nil, fmt.Errorf("%w: version %d", lv.ErrNotFound, id)
	}
	return t.versions[i], nil
}

func byID(v *version, id lv.VersionID) int { return cmp.Compare(v.ID, id) }

// out returns a version as it leaves the engine.
func (t *table) out(v *version) lv.Version {
	out := v.Version
	out.Content = slices.Clone(v.Content)
	for env, moves := range t.rows[v.Row].moves {
		if moves[len(moves)-1].to == v {
			out.Live = append(out.Live, env)
		}
	}
	slices.Sort(out.Live)
	return out
}

// Tables implements lv.VersionStore.
func (s *versions) Tables(ctx context.Context, ids ...lv.TableID) iter.Seq2[lv.TableInfo, error] {
	return func(yield func(lv.TableInfo, error) bool) {
		infos, err := s.infos(ctx, ids)
		for _, info := range infos {
			if !yield(info, nil) {
				return
			}
		}
		if err != nil {
			yield(lv.TableInfo{}, err)
		}
	}
}

func (s *versions) infos(ctx context.Context, ids []lv.TableID) (infos []lv.TableInfo, err error) {
	if err := s.db.lock(ctx); err != nil {
		return nil, err
	}
	defer s.db.mu.Unlock()
	if ids == nil {
		ids = slices.Collect(maps.Keys(s.tables))
	}
	ids = slices.SortedFunc(slices.Values(ids), func(a, b lv.TableID) int {
		return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Schema, b.Schema))
	})
	for _, id := range slices.Compact(ids) {
		if t := s.tables[id]; t != nil {
			infos = append(infos, t.info(s.history))
		}
	}
	return infos, nil
}

func (t *table) info(history string) lv.TableInfo {
	info := lv.TableInfo{ID: t.id, History: history, Seq: t.seq, Time: t.time, Envs: slices.Sorted(maps.Keys(t.envs))}
	for _, s := range t.strategies {
		if !s.Deleted {
			info.Strategies = append(info.Strategies, cloneStrategy(s))
		}
	}
	slices.SortFunc(info.Strategies, func(a, b lv.Strategy) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(b.ID, a.ID))
	})
	return info
}

func cloneEvent(e lv.Event) lv.Event {
	e.Rows = slices.Clone(e.Rows)
	for i := range e.Rows {
		e.Rows[i].Content = slices.Clone(e.Rows[i].Content)
	}
	if e.Strategy != nil {
		left := cloneStrategy(*e.Strategy)
		e.Strategy = &left
	}
	return e
}

func cloneStrategy(s lv.Strategy) lv.Strategy {
	s.Rules = cloneRules(s.Rules)
	s.Extra = slices.Clone(s.Extra)
	return s
}

func cloneRules(rules []lv.Rule) []lv.Rule {
	rules = slices.Clone(rules)
	for i, r := range rules {
		rules[i].Rules = cloneRules(r.Rules)
		switch list := r.Value.(type) {
		case []string:
			rules[i].Value = slices.Clone(list)
		case []any:
			rules[i].Value = slices.Clone(list)
		}
	}
	return rules
}

func cloneRelease(r lv.Release) lv.Release {
	r.Changes = cloneChanges(r.Changes)
	return r
}

func cloneChanges(changes []lv.Change) []lv.Change {
	changes = slices.Clone(changes)
	for i, c := range changes {
		if c.Expect != nil {
			expect := *c.Expect
			changes[i].Expect = &expect
		}
	}
	return changes
}
