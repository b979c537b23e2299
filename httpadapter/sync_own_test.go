package httpadapter_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

const ownSync = "/upkeep/v1/sync"

// synced is a site whose folder has files in memory.
type synced struct {
	*site
	folder *cloudsync.Folder
	cloud  *memory.DB // has the remotes
	person memory.Person
}

func newSynced(t *testing.T) *synced {
	db := memory.New()
	files := db.Files("notes")
	folder, err := cloudsync.New(cloudsync.Config{
		Name: "notes", Device: "desk", Store: db, Files: files, Remote: db.Remote("default"), Remotes: db.Remotes(),
		Vault: newLatch(), Logger: quiet,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, folder.Close()) })
	s := (&site{db: db, configure: func(c *httpadapter.Config) { c.Sync, c.Folder, c.Remotes = nil, folder, db.Remotes() }}).open(t)
	return &synced{s, folder, db, files.Person()}
}

// sync starts a sync by a request, and waits for it.
func (s *synced) sync(t *testing.T) cloudsync.Run {
	r := s.post(ownSync+"/runs", `{"reason":"by hand"}`)
	require.Equal(t, http.StatusAccepted, r.StatusCode, r.text)
	return s.wait(t, r)
}

func (s *synced) wait(t *testing.T, r reply) cloudsync.Run {
	require.Equal(t, http.StatusAccepted, r.StatusCode, r.text)
	run, err := s.folder.Wait(t.Context(), r.json(t)["id"].(string))
	require.NoError(t, err)
	return run
}

// list returns the items of a list.
func (s *synced) list(t *testing.T, path, name string) (all []map[string]any) {
	r := s.get(ownSync + path)
	require.Equal(t, http.StatusOK, r.StatusCode, r.text)
	for _, v := range r.json(t)[name].([]any) {
		all = append(all, v.(map[string]any))
	}
	return all
}

func TestAFolderIsSyncedAndItsHistoryRead(t *testing.T) {
	s := newSynced(t)
	s.person.Write("diary.md", "first")
	first := s.sync(t)
	s.person.Write("diary.md", "second")
	s.person.Write("new 日记.md", "more")
	second := s.sync(t)

	commits := s.list(t, "/commits", "commits")
	require.Equal(t, []any{second.Commit, first.Commit, "ann", "by hand"},
		[]any{commits[0]["id"], commits[1]["id"], commits[0]["actor"], commits[0]["request_reason"]})
	page := s.get(ownSync + "/commits?limit=1").json(t)
	require.Equal(t, second.Commit, page["next"])
	require.Len(t, s.list(t, "/commits?after="+second.Commit, "commits"), 1)

	differences := s.list(t, "/diff?from="+first.Commit+"&to="+second.Commit, "differences")
	require.Equal(t, []any{"diary.md", "edited", "new 日记.md", "added"},
		[]any{differences[0]["path"], differences[0]["kind"], differences[1]["path"], differences[1]["kind"]})

	read := s.send("GET", ownSync+"/files?path=diary.md&commit="+first.Commit, "", as(reader))
	require.Equal(t, []any{200, "first", "application/octet-stream", "attachment; filename=diary.md", "nosniff"}, []any{
		read.StatusCode, read.text, read.Header.Get("Content-Type"), read.Header.Get("Content-Disposition"), read.Header.Get("X-Content-Type-Options"),
	})
	require.Equal(t, "more", s.get(ownSync+"/files?commit="+second.Commit+"&path="+url.QueryEscape("new 日记.md")).text)
	require.Equal(t, "second", s.get(ownSync+"/files?path=diary.md").text, "as last synced")
	require.Equal(t, "not-found", s.get(ownSync+"/files?path=none&commit="+first.Commit).problem(t))
	require.Equal(t, "invalid-query", s.get(ownSync+"/files").problem(t))

	tagged := s.send("PUT", ownSync+"/tags/before", `{"commit":"`+first.Commit+`"}`, as(admin))
	require.Equal(t, http.StatusNoContent, tagged.StatusCode, tagged.text)
	all := s.list(t, "/commits?device=desk", "commits")
	require.Equal(t, []any{"before"}, all[len(all)-1]["tags"])
	require.Equal(t, http.StatusNoContent, s.send("DELETE", ownSync+"/tags/before", "", as(admin)).StatusCode)
	require.Equal(t, http.StatusBadRequest, s.post(ownSync+"/restore", `{}`).StatusCode)
	require.Equal(t, http.StatusForbidden, s.send("POST", ownSync+"/restore", `{"commit":"x"}`, as(reader)).StatusCode)
}

func TestSettingsOfAFolderAreChangedByName(t *testing.T) {
	s := newSynced(t)
	require.JSONEq(t, `{"enabled":true,"remote":""}`, s.get(ownSync+"/settings").text)
	require.Equal(t, "not-found", s.send("PATCH", ownSync+"/settings", `{"remote":"none"}`, as(admin)).problem(t))
	require.JSONEq(t, `{"enabled":true,"remote":""}`, s.get(ownSync+"/settings").text)
	require.JSONEq(t, `{"enabled":false,"remote":""}`, s.send("PATCH", ownSync+"/settings", `{"enabled":false}`, as(admin)).text)
	require.Equal(t, "disabled", s.post(ownSync+"/runs", "").problem(t))
	require.Contains(t, s.send("POST", "/api/sync/performSync", `{"app":"a"}`, as(admin)).text, `"msg":"Sync is switched off"`)
}

func TestKeysAreForAnAdminAlone(t *testing.T) {
	s := newSynced(t)
	s.sync(t)
	require.Len(t, s.list(t, "/keys", "keys"), 1)
	require.Equal(t, http.StatusForbidden, s.send("GET", ownSync+"/keys", "", as(reader)).StatusCode)
	added := s.post(ownSync+"/keys", `{"name":"phone","passphrase":"battery staple"}`)
	require.Equal(t, http.StatusCreated, added.StatusCode, added.text)
	require.NotContains(t, added.text+s.log.String(), "staple")
	require.Len(t, s.list(t, "/keys", "keys"), 2)
	require.Equal(t, http.StatusNoContent, s.send("DELETE", added.Header.Get("Location"), "", as(admin)).StatusCode)
	require.Len(t, s.list(t, "/keys", "keys"), 1)
	for _, body := range []string{`{"name":"phone"}`, `{"name":"phone","passphrase":""}`, `{"passphrase":"x"}`} {
		require.Equal(t, "invalid-body", s.post(ownSync+"/keys", body).problem(t), body)
	}
}

func TestCloudDirectoriesAreListedMadeUsedAndRemoved(t *testing.T) {
	s := newSynced(t)
	call := func(name, body string) map[string]any {
		return s.send("POST", "/api/sync/"+name, body, as(admin)).json(t)
	}
	require.EqualValues(t, 0, call("createCloudSyncDir", `{"name":"other"}`)["code"])
	require.EqualValues(t, -1, call("createCloudSyncDir", `{"name":"other"}`)["code"])
	require.EqualValues(t, -1, call("createCloudSyncDir", `{"name":"../x"}`)["code"])
	require.EqualValues(t, -1, call("setCloudSyncDir", `{"name":"none"}`)["code"])
	require.EqualValues(t, 0, call("setCloudSyncDir", `{"name":"other"}`)["code"])
	dirs := call("listCloudSyncDir", `{}`)["data"].(map[string]any)
	require.Equal(t, []any{"other", "other"}, []any{dirs["checkedSyncDir"], dirs["syncDirs"].([]any)[0].(map[string]any)["cloudName"]})
	require.EqualValues(t, -1, call("removeCloudSyncDir", `{"name":"other"}`)["code"], "it is in use")
	require.EqualValues(t, 0, call("setCloudSyncDir", `{"name":"main"}`)["code"])
	require.Equal(t, "main", call("removeCloudSyncDir", `{"name":"other"}`)["data"])
	require.Empty(t, call("listCloudSyncDir", `{}`)["data"].(map[string]any)["syncDirs"])
}

func TestADirectoryCalledMainIsTheOneThatIsMeant(t *testing.T) {
	s := newSynced(t)
	call := func(name, body string) any {
		return s.send("POST", "/api/sync/"+name, body, as(admin)).json(t)["code"]
	}
	perform := func() map[string]any {
		require.EqualValues(t, 0, call("performSync", `{"app":"a","cloudName":"main"}`))
		run := s.list(t, "/runs", "runs")[0]
		_, err := s.folder.Wait(t.Context(), run["id"].(string))
		require.NoError(t, err)
		return run
	}
	require.NotContains(t, perform(), "remote", "that which has no name")
	require.EqualValues(t, 0, call("createCloudSyncDir", `{"name":"other"}`))
	require.EqualValues(t, 0, call("setCloudSyncDir", `{"name":"other"}`))
	require.NotContains(t, perform(), "remote", "also while another is in use")
	require.EqualValues(t, 0, call("setCloudSyncDir", `{"name":"main"}`))
	require.EqualValues(t, 0, call("createCloudSyncDir", `{"name":"main"}`))
	require.EqualValues(t, -1, call("removeCloudSyncDir", `{"name":"main"}`), "a list says that it is in use")
	require.Equal(t, "main", perform()["remote"])
}

func TestNothingWasEverSynced(t *testing.T) {
	s := newSynced(t)
	require.Empty(t, s.list(t, "/commits", "commits"))
	require.Empty(t, s.list(t, "/conflicts", "conflicts"))
	refused := s.get(ownSync + "/files?path=nope")
	require.Equal(t, "not-found", refused.problem(t))
	require.Contains(t, refused.text, "nothing was ever synced with this remote")
	for _, paths := range []string{`[null]`, `[""]`} {
		require.Equal(t, http.StatusBadRequest, s.post(ownSync+"/restore", `{"commit":"x","paths":`+paths+`}`).StatusCode, paths)
	}
}
