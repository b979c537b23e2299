package httpadapter_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
)

func form(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }

func TestDocumentedRoutesTakeForms(t *testing.T) {
	s := new(site).open(t)
	fields := url.Values{"api_token": {admin}, "package": {pkg}, "version": {"1.0.0"}}
	r := s.send("POST", "/api/v1/update", fields.Encode(), form)
	require.Equal(t, http.StatusOK, r.StatusCode, r.text)
	require.JSONEq(t, `{"status":"success","message":"Successfully updated","version":"1.0.0"}`, r.text)

	fields = url.Values{"api_token": {reader}, "itemId": {"core"}}
	r = s.send("POST", "/api/v1/update/progress", fields.Encode(), form)
	require.JSONEq(t, `{"status":"success","message":"Successfully fetched updating progress","progress":0}`, r.text)

	for name, body := range map[string]string{
		"repeated":  "api_token=" + admin + "&package=demo/site&package=demo/site",
		"malformed": "api_token=" + admin + "&package=%zz",
		"semicolon": "api_token=" + admin + ";package=demo/site",
		"not UTF-8": "api_token=" + admin + "&package=%ff",
	} {
		r := s.send("POST", "/api/v1/update", body, form)
		require.Equal(t, http.StatusBadRequest, r.StatusCode, name)
		require.JSONEq(t, `{"status":"fail","message":"Invalid update request"}`, r.text, name)
	}
	require.EqualValues(t, 1, s.installs.Load())
}

// A client whose default is a form, as curl's is, is not told that the token is
// missing which it has sent.
func TestJSONThatSaysItIsAFormIsToldSo(t *testing.T) {
	s := new(site).open(t)
	for _, path := range []string{"/api/v1/update", "/api/v1/update/progress"} {
		for _, space := range []string{"", " \n"} {
			r := s.send("POST", path, space+updateBody(admin), form)
			require.Equal(t, http.StatusUnsupportedMediaType, r.StatusCode, r.text)
			require.JSONEq(t, `{"status":"fail","message":"Unsupported content type or encoding: the body is JSON, Content-Type must be application/json"}`, r.text)
		}
	}
	r := s.send("POST", "/api/v1/update", "{&api_token="+admin+"&package="+pkg+"&version=1.0.0", form)
	require.Equal(t, http.StatusOK, r.StatusCode, "a form all the same: %s", r.text)
}

func TestDocumentedUpdateRecordsWhoAskedAndWhatWasInstalled(t *testing.T) {
	s := new(site).open(t)
	r := s.send("POST", "/api/v1/update", updateBody(admin))
	require.Equal(t, "1.1.0", r.json(t)["version"], "the newest that is no pre-release")
	runs := s.history(t)
	require.Len(t, runs, 1)
	require.Equal(t, "ann", runs[0].Request.By.Actor)
	require.Equal(t, update.StateSucceeded, runs[0].State)
}

func TestDocumentedUpdateOfWhatIsInstalledSucceedsAgain(t *testing.T) {
	s := new(site).open(t)
	first := s.send("POST", "/api/v1/update", updateBody(admin))
	again := s.send("POST", "/api/v1/update", updateBody(admin))
	require.Equal(t, http.StatusOK, again.StatusCode)
	require.JSONEq(t, first.text, again.text)
	require.EqualValues(t, 1, s.installs.Load(), "nothing is done twice")
}

func TestDocumentedUpdateRefusesWhatItCannotUse(t *testing.T) {
	s := new(site).open(t)
	for name, members := range map[string]string{
		"no package":            ``,
		"null package":          `,"package":null`,
		"number":                `,"package":1`,
		"unknown package":       `,"package":"demo/other"`,
		"option":                `,"package":"--working-dir=/"`,
		"path":                  `,"package":"../../etc/passwd"`,
		"command":               `,"package":"demo/site;id"`,
		"newline":               `,"package":"demo/site\n"`,
		"NUL":                   `,"package":"demo/site\u0000"`,
		"case":                  `,"package":"Demo/Site"`,
		"case of the name":      `,"Package":"demo/site"`,
		"version of no grammar": `,"package":"demo/site","version":"v1..2"`,
		"version of 10 KiB":     `,"package":"demo/site","version":"` + strings.Repeat("1", 10<<10) + `"`,
		"version not there":     `,"package":"demo/site","version":"7.0.0"`,
		"version as a number":   `,"package":"demo/site","version":1.1`,
	} {
		t.Run(name, func(t *testing.T) {
			r := s.send("POST", "/api/v1/update", `{"api_token":"`+admin+`"`+members+`}`)
			require.Equal(t, http.StatusBadRequest, r.StatusCode)
			require.JSONEq(t, `{"status":"fail","message":"Invalid update request"}`, r.text)
		})
	}
	require.Empty(t, s.history(t))
}

func TestDocumentedUpdateKeepsInternalsToItself(t *testing.T) {
	s := (&site{install: func(context.Context, *update.Task) error { return errors.New("dial 10.0.0.7: hunter2") }}).open(t)
	r := s.send("POST", "/api/v1/update", updateBody(admin))
	require.Equal(t, http.StatusOK, r.StatusCode)
	id := s.history(t)[0].ID
	require.JSONEq(t, `{"status":"fail","message":"Update failed (run `+id+`)"}`, r.text)
	require.Empty(t, s.log.String(), "the run has the reason")

	require.Contains(t, s.get("/upkeep/v1/updates/runs/"+id).text, "hunter2", "an administrator sees why")
	require.NotContains(t, s.send("GET", "/upkeep/v1/updates/runs/"+id, "", as(reader)).text, "hunter2")
	require.NotContains(t, s.send("GET", "/upkeep/v1/updates/runs", "", as(reader)).text, "hunter2")
}

func TestFailingCheckIsToldToAdminsAndTheLogOnly(t *testing.T) {
	for name, kind := range map[string]error{
		"of its own":           errors.New("df"),
		"a timeout":            context.DeadlineExceeded,
		"like nothing to do":   update.ErrUpToDate,
		"like a bad request":   update.ErrInvalid,
		"like another's error": update.ErrBusy,
	} {
		t.Run(name, func(t *testing.T) {
			s := (&site{check: func(context.Context, *update.Task) error { return fmt.Errorf("no space on /srv: %w", kind) }}).open(t)
			r := s.send("POST", "/api/v1/update", updateBody(admin))
			require.Equal(t, http.StatusOK, r.StatusCode, r.text)
			id := regexp.MustCompile(`^Update failed \(request ([A-Z2-7]{26})\)$`).FindStringSubmatch(r.json(t)["message"].(string))
			require.Len(t, id, 2, r.text)
			require.Equal(t, "fail", r.json(t)["status"])
			require.Contains(t, s.log.String(), "no space on /srv")
			require.Contains(t, s.log.String(), "request_id="+id[1])

			r = s.post(runs, `{"package":"demo/site"}`)
			require.Equal(t, http.StatusConflict, r.StatusCode, r.text)
			require.Equal(t, "failed", r.problem(t))
			require.Contains(t, r.json(t)["detail"], `check of step "install": no space on /srv`)
			require.Empty(t, s.history(t))
		})
	}
}

func TestDocumentedUpdateThatIsGivenUpSaysWhichRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		s := (&site{install: func(context.Context, *update.Task) error { full.Store(true); return nil }}).open(t)
		s.journal.save = func() error {
			if full.Load() {
				return errors.New("disk full: /var/lib/upkeep.db")
			}
			return nil
		}
		r := s.send("POST", "/api/v1/update", updateBody(admin))
		run := s.history(t)[0]
		require.Equal(t, update.StateRunning, run.State, "it waits to be taken up")
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.JSONEq(t, `{"status":"fail","message":"Update failed (run `+run.ID+`)"}`, r.text)
		require.Contains(t, s.log.String(), "disk full")
		require.Contains(t, s.log.String(), run.ID)
	})
}

func TestDocumentedUpdateThatIsCancelledFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := (&site{install: func(ctx context.Context, _ *update.Task) error { <-ctx.Done(); return ctx.Err() }}).open(t)
		go func() {
			synctest.Wait()
			r := s.post("/upkeep/v1/updates/runs/"+s.history(t)[0].ID+"/cancel", `{"reason":"wrong day"}`)
			require.Equal(t, http.StatusAccepted, r.StatusCode, r.text)
		}()
		r := s.send("POST", "/api/v1/update", updateBody(admin))
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Contains(t, r.json(t)["message"], "Update failed")
		run := s.history(t)[0]
		require.Equal(t, update.StateCancelled, run.State)
		require.Equal(t, &update.By{Actor: "ann", Reason: "wrong day"}, run.Cancel)
	})
}

func TestTwoHundredUpdatesAtOnceAreOneRun(t *testing.T) {
	end := make(chan struct{})
	s := (&site{install: func(context.Context, *update.Task) error { <-end; return nil }}).open(t)
	const n = 200
	replies := make(chan reply, n)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { replies <- s.send("POST", "/api/v1/update", updateBody(admin)) })
	}
	for range n - 1 { // all but the one that waits for the end
		r := <-replies
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.JSONEq(t, `{"status":"fail","message":"Core update in progress"}`, r.text)
	}
	close(end)
	wg.Wait()
	require.JSONEq(t, `{"status":"success","message":"Successfully updated","version":"1.1.0"}`, (<-replies).text)
	require.EqualValues(t, 1, s.installs.Load())
	require.Len(t, s.history(t), 1)
}

func TestUpdateSurvivesAClientThatHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		s := (&site{install: func(ctx context.Context, _ *update.Task) error {
			select {
			case <-end:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}).open(t)
		ctx, hangUp := context.WithCancel(t.Context())
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			s.send("POST", "/api/v1/update", updateBody(admin), func(r *http.Request) { *r = *r.WithContext(ctx) })
		}()
		synctest.Wait()
		hangUp()
		<-answered // the handler does not stay behind
		require.Empty(t, s.log.String())
		run := s.history(t)[0]
		require.Equal(t, update.StateRunning, run.State)
		close(end)
		run, err := s.updater.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, update.StateSucceeded, run.State)
	})
}

// gate is a Source that waits until it is opened, whatever the context.
type gate struct {
	update.Source
	open chan struct{}
}

func (g gate) Versions(_ context.Context, name string) iter.Seq2[update.Release, error] {
	<-g.open
	return g.Source.Versions(context.Background(), name)
}

func TestUpdateBeginsAlsoWhenTheClientHungUpBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		versions := gate{source.Static("1.0.0"), make(chan struct{})}
		s := (&site{source: versions}).open(t)
		ctx, hangUp := context.WithCancel(t.Context())
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			s.send("POST", "/api/v1/update", updateBody(admin), func(r *http.Request) { *r = *r.WithContext(ctx) })
		}()
		synctest.Wait()
		hangUp()
		close(versions.open)
		<-answered
		run, err := s.updater.Wait(t.Context(), s.history(t)[0].ID)
		require.NoError(t, err)
		require.Equal(t, update.StateSucceeded, run.State)
	})
}

func TestProgressTellsWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		s := (&site{
			install: func(context.Context, *update.Task) error { <-end; return nil },
			configure: func(c *httpadapter.Config) {
				c.Items = map[string]string{"theme": pkg, "tool": "demo/tool"}
			},
		}).open(t)
		progress := func(item string) any {
			r := s.send("POST", "/api/v1/update/progress", `{"api_token":"`+reader+`","itemId":"`+item+`"}`)
			require.Equal(t, http.StatusOK, r.StatusCode)
			require.Equal(t, "success", r.json(t)["status"], r.text)
			return r.json(t)["progress"]
		}
		want := func(n int, items ...string) {
			for _, item := range items {
				require.EqualValues(t, n, progress(item), item)
			}
		}
		want(0, "core", pkg, "theme", "tool", "demo/tool")
		run, err := s.updater.Start(t.Context(), update.Request{Package: pkg})
		require.NoError(t, err)
		want(1, "core", pkg, "theme")
		want(0, "tool", "demo/tool")
		close(end)
		_, err = s.updater.Wait(t.Context(), run.ID)
		require.NoError(t, err)
		want(0, "core", pkg, "theme")
		_, err = s.db.Locker().Acquire(t.Context(), "tools/a b", "somebody", time.Minute)
		require.NoError(t, err)
		want(0, "core") // which is another lock
	})
}

func TestProgressItemMeansWhatIsNamedSoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		wait := []update.Step{{Name: "wait", Do: func(context.Context, *update.Task) error { <-end; return nil }}}
		progress := func(names []string, items map[string]string, runs, item string) any {
			db := memory.New()
			var packages []update.Package
			for _, name := range names {
				packages = append(packages, update.Package{Name: name, Source: source.Static("1.0.0"), Steps: wait})
			}
			u := newUpdater(t, db, packages...)
			_, err := u.Start(t.Context(), update.Request{Package: runs})
			require.NoError(t, err)
			adapter, err := httpadapter.New(httpadapter.Config{Update: u, Items: items, ProgressOpen: true, Logger: quiet})
			require.NoError(t, err)
			s := &site{t: t, mux: http.NewServeMux()}
			adapter.Register(s.mux)
			return s.send("POST", "/api/v1/update/progress", `{"itemId":"`+item+`"}`).json(t)["progress"]
		}
		require.EqualValues(t, 1, progress([]string{"a", "b"}, nil, "b", "core"), "the lock")
		require.EqualValues(t, 0, progress([]string{"a", "core"}, nil, "a", "core"), "a package of that name goes before the lock")
		require.EqualValues(t, 1, progress([]string{"a", "core"}, nil, "core", "core"))
		require.EqualValues(t, 0, progress([]string{"a", "b"}, map[string]string{"core": "a"}, "b", "core"), "and so does an item")
		require.EqualValues(t, 1, progress([]string{"a", "b"}, map[string]string{"a": "a"}, "a", "a"))
		close(end)
	})
}

func TestProgressNeedsAnItem(t *testing.T) {
	s := new(site).open(t)
	for name, members := range map[string]string{"none": ``, "empty": `,"itemId":""`, "null": `,"itemId":null`, "case": `,"ITEMID":"core"`} {
		r := s.send("POST", "/api/v1/update/progress", `{"api_token":"`+reader+`"`+members+`}`)
		require.Equal(t, http.StatusBadRequest, r.StatusCode, name)
	}
	r := s.send("POST", "/api/v1/update/progress", `{"api_token":"`+reader+`","itemId":"demo/other"}`)
	require.JSONEq(t, `{"status":"fail","message":"Unknown itemId"}`, r.text)
}

func TestProgressOfAnExpiredLockIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(site).open(t)
		held, err := s.db.Locker().Acquire(t.Context(), lease.Item("update", update.DefaultLock), "a dead process", time.Minute)
		require.NoError(t, err)
		_, err = s.db.Journal().Create(t.Context(), update.Run{
			ID: "dead", Package: pkg, Item: update.DefaultLock, Token: held.Token, State: update.StateRunning,
		})
		require.NoError(t, err)
		for _, item := range []string{"core", pkg} {
			r := s.send("POST", "/api/v1/update/progress", `{"api_token":"`+reader+`","itemId":"`+item+`"}`)
			require.EqualValues(t, 1, r.json(t)["progress"], item)
		}
		time.Sleep(time.Minute)
		for _, item := range []string{"core", pkg} {
			r := s.send("POST", "/api/v1/update/progress", `{"api_token":"`+reader+`","itemId":"`+item+`"}`)
			require.EqualValues(t, 0, r.json(t)["progress"], item)
		}

		_, err = s.db.Locker().Acquire(t.Context(), lease.Item("update", update.DefaultLock), "somebody", time.Minute)
		require.NoError(t, err)
		for item, progress := range map[string]int{"core": 1, pkg: 0} { // the lock is taken, but not for that run
			r := s.send("POST", "/api/v1/update/progress", `{"api_token":"`+reader+`","itemId":"`+item+`"}`)
			require.EqualValues(t, progress, r.json(t)["progress"], item)
		}
	})
}
