package httpadapter

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/upkeep-go/upkeep/internal/lv/wire"
	"github.com/upkeep-go/upkeep/lv"
)

// ownRoutes are those under /upkeep/v1/lv.
func (l *lvAPI) ownRoutes() []route {
	const root = "/upkeep/v1/lv"
	speaks := ownDialect(LVAPI, lvFailure)
	speaks.credential = tableCredential
	see := func(pattern, summary string, gives any, handle func(*call) error, query ...field) route {
		return route{
			Route:  Route{API: LVAPI, Methods: reading, Pattern: root + pattern, Needs: Reader, Summary: summary},
			speaks: speaks, query: append(query, ofTable...), gives: gives, handle: handle,
		}
	}
	change := func(method, pattern, summary string, takes, gives any, handle func(*call) error) route {
		return route{
			Route: Route{
				API: LVAPI, Methods: []string{method}, Pattern: root + pattern,
				Needs: Editor, Changes: true, Summary: summary,
			},
			speaks: speaks, query: ofTable, body: l.limits.large, takes: takes, gives: gives, handle: handle,
		}
	}
	const post = http.MethodPost
	test := change(post, "/strategies/test", "Tell whether a visitor matches rules", testBody{}, testReply{}, l.testRules)
	test.Needs, test.Changes = Reader, false
	changes := see("/changes", "Follow what happens to tables, as Server-Sent Events", wire.Event{}, l.changes,
		field{"after", "begin after the event with this seq; default: now; Last-Event-ID goes before it; compacted says that it is not there"})
	snapshot := see("/snapshot", "Show all that readers see of a table, as of one event", snapshotReply{}, l.snapshot)
	changes.Methods, snapshot.Methods = snapshot.Methods[:1], snapshot.Methods[:1] // a HEAD would have to wait for the end
	after := field{"after", "continue after the entry with this id"}
	return []route{
		see("/tables", "List the tables", tablesReply{}, l.tables),
		see("/environments", "List production and the gray environments", environmentsReply{}, l.environments),
		see("/rows", "List rows as an environment, a visitor or an editor sees them", rowsReply{}, l.rows, after, ofLimit,
			field{"env", "a gray environment; default: production"}, field{"working", "true: the working rows"},
			field{"status", "of the working rows: 1 as production, 2 not"}, field{"own", "true: only what env points at itself"},
			field{"asof", "as after the event with this seq"}, field{"<object>.<field>", "an attribute of a visitor, to whom strategies apply"}),
		see("/rows/{objectId}", "Show a working row", rowReply{}, l.row),
		change(http.MethodPut, "/rows/{objectId}", "Write a working row", saveBody{}, savedReply{}, l.save),
		change(http.MethodDelete, "/rows/{objectId}", "Delete a working row", removeBody{}, savedReply{}, l.remove),
		see("/diff", "Compare two versions of a row, field by field", diffReply{}, l.diff,
			field{"from", "a version; default: nothing"}, field{"to", "a version; default: nothing"}),
		see("/changelists", "List planned releases, newest first", releasesReply{}, l.changelists, after, ofLimit,
			field{"state", "draft, approved, scheduled, failed or cancelled; default: the first three"}),
		change(post, "/changelists", "Plan a release", planBody{}, releaseReply{}, l.plan),
		change(post, "/changelists/{id}/approve", "Approve a planned release", whyBody{}, releaseReply{}, l.approve),
		change(post, "/changelists/{id}/schedule", "Have an approved release applied when it is due", scheduleBody{}, releaseReply{}, l.schedule),
		change(post, "/changelists/{id}/apply", "Apply an approved release now", whyBody{}, releaseReply{}, l.apply),
		change(post, "/changelists/{id}/cancel", "Give up a planned release", whyBody{}, releaseReply{}, l.cancel),
		see("/releases", "List releases, newest first", releasesReply{}, l.releases, after, ofLimit,
			field{"object_id", "only those of this row"}, field{"state", "only those in this state"}),
		change(post, "/releases/{id}/revert", "Take back an applied release, whole", whyBody{}, releaseReply{}, l.revert),
		test,
		changes,
		snapshot,
	}
}

// ofTable is in the query of every route about a table.
var ofTable = []field{{"appid", "the app"}, {"schemaid", "the table"}}

var ofLimit = field{"limit", "at most so many, 1 to 1000; default 50"}

// tableCredential is a bearer token, for the table in the query, if one is.
func tableCredential(c *call) (Credential, error) {
	credential, err := bearerCredential(c)
	credential.App, credential.Schema = c.query.Get("appid"), c.query.Get("schemaid")
	if credential.App != "" && checkApp(credential.App) != nil {
		return credential, badQuery.with("appid is no id of an app")
	}
	return credential, err
}

// lvProblems has the problems of domain errors.
var lvProblems = ownFailure([]failure{
	{lv.ErrNotFound, http.StatusNotFound, "not-found", "No such table, row, version, release or event", true},
	{lv.ErrInvalid, http.StatusBadRequest, "invalid-request", "The request can not succeed as it stands", true},
	{lv.ErrForbidden, http.StatusForbidden, "forbidden", "This is for somebody else to do", true},
	{lv.ErrConflict, http.StatusConflict, "conflict", "Something has moved meanwhile", true},
	{lv.ErrStale, http.StatusConflict, "conflict", "Something has moved meanwhile", true},
	{lv.ErrTooLate, http.StatusConflict, "too-late", "The release is applied, has failed or was cancelled", true},
	{lv.ErrCompacted, http.StatusGone, "compacted", "This part of the past is no longer kept", true},
	{lv.ErrReadOnly, http.StatusNotImplemented, "read-only", "Rows are not written here", false},
	{lv.ErrClosed, http.StatusServiceUnavailable, "unavailable", "Service unavailable", false},
})

// conflictProblem lists what has moved: from is what is there now.
type conflictProblem struct {
	problem
	Conflicts []changeReply `json:"conflicts"`
}

func lvFailure(err error) (answer, bool) {
	if damaged, ok := errors.AsType[*lv.CorruptError](err); ok {
		return problemAnswer(http.StatusInternalServerError, "corrupt", "A content is damaged", damaged.Error()), true
	}
	reply, known := lvProblems(err)
	if moved, ok := errors.AsType[*lv.ConflictError](err); ok && known {
		reply.body = conflictProblem{reply.body.(problem), changesOf(moved.Changes)}
	}
	return reply, known
}

// because returns who makes a change of our own, and why.
func (l *lvAPI) because(c *call, desc, requestID string) (lv.By, error) {
	if len(desc) > maxDesc {
		return lv.By{}, badBody.with(fmt.Sprintf("desc: at most %d bytes", maxDesc))
	}
	if requestID != "" && checkID(requestID) != nil {
		return lv.By{}, badBody.with("request_id is no id")
	}
	if c.by.ID == "" { // as an Authenticator of the program's may have it
		return lv.By{}, fmt.Errorf("%w: the actor is missing", lv.ErrInvalid)
	}
	return lv.By{Actor: c.by.ID, Reason: desc, RequestID: requestID}, nil
}

// why returns the table, who changes it, and why: the body is a whyBody.
func (l *lvAPI) why(c *call) (*lv.Table, lv.By, error) {
	t, err := l.table(c)
	if err != nil {
		return nil, lv.By{}, err
	}
	var b whyBody
	if err := c.decodeOptional(&b); err != nil {
		return nil, lv.By{}, err
	}
	by, err := l.because(c, b.Desc, b.RequestID)
	return t, by, err
}

// limit returns how many entries a list has at most.
func (c *call) limit() (int, error) {
	limit, err := c.number("limit", 1, defaultPage)
	return int(min(limit, maxBatch)), err
}

// before returns the id after which a list by falling ids goes on; 0: none.
func (c *call) before() (int64, error) { return c.number("after", 1, 0) }

func (l *lvAPI) tables(c *call) error {
	reply := tablesReply{Tables: []tableReply{}}
	app, schema := c.query.Get("appid"), c.query.Get("schemaid")
	for info, err := range l.service.Tables(c.r.Context()) {
		if err != nil {
			return err
		}
		if app != "" && info.ID.App != app || schema != "" && info.ID.Schema != schema {
			continue
		}
		reply.Tables = append(reply.Tables, tableReply{
			App: info.ID.App, Schema: info.ID.Schema, Seq: info.Seq, Envs: environmentsOf(info.Envs), Strategies: len(info.Strategies),
		})
	}
	return c.reply(http.StatusOK, reply)
}

func (l *lvAPI) environments(c *call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	envs, err := t.Envs(c.r.Context())
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, environmentsReply{environmentsOf(envs)})
}

// environmentsOf returns production and the grays.
func environmentsOf(grays []lv.Env) []lv.Env { return append([]lv.Env{lv.Production}, grays...) }

func (l *lvAPI) rows(c *call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	view, err := c.view()
	if err != nil {
		return err
	}
	limit, err := c.limit()
	if err != nil {
		return err
	}
	if !view.Working && view.AsOf == 0 {
		if unchanged, err := c.tag(t); err != nil || unchanged {
			return err
		}
	}
	reply := rowsReply{Rows: []rowReply{}}
	for row, err := range t.Rows(c.r.Context(), view) {
		if err != nil && !row.Corrupt {
			return err
		}
		if len(reply.Rows) == limit {
			reply.Next = reply.Rows[limit-1].ObjectID
			break
		}
		reply.Rows = append(reply.Rows, rowOf(row))
	}
	return c.reply(http.StatusOK, reply)
}

// view returns what the query asks to see.
func (c *call) view() (v lv.View, err error) {
	v = lv.View{Env: lv.Env(c.query.Get("env")), For: attributesOf(c.query), After: c.query.Get("after")}
	if v.Working, err = c.flag("working"); err != nil {
		return v, err
	}
	if v.Own, err = c.flag("own"); err != nil {
		return v, err
	}
	if v.AsOf, err = c.number("asof", 1, 0); err != nil {
		return v, err
	}
	status, err := c.number("status", 1, 0)
	if err != nil || status > int64(lv.StatusChanged) {
		return v, badQuery.with("status must be 1 or 2")
	}
	v.Status = lv.Status(status)
	if v.Env != lv.Production && v.Working {
		return v, badQuery.with("working rows are in no env")
	}
	if v.Env != lv.Production {
		err = checkID(string(v.Env))
	}
	return v, err
}

func (l *lvAPI) row(c *call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	row, err := t.Get(c.r.Context(), c.r.PathValue("objectId"), lv.View{Working: true})
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, rowOf(row))
}

func (l *lvAPI) save(c *call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	var b saveBody
	if err := c.decode(&b); err != nil {
		return err
	}
	if len(b.Content) == 0 {
		return badBody.with("content is needed")
	}
	by, err := l.because(c, b.Desc, b.RequestID)
	if err != nil {
		return err
	}
	return c.edit(t, lv.Edit{Op: lv.OpSave, Content: b.Content}, b.Expect, by)
}

func (l *lvAPI) remove(c *call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	var b removeBody
	if err := c.decodeOptional(&b); err != nil {
		return err
	}
	by, err := l.because(c, b.Desc, b.RequestID)
	if err != nil {
		return err
	}
	return c.edit(t, lv.Edit{Op: lv.OpDelete}, b.Expect, by)
}

// edit edits the working row in the path, if it is at the version expected.
func (c *call) edit(t *lv.Table, e lv.Edit, expect string, by lv.By) (err error) {
	e.Row = c.r.PathValue("objectId")
	if e.Expect, err = expected(expect); err != nil {
		return err
	}
	versions, err := t.Edit(c.r.Context(), by, e)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, savedOf(versions[0]))
}

func (l *lvAPI) diff(c *call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	var versions [2]lv.Version
	for i, name := range []string{"from", "to"} {
		text := c.query.Get(name)
		if text == "" {
			continue
		}
		id, err := versionOf(text)
		if err == nil {
			versions[i], err = t.VersionByID(c.r.Context(), id)
		}
		if err != nil {
			return err
		}
	}
	from, to := versions[0], versions[1]
	if from.ID != 0 && to.ID != 0 && from.Row != to.Row {
		return badQuery.with("from and to are versions of different rows")
	}
	differences, err := lv.Diff(from.Content, to.Content)
	if err != nil {
		return err
	}
	reply := diffReply{ObjectID: from.Row, Differences: []differenceReply{}}
	if from.ID == 0 {
		reply.ObjectID = to.Row
	}
	for _, d := range differences {
		reply.Differences = append(reply.Differences, differenceReply{d.Path, d.From, d.Into})
	}
	return c.reply(http.StatusOK, reply)
}

// testRules answers as a visitor would be: with the seed of the strategy.
func (l *lvAPI) testRules(c *call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	var b testBody
	if err := c.decode(&b); err != nil {
		return err
	}
	var s lv.Strategy
	if b.StrategyID != "" {
		if s, err = strategy(c.r.Context(), t, b.StrategyID); err != nil {
			return err
		}
		if s.Corrupt {
			return damagedStrategy
		}
	} else if len(b.Rules) == 0 {
		return badBody.with("rules or a strategy_id are needed")
	}
	if len(b.Rules) > 0 {
		if s.Rules, err = rulesOf(b.Rules); err != nil {
			return err
		}
	}
	if s.ID == 0 && needSeed(s.Rules) {
		return badBody.with("a percentage without a seed depends on the strategy: want a strategy_id")
	}
	return c.reply(http.StatusOK, testReply{Matches: s.Match(b.Attributes)})
}

// needSeed reports whether rules have a percentage that has no seed.
func needSeed(rules []lv.Rule) bool {
	return slices.ContainsFunc(rules, func(r lv.Rule) bool {
		p, isPercentage := r.Value.(lv.Percentage)
		return isPercentage && p.Seed == "" || needSeed(r.Rules)
	})
}
