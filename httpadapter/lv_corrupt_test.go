package httpadapter_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"iter"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// rotten has some damaged contents: production shows a at version 1, b at 2,
// the gray a at 3, and the working row c is version 4.
type rotten struct {
	*site
	t testing.TB
}

// spoil damages a database behind its engine's back.
func spoil(t testing.TB, path, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(60000)")
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec(statement, args...)
	require.NoError(t, err)
}

func openRotten(t testing.TB, content []byte, versions ...int) rotten {
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := sqlite.Open(sqlite.Config{Path: path, Relaxed: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s := (&site{db: db}).open(t)
	for _, v := range versions {
		spoil(t, path, `UPDATE upkeep_lv_version SET content = ? WHERE id = ?`, content, v)
	}
	return rotten{s, t}
}

// lying is a store that hands out contents that are none.
type lying struct {
	storage.Backend
	content string
}

func (l lying) Versions() lv.VersionStore { return lyingVersions{l.Backend.Versions(), l.content} }

type lyingVersions struct {
	lv.VersionStore
	content string
}

func (l lyingVersions) lie(id lv.VersionID, content *json.RawMessage) {
	if (id == 1 || id == 4) && *content != nil {
		*content = json.RawMessage(l.content)
	}
}

func (l lyingVersions) Rows(ctx context.Context, t lv.TableID, v lv.View) iter.Seq2[lv.Row, error] {
	return func(yield func(lv.Row, error) bool) {
		for r, err := range l.VersionStore.Rows(ctx, t, v) {
			l.lie(r.Version, &r.Content)
			if !yield(r, err) {
				return
			}
		}
	}
}

func (l lyingVersions) Versions(ctx context.Context, t lv.TableID, q lv.Query) iter.Seq2[lv.Version, error] {
	return func(yield func(lv.Version, error) bool) {
		for v, err := range l.VersionStore.Versions(ctx, t, q) {
			l.lie(v.ID, &v.Content)
			if !yield(v, err) {
				return
			}
		}
	}
}

func (l lyingVersions) Watch(ctx context.Context, after int64) iter.Seq2[lv.Event, error] {
	return func(yield func(lv.Event, error) bool) {
		for e, err := range l.VersionStore.Watch(ctx, after) {
			for i := range e.Rows {
				l.lie(e.Rows[i].To, &e.Rows[i].Content)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

var wrongContents = map[string]string{
	"another letter": `{"name":"a3"}`, "a quote is missing": `{"name":"a1}`, "a quote too many": `{"na"me":"a1"}`, "cut short": `{"na`,
	"two values": `{"name":"a1"}{"name":"a1"}`, "not UTF-8": "{\"name\":\"a\xff\"}", "empty": "", "another bracket": `["name":"a1"}`,
	"a name twice": `{"_id":"b","_id":"c"}`,
}

func TestADamagedContentIsNeverSentAndSpoilsNoReply(t *testing.T) {
	for what, content := range wrongContents {
		t.Run(what, func(t *testing.T) { openRotten(t, []byte(content), 1, 4).sendsTheRest() })
	}
	t.Run("nothing", func(t *testing.T) { openRotten(t, nil, 1, 4).sendsTheRest() })
	for _, content := range []string{`{"name":"a1}`, "{\"name\":\"a\xff\"}", `{"_x":}`, ``} {
		t.Run("an engine that hands out "+content, func(t *testing.T) {
			rotten{(&site{db: lying{memory.New(), content}}).open(t), t}.sendsTheRest()
		})
	}
}

// sendsTheRest asks for everything while versions 1 and 4 are damaged.
func (s rotten) sendsTheRest() {
	t := s.t
	names := func(path, member string) (all []any) {
		r := s.documented("GET", path, "")
		checkEnvelope(t, path, r)
		for _, row := range r.good(t)["data"].([]any) {
			all = append(all, row.(map[string]any)[member])
		}
		return all
	}
	require.Equal(t, []any{"b"}, names("/lv/prod", "_id"), "production without what is damaged")
	require.Equal(t, []any{"b"}, names("/lv/prod?size=1", "_id"), "a page is full all the same")
	require.Equal(t, []any{"a", "b"}, names("/lv/gray/g", "_id"), "the gray has another version of it")
	require.Equal(t, []any{map[string]any{"name": "a2"}, nil}, names("/lv/status/0", "content"))
	require.Equal(t, []any{map[string]any{"name": "a2"}, nil}, names("/lv/list/a", "content"))
	require.Equal(t, []any{"save"}, names("/lv/list/c", "op"))
	require.Equal(t, []any{"a"}, names("/lv/status/0?size=1", "objectId"))
	require.Equal(t, []any{"c"}, names("/lv/status/0?size=1&page=2", "objectId"))
	require.Empty(t, names("/lv/status/0?size=1&page=3", "objectId"))
	require.Empty(t, names("/lv/list/a?size=2&page=2", "op"))
	require.Equal(t, []any{"2"}, names("/lv/record", "versionId"))
	statuses := s.documented("POST", "/lv/check", `{"ids":["a","c"]}`).good(t)["data"]
	require.Equal(t, []any{map[string]any{"id": "a", "status": 2.0}, map[string]any{"id": "c", "status": 2.0}}, statuses)

	rows := s.own("GET", "rows", "").good(t)["rows"].([]any)
	require.Equal(t, []any{"a", nil, true}, []any{at(t, rows, 0, "object_id"), at(t, rows, 0, "content"), at(t, rows, 0, "corrupt")})
	require.NotContains(t, rows[1], "corrupt")
	require.Len(t, s.own("GET", "rows?working=true", "").good(t)["rows"], 2)
	require.Len(t, s.own("GET", "rows?asof=7", "").good(t)["rows"], 2)
	snapshot := s.own("GET", "snapshot", "")
	require.True(t, json.Valid([]byte(snapshot.text)), snapshot.text)
	require.Contains(t, snapshot.text, `"corrupt":true`)
	one := s.own("GET", "rows/c", "")
	require.Equal(t, "corrupt", one.problem(t))
	require.Equal(t, `storage: damaged: version 4 of row "c" of table "table" of "app"`, one.json(t)["detail"])

	before := s.published(t)
	for _, path := range []string{
		"/lv/rollback/1", "/lv/publish/c", "/lv/publish2gray/g/c", "/lv/release/1", "/lv/release/1/g", "/lv/release/4/new", "/lv/rollback2gray/4/g",
	} {
		if _, lies := s.db.(lying); lies && strings.Contains(path, "publish") || lies && strings.Contains(path, "rollback/") {
			continue // the engine would have to know
		}
		r := s.documented("POST", path, "")
		require.Equal(t, http.StatusInternalServerError, r.StatusCode, "%s: %s", path, r.text)
		checkEnvelope(t, path, r)
		require.Contains(t, r.json(t)["msg"], "storage: damaged: version ", path)
	}
	require.Equal(t, "corrupt", s.own("GET", "diff?from=1&to=3", "").problem(t))
	require.Equal(t, "corrupt", s.own("POST", "changelists", `{"changes":[{"to":"4"}]}`).problem(t))
	require.Equal(t, before, s.published(t), "nothing was written")

	log := s.log.String()
	require.NotContains(t, log, "panic")
	require.NotContains(t, log, "request failed")
}

// published is that of the site, without a look at contents.
func (s rotten) published(t testing.TB) (all []any) {
	for _, path := range []string{"releases", "tables"} {
		all = append(all, s.own("GET", path, "").text)
	}
	return append(all, s.documented("GET", "/lv/list/a", "").text, s.documented("GET", "/lv/list/c", "").text)
}

func TestADamagedContentIsRepairedByASaveAndAPublication(t *testing.T) {
	s := openRotten(t, []byte(`{"name":`), 1, 4)
	require.NotContains(t, s.documented("GET", "/lv/prod", "").text, `"a"`)
	for _, content := range []string{`{"name":"a1"}`, `{"name":"c1"}`} {
		row := content[9:10]
		s.own("PUT", "rows/"+row, `{"content":`+content+`}`).good(t)
		s.documented("POST", "/lv/publish/"+row, "").good(t)
		require.Contains(t, s.documented("GET", "/lv/prod", "").text, content[1:])
		s.own("GET", "rows/"+row, "").good(t)
	}
}

func TestADamagedStrategyIsListedAndAppliesToNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := sqlite.Open(sqlite.Config{Path: path, Relaxed: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s := (&site{db: db}).open(t)
	strategy := func(title string) string {
		body := `{"title":"` + title + `","type":"row","schemaId":"table","status":1,"target":"3","objects":"[]","stage":0,` +
			`"strategyInfo":"{}","priority":"7","rules":` + helloRules + `}`
		return at(t, s.documented("POST", "/lv/strategy", body).good(t), "data", "strategyId").(string)
	}
	first, second := strategy("first"), strategy("second")
	for _, record := range []string{`{"title`, ``, `[]`, "\xff", `{"rules":[{"value":{"type":"none"}}]}`, `{"rules":"x"}`} {
		spoil(t, path, `UPDATE upkeep_lv_strategy SET record = ? WHERE id = ?`, record, second)
		spoil(t, path, `UPDATE upkeep_lv_event SET strategy = ? WHERE seq = ?`, record, second)
		list := s.documented("GET", "/lv/strategy", "").good(t)["data"].([]any)
		require.Len(t, list, 2)
		require.Equal(t, []any{second, "", 0.0, "3", "[]"}, []any{
			at(t, list, 0, "strategyId"), at(t, list, 0, "title"), at(t, list, 0, "status"), at(t, list, 0, "target"), at(t, list, 0, "rules"),
		})
		require.Equal(t, "first", at(t, list, 1, "title"))
		require.Contains(t, s.documented("GET", "/lv/prod?env.content=Hello", "").text, `"a2"`, "the other one is applied")
		require.Equal(t, 500, s.documented("POST", "/lv/strategy/patch/"+second, `{"title":"x"}`).StatusCode)
		require.Equal(t, "corrupt", s.own("POST", "strategies/test", `{"strategy_id":"`+second+`","attributes":{}}`).problem(t))
	}
	s.documented("POST", "/lv/strategy/delete/"+second, "").good(t)
	require.Len(t, s.documented("GET", "/lv/strategy", "").good(t)["data"], 1)
	s.documented("POST", "/lv/strategy/delete/"+first, "").good(t)
	require.NotContains(t, s.log.String(), "panic")
}

func TestTheFeedGoesOnPastWhatIsDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := (&site{db: lying{memory.New(), `{"name":`}}).open(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		seen, corrupt := 0, 0
		go func() {
			time.Sleep(time.Second)
			cancel()
		}()
		for e, err := range s.rows.Watch(ctx, 0) {
			if err != nil {
				break
			}
			seen++
			for _, c := range e.Rows {
				if c.Corrupt {
					corrupt++
					require.Nil(t, c.Content)
				}
			}
		}
		require.Equal(t, 7, seen)
		require.Equal(t, 3, corrupt, "a saved, a published, c saved")
	})
}
