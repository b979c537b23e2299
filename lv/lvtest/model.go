package lvtest

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/lv"
)

// model is a table in plain maps, as slow and as simple as can be. It says what
// a call must answer and leave; ids, times and Seqs it learns from the engine.
type model struct {
	versions   []lv.Version         // oldest first, without those forgotten
	created    map[string]time.Time // of rows
	now        state
	past       []state // after each event, the last of which is now
	releases   []lv.Release
	strategies []lv.Strategy
	envs       map[lv.Env]bool // grays that were published to
	moved      map[lv.Env]map[string]int64
}

// state is what every row is. A row that is not there has the zero Version.
type state struct {
	seq      int64
	time     time.Time // of that event
	working  map[string]lv.Version
	pointers map[lv.Env]map[string]lv.Version
}

func newModel() *model {
	m := &model{created: map[string]time.Time{}, envs: map[lv.Env]bool{}, moved: map[lv.Env]map[string]int64{}}
	m.now = state{working: map[string]lv.Version{}, pointers: map[lv.Env]map[string]lv.Version{}}
	for _, env := range modelEnvs {
		m.now.pointers[env], m.moved[env] = map[string]lv.Version{}, map[string]int64{}
	}
	return m
}

func (s state) clone() state {
	c := state{s.seq, s.time, maps.Clone(s.working), map[lv.Env]map[string]lv.Version{}}
	for env, pointers := range s.pointers {
		c.pointers[env] = maps.Clone(pointers)
	}
	return c
}

// same compares contents as the model writes them.
func same(a, b json.RawMessage) bool {
	return a != nil && b != nil && strings.ReplaceAll(string(a), " ", "") == strings.ReplaceAll(string(b), " ", "")
}

// find returns a version, or the zero one.
func (m *model) find(id lv.VersionID) lv.Version {
	for _, v := range m.versions {
		if v.ID == id {
			return v
		}
	}
	return lv.Version{}
}

func (m *model) live(id lv.VersionID) (live []lv.Env) {
	for _, env := range slices.Sorted(maps.Keys(m.now.pointers)) {
		for _, v := range m.now.pointers[env] {
			if v.ID == id {
				live = append(live, env)
			}
		}
	}
	return live
}

// write returns what an edit must answer; a zero ID is a new version.
func (m *model) write(e lv.Edit) (lv.Version, error) {
	v, err := m.edited(e)
	at := m.now.working[v.Row]
	if err == nil && e.Expect != nil && *e.Expect != at.ID && (*e.Expect != 0 || at.Content != nil) {
		err = lv.ErrConflict
	}
	return v, err
}

// edited is write without expectations.
func (m *model) edited(e lv.Edit) (lv.Version, error) {
	source, made := m.find(e.Version), lv.Version{Row: e.Row, Op: e.Op, Content: e.Content}
	if e.Op == lv.OpRestore || e.Op == lv.OpForget {
		if source.ID == 0 {
			return source, lv.ErrNotFound
		}
		made = lv.Version{Row: source.Row, Op: e.Op, Content: source.Content, Source: source.ID}
	}
	old := m.find(m.now.working[made.Row].ID)
	switch {
	case e.Op == lv.OpForget && m.refers(source):
		return source, lv.ErrStale
	case e.Op == lv.OpForget:
		return source, nil
	case e.Op == lv.OpDelete && old.ID == 0:
		return old, lv.ErrNotFound
	case e.Op == lv.OpRestore && source.Content == nil:
		return source, lv.ErrInvalid
	case old.ID != 0 && (e.Op == lv.OpDelete && old.Op == lv.OpDelete || same(old.Content, made.Content)):
		return old, nil
	}
	return made, nil
}

// refers reports whether something refers to a version.
func (m *model) refers(v lv.Version) bool {
	if m.now.working[v.Row].ID == v.ID || len(m.live(v.ID)) > 0 {
		return true
	}
	for _, s := range m.strategies {
		if s.Target == v.ID && !s.Deleted {
			return true
		}
	}
	for _, r := range m.releases {
		stands := r.State == lv.ReleaseApplied
		for _, c := range r.Changes {
			stands = stands && (c.From == c.To || m.now.pointers[r.Env][c.Row].ID == c.To)
		}
		for _, c := range r.Changes {
			if stands && c.From != c.To && c.From == v.ID || !final(r) && c.To == v.ID {
				return true
			}
		}
	}
	return false
}

func final(r lv.Release) bool {
	return r.State == lv.ReleaseApplied || r.State == lv.ReleaseFailed || r.State == lv.ReleaseCancelled
}

// put returns what a release must answer: r, or, if it moves nothing, the one
// that moved there last.
func (m *model) put(r lv.Release) (want lv.Release, last bool, conflicts []lv.Change, err error) {
	i := slices.IndexFunc(m.releases, func(old lv.Release) bool { return old.ID == r.ID })
	want, want.Changes, want.Rev = r, nil, 1
	switch {
	case i < 0 && r.ID != 0:
		return want, false, nil, lv.ErrNotFound
	case i >= 0 && final(m.releases[i]):
		return want, false, nil, lv.ErrTooLate
	case i >= 0 && m.releases[i].Rev != r.Rev:
		return want, false, nil, lv.ErrStale
	case i >= 0:
		want.Rev, want.By, want.CreatedAt = r.Rev+1, m.releases[i].By, m.releases[i].CreatedAt
	}
	moves := false
	for _, c := range r.Changes {
		target, at := m.find(c.To), m.now.pointers[r.Env][c.Row].ID
		if c.Working {
			target = m.now.working[c.Row]
		}
		if m.now.working[c.Row].ID == 0 || (c.Working || c.To != 0) && target.Row != c.Row {
			return want, false, nil, lv.ErrNotFound
		}
		c = lv.Change{Row: c.Row, To: target.ID, Expect: c.Expect}
		if r.State == lv.ReleaseApplied {
			c.From, moves = at, moves || at != target.ID
			if c.Expect != nil && *c.Expect != at {
				conflicts, err = append(conflicts, c), lv.ErrConflict
			}
		}
		want.Changes = append(want.Changes, c)
	}
	if err == nil && r.ID == 0 && r.State == lv.ReleaseApplied && !moves {
		return m.lastMove(r), true, nil, nil
	}
	return want, false, conflicts, err
}

// lastMove returns the release that moved any of the pointers of r last.
func (m *model) lastMove(r lv.Release) (last lv.Release) {
	for _, c := range r.Changes {
		for _, old := range m.releases {
			if seq := m.moved[r.Env][c.Row]; seq > last.Seq && old.Seq == seq {
				last = old
			}
		}
	}
	return last
}

// rows returns what a view must show. What is forgotten is ErrCompacted.
func (m *model) rows(v lv.View) (rows []lv.Row, err error) {
	at, shown := m.now, map[string]lv.Version{}
	if v.AsOf > 0 {
		for _, at = range slices.Backward(m.past) {
			if at.seq <= v.AsOf {
				break
			}
		}
	}
	if !v.Working && !v.Own {
		shown = maps.Clone(at.pointers[lv.Production])
	}
	maps.Copy(shown, map[bool]map[string]lv.Version{true: at.working, false: at.pointers[v.Env]}[v.Working])
	for _, id := range slices.Sorted(maps.Keys(shown)) {
		version, live := shown[id], at.pointers[lv.Production][id]
		r := lv.Row{ID: id, Version: version.ID, Content: version.Content, CreatedAt: m.created[id], UpdatedAt: version.Time}
		if v.Working && v.AsOf == 0 {
			r.Status = lv.StatusChanged
			if same(version.Content, live.Content) {
				r.Status = lv.StatusPublished
			}
		}
		deleted := version.Op == lv.OpDelete
		switch {
		case deleted && !v.Own && !(v.Deleted && m.stillShown(id)), v.Deleted && !deleted, v.Status != 0 && v.Status != r.Status:
			continue
		case m.find(version.ID).ID == 0:
			return nil, lv.ErrCompacted
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// stillShown reports whether an environment or a strategy shows a row.
func (m *model) stillShown(id string) bool {
	for _, pointers := range m.now.pointers {
		if pointers[id].Content != nil {
			return true
		}
	}
	return slices.ContainsFunc(m.strategies, func(s lv.Strategy) bool {
		target := m.find(s.Target)
		return !s.Deleted && target.Row == id && target.Content != nil
	})
}

// info returns what there is of the table.
func (m *model) info(id lv.TableID) lv.TableInfo {
	info := lv.TableInfo{ID: id, Seq: m.now.seq, Time: m.now.time, Envs: slices.Sorted(maps.Keys(m.envs))}
	for _, s := range m.strategies {
		if !s.Deleted {
			info.Strategies = append(info.Strategies, s)
		}
	}
	slices.SortFunc(info.Strategies, func(a, b lv.Strategy) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(b.ID, a.ID))
	})
	return info
}
