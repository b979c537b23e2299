package sqlstore

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"

	"github.com/upkeep-go/upkeep/lv"
)

const (
	versionPage = 64
	releasePage = 16
)

// A version with its content, once for each gray that points at it, or once if
// none does. What selects them, as v, stands between the two.
const (
	lvVersionsFront = `
SELECT p.id, v.name, v.op, v.source, v.time_ms, v.actor, v.descr, v.request, v.digest, b.content,
	CASE WHEN r.live = v.id THEN 1 ELSE 0 END, coalesce(g.version, 0), g.env
FROM (SELECT v.id FROM upkeep_lv_version v WHERE `
	lvVersionsBack = `) p
JOIN upkeep_lv_version v ON v.id = p.id
JOIN upkeep_lv_row r ON r.tbl = v.tbl AND r.name = v.name
LEFT JOIN upkeep_lv_version b ON b.id = v.body
LEFT JOIN upkeep_lv_gray g ON g.version = p.id AND g.version > 0
ORDER BY p.id DESC, g.env`

	lvVersionOfID = lvVersionsFront + `v.tbl = ?1 AND v.id = ?2` + lvVersionsBack
)

// lvVersion is a version, which has no content if it has a fault.
type lvVersion = faulty[lv.Version]

// lvVersions is a page of versions, newest first.
type lvVersions = page[lvVersion, int64]

// Versions keeps the promise of lv.VersionStore.
func (s *Versions) Versions(ctx context.Context, id lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
	return sound(list(lvPaging(q, versionPage), lvBefore(q), func(before int64, size int) (p lvVersions, err error) {
		err = s.read(ctx, id, func(t lvTable) (err error) {
			of := query{lvVersionsFront + "v.tbl = ?1 AND v.id < ?2 AND v.forgotten = 0", []any{t.n, before}}
			if q.ID != 0 {
				of.and("v.id", q.ID)
			}
			if q.Row != "" {
				of.and("v.name", []byte(q.Row))
			}
			of.text += " ORDER BY v.id DESC LIMIT " + strconv.Itoa(size) + lvVersionsBack
			p, err = t.versions(of)
			return err
		})
		return p, lvWhile("reading versions", err)
	}))
}

// lvPaging returns how a list is read: one entry, if the query has its id.
func lvPaging(q lv.Query, most int) pager {
	if q.ID != 0 {
		return one
	}
	return paging(most)
}

// lvBefore returns the id that all of a list precede.
func lvBefore(q lv.Query) int64 {
	if q.After == 0 {
		return math.MaxInt64
	}
	return q.After
}

// version returns a version, forgotten or not. Beside a *lv.CorruptError it has
// no content.
func (t lvTable) version(id int64) (lv.Version, error) {
	p, err := t.versions(query{lvVersionOfID, []any{t.n, id}})
	if err == nil && len(p.entries) == 0 {
		err = fmt.Errorf("%w: version %d", lv.ErrCompacted, id)
	}
	if err != nil {
		return lv.Version{}, err
	}
	return p.entries[0].entry, p.entries[0].fault
}

// versions reads a page of versions.
func (t lvTable) versions(q query) (p lvVersions, err error) {
	err = p.read(t, q, func(scan func(...any) error) error {
		var id, ms, live, gray int64
		var v lv.Version
		var name, actor, desc, request, digest, content, env []byte
		err := scan(&id, &name, (*string)(&v.Op), (*int64)(&v.Source), &ms, &actor, &desc, &request, &digest, &content,
			&live, &gray, &env)
		if err != nil {
			return err
		}
		n := len(p.keys)
		if n == 0 || p.keys[n-1] != id {
			if err := p.take(id, len(content)); err != nil {
				return err
			}
			v.ID, v.Row, v.Time, v.By = lv.VersionID(id), string(name), utc(ms), lvBy(actor, desc, request)
			var fault error
			if v.Content = content; !intact(content, digest) {
				v.Content, fault = nil, t.corrupt(v.Row, v.ID)
			}
			if live == 1 {
				v.Live = append(v.Live, lv.Production)
			}
			p.entries = append(p.entries, lvVersion{v, fault})
		}
		if gray > 0 {
			last := &p.entries[len(p.entries)-1].entry
			last.Live = append(last.Live, lv.Env(env))
		}
		return nil
	})
	return p, err
}

const (
	lvReleaseColumns = `
SELECT p.id, p.env, p.state, p.rev, p.seq, p.reverts, p.at_ms, p.created_ms, p.applied_ms, p.approver,
	p.actor, p.descr, p.request, coalesce(p.last_actor, p.actor), coalesce(p.last_descr, p.descr), coalesce(p.last_request, p.request)
FROM upkeep_lv_release p WHERE p.tbl = ?1`
	lvReleaseOfID = lvReleaseColumns + ` AND p.id = ?2`

	lvMovesOfRow = `
SELECT c.release FROM upkeep_lv_change c
WHERE c.tbl = ?1 AND c.env = ?4 AND c.name = ?3 AND c.moved > 0 AND c.moved < ?2 AND c.release = c.moved
ORDER BY c.moved DESC LIMIT 16`
	lvPlansOfRow = `
SELECT c.release FROM upkeep_lv_change c JOIN upkeep_lv_release p ON p.tbl = c.tbl AND p.id = c.release
WHERE c.tbl = ?1 AND c.name = ?3 AND c.release < ?2 AND c.moved <> c.release AND (length(CAST(?4 AS TEXT)) = 0 OR p.state = ?4)
ORDER BY c.release DESC LIMIT 16`

	lvChanges = `
SELECT name, from_version, to_version, CASE WHEN expect IS NULL THEN 0 ELSE 1 END, coalesce(expect, 0)
FROM upkeep_lv_change WHERE release = ?1 ORDER BY n`
)

// Releases keeps the promise of lv.VersionStore.
func (s *Versions) Releases(ctx context.Context, id lv.TableID, q lv.Query) iter.Seq2[lv.Release, error] {
	if q.State != "" && !q.State.Valid() && q.RequestID == "" {
		return func(func(lv.Release, error) bool) {}
	}
	return list(lvPaging(q, releasePage), lvBefore(q), func(before int64, size int) (p lvReleases, err error) {
		err = s.read(ctx, id, func(t lvTable) (err error) {
			switch {
			case q.RequestID != "":
				p.entries, err = t.answered(q.RequestID)
			case q.Row != "" && q.ID == 0:
				p, err = t.releasesOfRow(q, before, size)
			default:
				p = lvReleases{}
				err = t.addReleases(&p, lvReleasesOf(t, q, before, size))
			}
			return err
		})
		return p, lvWhile("reading releases", err)
	})
}

// lvReleasesOf selects releases by all but their rows, if it has no id.
func lvReleasesOf(t lvTable, q lv.Query, before int64, size int) query {
	of := query{lvReleaseColumns + " AND p.id < ?2", []any{t.n, before}}
	if q.ID != 0 {
		of.and("p.id", q.ID)
	}
	if q.State != "" {
		of.and("p.state", string(q.State))
	}
	if q.State != "" && q.State != lv.ReleaseApplied {
		of.text += " AND p.state <> 'applied'" // what the index has
	}
	if q.Row != "" {
		of.text += " AND EXISTS (SELECT 1 FROM upkeep_lv_change c WHERE c.release = p.id AND c.name = " + of.arg([]byte(q.Row)) + ")"
	}
	of.text += " ORDER BY p.id DESC LIMIT " + strconv.Itoa(size)
	return of
}

// answered returns what PutRelease first returned to a request.
func (t lvTable) answered(request string) ([]lv.Release, error) {
	answer, err := t.answer(request)
	if err != nil || answer == nil || answer.Release == nil || answer.Release.ID == 0 {
		return nil, err
	}
	return []lv.Release{answer.Release.release()}, nil
}

// lvReleases is a page of releases, newest first.
type lvReleases = page[lv.Release, int64]

// releasesOfRow merges what was applied at once, from each environment, with
// what was planned.
func (t lvTable) releasesOfRow(q lv.Query, before int64, size int) (p lvReleases, err error) {
	var ids []int64
	add := func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		ids = append(ids, id)
		return err
	}
	err = t.Query(lvPlansOfRow, []any{t.n, before, []byte(q.Row), string(q.State)}, add)
	if err == nil && (q.State == "" || q.State == lv.ReleaseApplied) {
		var envs []lv.Env
		envs, err = t.envs()
		for _, env := range envs {
			if err == nil {
				err = t.Query(lvMovesOfRow, []any{t.n, before, []byte(q.Row), []byte(env)}, add)
			}
		}
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	for _, id := range ids[:min(len(ids), size)] {
		if err == nil && !p.full {
			err = t.addReleases(&p, query{lvReleaseOfID, []any{t.n, id}})
		}
	}
	return p, err
}

// addReleases reads releases with their changes.
func (t lvTable) addReleases(p *lvReleases, q query) error {
	there := len(p.entries)
	err := p.read(t, q, func(scan func(...any) error) error {
		var r lv.Release
		var env, approver, actor, desc, request, lastActor, lastDesc, lastRequest []byte
		var at, created, applied int64
		err := scan(&r.ID, &env, (*string)(&r.State), &r.Rev, &r.Seq, &r.Reverts, &at, &created, &applied, &approver,
			&actor, &desc, &request, &lastActor, &lastDesc, &lastRequest)
		if err != nil {
			return err
		}
		if err := p.take(r.ID, len(desc)+len(lastDesc)); err != nil {
			return err
		}
		r.Env, r.Approver = lv.Env(env), string(approver)
		r.By, r.Last = lvBy(actor, desc, request), lvBy(lastActor, lastDesc, lastRequest)
		r.At, r.CreatedAt, r.AppliedAt = utc(at), utc(created), utc(applied)
		p.entries = append(p.entries, r)
		return nil
	})
	if err != nil {
		return err
	}
	return p.complete(there, t.addChanges)
}

func lvBy(actor, reason, request []byte) lv.By {
	return lv.By{Actor: string(actor), Reason: string(reason), RequestID: string(request)}
}

// changeBytes is what a change counts in a page, beside its row.
const changeBytes = 64

// addChanges completes a release, and returns how much longer it is then.
func (t lvTable) addChanges(r *lv.Release) (size int, err error) {
	err = t.Query(lvChanges, []any{r.ID}, func(scan func(...any) error) error {
		var name []byte
		var c lv.Change
		var expects, expect int64
		err := scan(&name, (*int64)(&c.From), (*int64)(&c.To), &expects, &expect)
		c.Row = string(name)
		if expects == 1 {
			c.Expect = new(lv.VersionID(expect))
		}
		r.Changes = append(r.Changes, c)
		size += changeBytes + len(name)
		return err
	})
	return size, err
}

// release returns a release, or nil.
func (t lvTable) release(id int64) (*lv.Release, error) {
	var p lvReleases
	err := t.addReleases(&p, query{lvReleaseOfID, []any{t.n, id}})
	if err != nil || len(p.entries) == 0 {
		return nil, err
	}
	return &p.entries[0], nil
}
