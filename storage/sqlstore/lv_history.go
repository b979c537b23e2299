package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-go/upkeep/lv"
)

// Pages bound how much of a list is in memory at once. The first has one entry:
// many callers want no more.
const (
	versionPage = 64
	releasePage = 16
)

// A page ends with the content that makes it this long, in bytes.
const pageBytes = 4 << 20

// errPageFull ends the query of such a page.
var errPageFull = errors.New("sqlstore: the page is full")

// fewer returns the size of the page after one that ended with n entries,
// because an engine may read to its end what nobody wants. It is a power of
// two: there are few statements.
func fewer(n int) int { return 1 << (bits.Len(uint(max(n, 1))) - 1) }

// limited writes the size of a page into a statement.
func limited(query string, size int) string {
	return strings.Replace(query, "{size}", strconv.Itoa(size), 1)
}

// A version with its content, once for each gray that points at it, or once if
// none does: {which} selects versions as v.
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

	lvVersionsOfTable = lvVersionsFront +
		`v.tbl = ?1 AND v.id < ?2 AND v.forgotten = 0 ORDER BY v.id DESC LIMIT {size}` + lvVersionsBack
	lvVersionsOfRow = lvVersionsFront +
		`v.tbl = ?1 AND v.id < ?2 AND v.forgotten = 0 AND v.name = ?3 ORDER BY v.id DESC LIMIT {size}` + lvVersionsBack
	lvVersionOfID = lvVersionsFront + `v.tbl = ?1 AND v.id = ?2` + lvVersionsBack
)

// Versions keeps the promise of lv.VersionStore.
func (s *Versions) Versions(ctx context.Context, id lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
	if q.ID != 0 {
		return s.versionByID(ctx, id, q)
	}
	return sound(pages(func() func() ([]lvVersion, bool, error) {
		before, size, next := lvBefore(q), 1, versionPage
		return func() (page []lvVersion, more bool, err error) {
			full := false
			err = s.read(ctx, id, func(t lvTable) (err error) {
				if q.Row == "" {
					page, full, err = t.versions(limited(lvVersionsOfTable, size), t.n, before)
				} else {
					page, full, err = t.versions(limited(lvVersionsOfRow, size), t.n, before, []byte(q.Row))
				}
				return err
			})
			if err != nil {
				return nil, false, lvWhile("reading versions", err)
			}
			if full {
				next = fewer(len(page))
			}
			if more = full || len(page) == size; more {
				before, size = int64(page[len(page)-1].ID), next
			}
			return page, more, nil
		}
	}))
}

// lvVersion is a version, which has no content if it has a fault.
type lvVersion struct {
	lv.Version
	fault error
}

// sound yields versions with their faults.
func sound(all iter.Seq2[lvVersion, error]) iter.Seq2[lv.Version, error] {
	return func(yield func(lv.Version, error) bool) {
		for v, err := range all {
			if err == nil {
				err = v.fault
			}
			if !yield(v.Version, err) {
				return
			}
		}
	}
}

// lvBefore returns the id that all of a list precede.
func lvBefore(q lv.Query) int64 {
	if q.After == 0 {
		return math.MaxInt64
	}
	return q.After
}

// pages yields a list page by page. Begin is called for each range over it and
// returns what reads the next page, and whether there is more. Between pages
// nothing is held open, so the caller may take its time.
func pages[T any](begin func() func() (page []T, more bool, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		next := begin()
		for more := true; more; {
			var page []T
			var err error
			if page, more, err = next(); err != nil {
				var nothing T
				yield(nothing, err)
				return
			}
			for _, entry := range page {
				if !yield(entry, nil) {
					return
				}
			}
		}
	}
}

// version returns a version, forgotten or not. Beside a *lv.CorruptError it has
// no content.
func (t lvTable) version(id int64) (lv.Version, error) {
	versions, _, err := t.versions(lvVersionOfID, t.n, id)
	if err == nil && len(versions) == 0 {
		err = fmt.Errorf("%w: version %d", lv.ErrCompacted, id)
	}
	if err != nil {
		return lv.Version{}, err
	}
	return versions[0].Version, versions[0].fault
}

// versions reads versions, and whether there are more that did not fit.
func (t lvTable) versions(query string, args ...any) (versions []lvVersion, full bool, err error) {
	size := 0
	err = t.Query(query, args, func(scan func(...any) error) error {
		var id, source, ms, live, gray int64
		var op string
		var name, actor, desc, request, digest, content, env []byte
		err := scan(&id, &name, &op, &source, &ms, &actor, &desc, &request, &digest, &content, &live, &gray, &env)
		if err != nil {
			return err
		}
		if n := len(versions); n == 0 || versions[n-1].ID != lv.VersionID(id) {
			if size >= pageBytes {
				return errPageFull
			}
			size += len(content)
			v := lvVersion{Version: lv.Version{
				ID: lv.VersionID(id), Row: string(name), Op: lv.Op(op), Content: content,
				Source: lv.VersionID(source), Time: utc(ms),
				By: lvBy(actor, desc, request),
			}}
			if !intact(content, digest) {
				v.Content, v.fault = nil, t.corrupt(v.Row, v.ID)
			}
			if live == 1 {
				v.Live = append(v.Live, lv.Production)
			}
			versions = append(versions, v)
		}
		if v := &versions[len(versions)-1]; gray > 0 {
			v.Live = append(v.Live, lv.Env(env))
		}
		return nil
	})
	if errors.Is(err, errPageFull) {
		full, err = true, nil
	}
	return versions, full, err
}

const (
	lvReleaseColumns = `
SELECT p.id, p.env, p.state, p.rev, p.seq, p.reverts, p.at_ms, p.created_ms, p.applied_ms, p.approver,
	p.actor, p.descr, p.request, coalesce(p.last_actor, p.actor), coalesce(p.last_descr, p.descr), coalesce(p.last_request, p.request)
FROM upkeep_lv_release p `
	lvReleaseOfID     = lvReleaseColumns + `WHERE p.tbl = ?1 AND p.id = ?2`
	lvReleasesOfTable = lvReleaseColumns + `WHERE p.tbl = ?1 AND p.id < ?2 ORDER BY p.id DESC LIMIT {size}`
	lvReleasesApplied = lvReleaseColumns +
		`WHERE p.tbl = ?1 AND p.id < ?2 AND p.state = 'applied' ORDER BY p.id DESC LIMIT {size}`
	lvReleasesInState = lvReleaseColumns +
		`WHERE p.tbl = ?1 AND p.id < ?2 AND p.state = ?3 AND p.state <> 'applied' ORDER BY p.id DESC LIMIT {size}`

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
	switch {
	case q.RequestID != "":
		return s.releaseByRequest(ctx, id, q.RequestID)
	case q.State != "" && !q.State.Valid():
		return func(func(lv.Release, error) bool) {}
	case q.ID != 0:
		return s.releaseByID(ctx, id, q)
	}
	return pages(func() func() ([]lv.Release, bool, error) {
		before, size := lvBefore(q), 1
		return func() (page []lv.Release, more bool, err error) {
			err = s.read(ctx, id, func(t lvTable) (err error) {
				switch {
				case q.Row != "":
					page, err = t.releasesOfRow(q, before, size)
				case q.State == "":
					page, err = t.releases(limited(lvReleasesOfTable, size), t.n, before)
				case q.State == lv.ReleaseApplied:
					page, err = t.releases(limited(lvReleasesApplied, size), t.n, before)
				default:
					page, err = t.releases(limited(lvReleasesInState, size), t.n, before, string(q.State))
				}
				return err
			})
			if err != nil {
				return nil, false, lvWhile("reading releases", err)
			}
			if more = len(page) == size; more {
				before, size = page[size-1].ID, releasePage
			}
			return page, more, nil
		}
	})
}

// releasesOfRow merges what was applied at once, from each environment, with
// what was planned.
func (t lvTable) releasesOfRow(q lv.Query, before int64, size int) (page []lv.Release, err error) {
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
		var r *lv.Release
		if err == nil {
			r, err = t.release(id)
		}
		if err != nil {
			return nil, err
		}
		page = append(page, *r)
	}
	return page, err
}

// releases reads releases with their changes.
func (t lvTable) releases(query string, args ...any) (releases []lv.Release, err error) {
	err = t.Query(query, args, func(scan func(...any) error) error {
		var r lv.Release
		var env, approver, actor, desc, request, lastActor, lastDesc, lastRequest []byte
		var state string
		var at, created, applied int64
		err := scan(&r.ID, &env, &state, &r.Rev, &r.Seq, &r.Reverts, &at, &created, &applied, &approver,
			&actor, &desc, &request, &lastActor, &lastDesc, &lastRequest)
		r.Env, r.State, r.Approver = lv.Env(env), lv.ReleaseState(state), string(approver)
		r.By, r.Last = lvBy(actor, desc, request), lvBy(lastActor, lastDesc, lastRequest)
		r.At, r.CreatedAt, r.AppliedAt = utc(at), utc(created), utc(applied)
		releases = append(releases, r)
		return err
	})
	for i := range releases {
		if err == nil {
			releases[i].Changes, err = t.changes(releases[i].ID)
		}
	}
	return releases, err
}

func lvBy(actor, reason, request []byte) lv.By {
	return lv.By{Actor: string(actor), Reason: string(reason), RequestID: string(request)}
}

func (t lvTable) changes(release int64) (changes []lv.Change, err error) {
	err = t.Query(lvChanges, []any{release}, func(scan func(...any) error) error {
		var name []byte
		var from, to, expects, expect int64
		err := scan(&name, &from, &to, &expects, &expect)
		c := lv.Change{Row: string(name), From: lv.VersionID(from), To: lv.VersionID(to)}
		if expects == 1 {
			c.Expect = new(lv.VersionID)
			*c.Expect = lv.VersionID(expect)
		}
		changes = append(changes, c)
		return err
	})
	return changes, err
}

// release returns a release, or nil.
func (t lvTable) release(id int64) (*lv.Release, error) {
	releases, err := t.releases(lvReleaseOfID, t.n, id)
	if err != nil || len(releases) == 0 {
		return nil, err
	}
	return &releases[0], nil
}
