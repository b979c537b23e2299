package httpadapter_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/update"
)

const runs = "/upkeep/v1/updates/runs"

// finished starts a run by HTTP and returns its id when it is done.
func finished(t testing.TB, s *site, body string) string {
	r := s.post(runs, body)
	require.Equal(t, http.StatusAccepted, r.StatusCode, r.text)
	id := r.json(t)["id"].(string)
	_, err := s.updater.Wait(context.Background(), id)
	if err != nil {
		require.ErrorIs(t, err, update.ErrFailed)
	}
	return id
}

func TestRunIsStartedInTheBackgroundAndCanBeLookedAt(t *testing.T) {
	s := (&site{configure: func(c *httpadapter.Config) { c.Prefix = "/svc" }}).open(t)
	r := s.post("/svc"+runs, `{"package":"demo/site","version":"^1.0","request_id":"r1"}`)
	require.Equal(t, http.StatusAccepted, r.StatusCode, r.text)
	location := r.Header.Get("Location")
	require.Equal(t, "/svc"+runs+"/"+r.json(t)["id"].(string), location)
	_, err := s.updater.Wait(t.Context(), r.json(t)["id"].(string))
	require.NoError(t, err)

	got := s.get(location)
	require.Equal(t, http.StatusOK, got.StatusCode)
	run := got.json(t)
	require.Equal(t, "succeeded", run["state"])
	require.Equal(t, "1.1.0", run["version"])
	require.Equal(t, "^1.0", run["requested"])
	require.Equal(t, "ann", run["actor"])
	require.Equal(t, "r1", run["request_id"])
	require.EqualValues(t, 100, run["percent"])
	require.Equal(t, "done", run["steps"].([]any)[0].(map[string]any)["phase"])
	require.NotContains(t, got.text, "EndedAt")
	require.Contains(t, run, "ended_at")

	again := s.post("/svc"+runs, `{"package":"demo/site","version":"^1.0","request_id":"r1"}`)
	require.Equal(t, location, again.Header.Get("Location"), "a repeated request is the same run")
	require.EqualValues(t, 1, s.installs.Load())
}

func TestRunAnswersWithTheProblemOfEachError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		s := (&site{install: func(context.Context, *update.Task) error { <-end; return nil }}).open(t)
		first := s.post(runs, `{"package":"demo/site"}`)
		id := first.json(t)["id"].(string)

		busy := s.post(runs, `{"package":"demo/site"}`)
		require.Equal(t, http.StatusConflict, busy.StatusCode)
		require.Equal(t, "in-progress", busy.problem(t))
		require.Contains(t, busy.json(t)["detail"], `"core" is locked until `)
		require.Equal(t, "in-progress", s.post(runs+"/"+id+"/rollback", `{}`).problem(t))
		close(end)
		_, err := s.updater.Wait(t.Context(), id)
		require.NoError(t, err)

		tests := []struct {
			method, path, body, slug string
			status                   int
		}{
			{"POST", runs, `{"package":"demo/site"}`, "up-to-date", 409},
			{"POST", runs, `{"package":"demo/site","version":"1.0.0"}`, "invalid-request", 400}, // a downgrade
			{"POST", runs, `{"package":"demo/site","version":"v1..2"}`, "invalid-request", 400},
			{"POST", runs, `{}`, "invalid-request", 400},
			{"POST", runs, `{"package":"demo/other"}`, "not-found", 404},
			{"POST", runs, `{"package":"demo/site","version":"9"}`, "not-found", 404},
			{"POST", runs, `{"package":1}`, "invalid-body", 400},
			{"POST", runs, ``, "invalid-body", 400},
			{"POST", runs, `[]`, "invalid-body", 400},
			{"GET", runs + "/nobody", ``, "not-found", 404},
			{"GET", runs + "?after=nobody", ``, "not-found", 404},
			{"GET", runs + "?limit=0", ``, "invalid-query", 400},
			{"GET", runs + "?limit=-1", ``, "invalid-query", 400},
			{"GET", runs + "?limit=0x10", ``, "invalid-query", 400},
			{"GET", runs + "?limit=1e2", ``, "invalid-query", 400},
			{"GET", runs + "?limit=%2B1", ``, "invalid-query", 400},
			{"GET", runs + "?limit=99999999999999999999", ``, "invalid-query", 400},
			{"GET", runs + "?live=yes", ``, "invalid-query", 400},
			{"POST", runs + "/nobody/cancel", `{}`, "not-found", 404},
			{"POST", runs + "/nobody/rollback", `{}`, "not-found", 404},
			{"POST", runs + "/" + id + "/rollback", `{"reason":"` + strings.Repeat("x", 4097) + `"}`, "invalid-body", 400},
			{"POST", "/upkeep/v1/updates/locks/core/break", `{"token":7}`, "overtaken", 409},
			{"POST", "/upkeep/v1/updates/locks/core/break", `{"token":"7"}`, "invalid-body", 400},
			{"POST", "/upkeep/v1/updates/locks/core/break", ``, "invalid-body", 400},
			{"GET", "/upkeep/v1/updates/plan", ``, "invalid-request", 400},
			{"GET", "/upkeep/v1/updates/plan?package=demo/other", ``, "not-found", 404},
			{"GET", "/upkeep/v1/updates/plan?package=demo/site&allow_downgrade=1", ``, "invalid-query", 400},
			{"GET", "/upkeep/v1/updates/nothing", ``, "not-found", 404},
			{"GET", "/upkeep/v1", ``, "not-found", 404},
			{"GET", runs + "/" + id + "/", ``, "not-found", 404},
			{"DELETE", runs + "/" + id, ``, "method-not-allowed", 405},
		}
		for _, tt := range tests {
			r := s.send(tt.method, tt.path, tt.body, as(admin))
			require.Equal(t, tt.status, r.StatusCode, "%s %s %s", tt.method, tt.path, tt.body)
			require.Equal(t, tt.slug, r.problem(t), "%s %s %s", tt.method, tt.path, tt.body)
		}
		require.Len(t, s.history(t), 1)

		detail := s.post(runs, `{"package":"demo/site","version":"1.0.0"}`).json(t)["detail"]
		require.Contains(t, detail, "below the installed 1.1.0", "what is wrong with a request is told")
		require.NotContains(t, s.post(runs, `{"package":"demo/other"}`).json(t), "detail", "and else nothing of errors")
	})
}

func TestRunsAreListedInPages(t *testing.T) {
	s := (&site{install: func(context.Context, *update.Task) error { return errors.New("no") }}).open(t)
	var ids []string
	for range 5 {
		ids = append([]string{finished(t, s, `{"package":"demo/site"}`)}, ids...)
	}
	finished(t, s, `{"package":"demo/tool"}`)
	var got []string
	path := runs + "?package=demo/site&limit=2"
	for pages := 1; ; pages++ {
		page := s.get(path).json(t)
		for _, run := range page["runs"].([]any) {
			got = append(got, run.(map[string]any)["id"].(string))
		}
		next, more := page["next"].(string)
		if !more {
			require.Equal(t, 3, pages)
			break
		}
		path = runs + "?package=demo/site&limit=2&after=" + next
	}
	require.Equal(t, ids, got)
	require.JSONEq(t, `{"runs":[]}`, s.get(runs+"?live=true").text)
	require.Len(t, s.get(runs + "?live=false&limit=1000").json(t)["runs"], 6)
	for range 100 {
		emit(t, s.db, 1)
	}
	page := s.get(runs + "?limit=1000").json(t)
	require.Len(t, page["runs"], 100)
	require.NotEmpty(t, page["next"])
	require.Len(t, s.get(runs).json(t)["runs"], 50)
}

func TestPlanTellsWhatWouldHappen(t *testing.T) {
	s := new(site).open(t)
	r := s.send("GET", "/upkeep/v1/updates/plan?package=demo/site&version=%5E1", "", as(reader))
	require.Equal(t, http.StatusOK, r.StatusCode, r.text)
	require.JSONEq(t, `{"package":"demo/site","from":"","version":"1.1.0","up_to_date":false,"steps":["install"],"ready":true}`, r.text)
	require.Equal(t, "2.0.0-rc.1", s.get("/upkeep/v1/updates/plan?package=demo/site&allow_prerelease=true").json(t)["version"])
	finished(t, s, `{"package":"demo/site"}`)
	require.JSONEq(t, `{"package":"demo/site","from":"1.1.0","version":"1.1.0","up_to_date":true,"steps":[],"ready":true}`,
		s.get("/upkeep/v1/updates/plan?package=demo/site").text)
	require.EqualValues(t, 1, s.installs.Load())
}

func TestPlanTellsThatACheckFails(t *testing.T) {
	s := (&site{check: func(context.Context, *update.Task) error { return errors.New("no space on /srv") }}).open(t)
	r := s.get("/upkeep/v1/updates/plan?package=demo/site")
	require.Equal(t, http.StatusOK, r.StatusCode, r.text)
	require.Equal(t, false, r.json(t)["ready"])
	require.Contains(t, r.json(t)["reason"], "no space on /srv")
	r = s.send("GET", "/upkeep/v1/updates/plan?package=demo/site", "", as(reader))
	require.Equal(t, false, r.json(t)["ready"])
	require.NotContains(t, r.text, "/srv")
}

func TestRunIsCancelledAndRolledBackByHTTP(t *testing.T) {
	s := new(site).open(t)
	id := finished(t, s, `{"package":"demo/site","version":"1.0.0"}`)
	require.Equal(t, http.StatusAccepted, s.post(runs+"/"+id+"/cancel", ``).StatusCode, "cancelling what is done is no error")

	r := s.post(runs+"/"+id+"/rollback", `{"reason":"too blue","request_id":"back"}`)
	require.Equal(t, http.StatusAccepted, r.StatusCode, r.text)
	undo := r.json(t)["id"].(string)
	require.NotEqual(t, id, undo)
	require.Equal(t, runs+"/"+undo, r.Header.Get("Location"))
	require.Equal(t, id, r.json(t)["undoes"])
	require.Equal(t, "ann", r.json(t)["actor"])
	require.Equal(t, "too blue", r.json(t)["reason"])
	again := s.post(runs+"/"+id+"/rollback", `{"reason":"too blue","request_id":"back"}`)
	require.Equal(t, undo, again.json(t)["id"], "a repeated request returns the first run")
	require.Equal(t, "too blue", again.json(t)["request_reason"], "why is kept")
	require.Equal(t, "back", again.json(t)["request_id"])
	for e, err := range s.updater.Watch(t.Context(), 0) {
		require.NoError(t, err)
		if e.Run == undo && e.Kind == update.EventStarted {
			require.Equal(t, "ann", e.Actor)
			require.Contains(t, e.Message, "too blue")
			break
		}
	}
}

func TestLockIsBrokenByItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(site).open(t)
		held, err := s.db.Locker().Acquire(t.Context(), lease.Item("update", "tools/a b"), "somebody", time.Hour)
		require.NoError(t, err)
		packages := s.get("/upkeep/v1/updates/packages").json(t)["packages"].([]any)
		lock := packages[1].(map[string]any)["lock"].(map[string]any)
		require.Equal(t, "tools/a b", lock["item"])
		require.EqualValues(t, held.Token, lock["token"])
		require.Nil(t, packages[0].(map[string]any)["lock"])

		const path = "/upkeep/v1/updates/locks/tools%2Fa%20b/break"
		require.Equal(t, "overtaken", s.post(path, `{"token":99}`).problem(t))
		_, err = s.db.Locker().Holder(t.Context(), lease.Item("update", "tools/a b"))
		require.NoError(t, err, "another token breaks nothing")
		r := s.post(path, `{"token":1,"reason":"it hangs"}`)
		require.Equal(t, http.StatusNoContent, r.StatusCode, r.text)
		require.Empty(t, r.text)
		_, err = s.db.Locker().Holder(t.Context(), lease.Item("update", "tools/a b"))
		require.ErrorIs(t, err, lease.ErrFree)
	})
}

func TestReadersDoNotSeeWhichProcessWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		s := (&site{install: func(context.Context, *update.Task) error { <-end; return nil }}).open(t)
		run, err := s.updater.Start(t.Context(), update.Request{Package: pkg})
		require.NoError(t, err)
		require.NotEmpty(t, run.Owner)
		for _, path := range []string{"/upkeep/v1/updates/packages", runs, runs + "/" + run.ID} {
			require.Contains(t, s.get(path).text, `"owner":"`+run.Owner+`"`)
			r := s.send("GET", path, "", as(reader))
			require.Equal(t, http.StatusOK, r.StatusCode)
			require.NotContains(t, r.text, "owner")
			require.NotContains(t, r.text, run.Owner)
		}
		require.Contains(t, s.send("GET", "/upkeep/v1/updates/packages", "", as(reader)).text, `"lock":{"item":"core"`)
		close(end)
	})
}

func TestEventsThatAReaderIsNotToldOfMoveWhereToResume(t *testing.T) {
	inBubble(t, new(site), func(t *testing.T, s *site, client *http.Client) {
		emit(t, s.db, 3) // the last two are what steps print
		l := listen(t, client, events+"?after=0", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+reader) })
		e, err := l.next()
		require.NoError(t, err)
		require.Equal(t, "1", e.id)
		require.Equal(t, "id: 3||:||", l.lines(4))
	})
}
