package httpadapter_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// phone is another device of the same remote.
type phone struct {
	t      *testing.T
	folder *cloudsync.Folder
	person memory.Person
}

func (s *synced) phone(t *testing.T) *phone {
	files := s.cloud.Files("phone")
	folder, err := cloudsync.New(cloudsync.Config{
		Name: "notes", Device: "phone", Store: memory.New(), Files: files, Remote: s.cloud.Remote("default"), Vault: newLatch(), Logger: quiet,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, folder.Close()) })
	return &phone{t, folder, files.Person()}
}

func (p *phone) sync() {
	_, err := p.folder.Sync(p.t.Context(), cloudsync.Request{})
	require.NoError(p.t, err)
}

// quarrels makes a conflict about each path.
func (s *synced) quarrels(t *testing.T, paths ...string) {
	p := s.phone(t)
	for _, path := range paths {
		p.person.Write(path, "of the phone: "+path)
		s.person.Write(path, "of the desk: "+path)
	}
	p.sync()
	s.sync(t)
}

func TestConflictsAreListedPageByPageWhileTheyAreEnded(t *testing.T) {
	s := newSynced(t)
	s.quarrels(t, "a.md", "b/c.md", "b.md", "d.md")
	var paths, copies []any
	for _, c := range s.list(t, "/conflicts", "conflicts") {
		paths, copies = append(paths, c["path"]), append(copies, c["copy"])
	}
	require.Equal(t, []any{"a.md", "b.md", "b/c.md", "d.md"}, paths)

	page := s.get(ownSync + "/conflicts?limit=2").json(t)
	require.Len(t, page["conflicts"], 2)
	next := "/conflicts?limit=1&after=" + url.QueryEscape(page["next"].(string))
	s.person.Remove(copies[1].(string)) // the last of the page
	rest := s.list(t, next, "conflicts")
	require.Equal(t, []any{"b/c.md", copies[2]}, []any{rest[0]["path"], rest[0]["copy"]})
	require.Empty(t, s.list(t, "/conflicts?after=e", "conflicts"))
	require.Len(t, s.list(t, "/conflicts?after=b.md", "conflicts"), 2)
}

func TestConflictsEndAsSomebodySays(t *testing.T) {
	s := newSynced(t)
	s.quarrels(t, "a.md", "b.md", "c.md")
	all := s.list(t, "/conflicts", "conflicts")
	require.Len(t, all, 3)
	body := func(c map[string]any, keep string) string {
		c["keep"], c["reason"] = keep, "it is the better one"
		return string(encoded(t, c))
	}
	end := func(c map[string]any, keep string) reply { return s.post(ownSync+"/conflicts/resolve", body(c, keep)) }
	require.Equal(t, "invalid-body", end(all[0], "neither").problem(t))
	forbidden := s.send("POST", ownSync+"/conflicts/resolve", body(all[0], "file"), as(reader))
	require.Equal(t, http.StatusForbidden, forbidden.StatusCode)
	for i, keep := range []string{"file", "copy", "both"} {
		r := end(all[i], keep)
		require.Equal(t, http.StatusNoContent, r.StatusCode, r.text)
		require.Equal(t, "overtaken", end(all[i], keep).problem(t), "it has ended")
	}
	require.Empty(t, s.list(t, "/conflicts", "conflicts"))
	content := func(c map[string]any) string {
		text, there := s.person.Read(c["path"].(string))
		require.True(t, there)
		return strings.Fields(text)[2]
	}
	require.NotEqual(t, content(all[0]), content(all[1]), "the file of one, and the copy of the other")
	require.Equal(t, "invalid-request", s.post(ownSync+"/conflicts/resolve", `{"path":"a.md","copy":"b.md","keep":"file"}`).problem(t))
	require.Equal(t, "invalid-body", s.post(ownSync+"/conflicts/resolve", `{"path":"a.md","keep":"file"}`).problem(t))
}

func TestOlderContentComesBack(t *testing.T) {
	s := newSynced(t)
	s.person.Write("diary.md", "first")
	s.person.Write("other.md", "first")
	first := s.sync(t)
	s.person.Write("diary.md", "second")
	s.person.Write("other.md", "second")
	s.sync(t)
	read := func(path string) string {
		text, _ := s.person.Read(path)
		return text
	}
	r := s.post(ownSync+"/restore", `{"commit":"`+first.Commit+`","paths":["diary.md"],"reason":"it was better"}`)
	require.Equal(t, "restore", r.json(t)["kind"])
	run := s.wait(t, r)
	require.Equal(t, "it was better", run.Request.By.Reason)
	require.Equal(t, []string{"first", "second"}, []string{read("diary.md"), read("other.md")})
	s.wait(t, s.post(ownSync+"/restore", `{"commit":"`+first.Commit+`","into":"old"}`))
	require.Equal(t, []string{"first", "second"}, []string{read("old/other.md"), read("other.md")})

	for body, slug := range map[string]string{
		`{"commit":""}`: "invalid-body", `{"commit":"x","paths":"a"}`: "invalid-body",
		`{"commit":"` + first.Commit + `","into":"../x"}`: "invalid-request", `{"commit":"` + first.Commit + `","paths":["/"]}`: "invalid-request",
	} {
		require.Equal(t, slug, s.post(ownSync+"/restore", body).problem(t), body)
	}
}

func TestHistoryIsForgottenAsIsPlanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSynced(t)
		for _, text := range []string{"first", "second", "third"} {
			s.person.Write("diary.md", text)
			s.sync(t)
			time.Sleep(time.Hour)
		}
		const body = `{"age_ms":5400000,"reason":"it is full"}`
		would := s.post(ownSync+"/compact/plan", body).json(t)
		require.Len(t, s.list(t, "/commits", "commits"), 3, "nothing is done yet")
		run := s.wait(t, s.post(ownSync+"/compact", body))
		require.NotNil(t, run.Compaction)
		require.Equal(t, 1, run.Compaction.Forgotten)
		require.EqualValues(t, 1, would["forgotten"])
		texts := string(encoded(t, s.list(t, "/commits", "commits")))
		require.Equal(t, 2, strings.Count(texts, "by hand"))
		require.Contains(t, texts, "it is full")

		require.Equal(t, http.StatusOK, s.send("POST", ownSync+"/compact/plan", body, as(reader)).StatusCode)
		require.Equal(t, http.StatusForbidden, s.send("POST", ownSync+"/compact", body, as(reader)).StatusCode)
		for body, slug := range map[string]string{
			`{}`: "invalid-body", `{"age_ms":-1}`: "invalid-body", `{"age_ms":9223372036855}`: "invalid-body",
			`{"age_ms":1,"daily":-1}`: "invalid-request",
		} {
			require.Equal(t, slug, s.post(ownSync+"/compact", body).problem(t), body)
			require.Equal(t, slug, s.post(ownSync+"/compact/plan", body).problem(t), body)
		}
	})
}

func TestAPlanOfAFolderIsDoneOrOvertaken(t *testing.T) {
	s := newSynced(t)
	for _, name := range []string{"a.md", "b.md", "c.md"} {
		s.person.Write(name, name)
	}
	s.sync(t)
	s.person.Remove("a.md")
	s.person.Write("b.md", "again")
	s.person.Write("d.md", "new")
	first := s.post(ownSync+"/plan?limit=2", `{}`).json(t)
	require.Equal(t, []any{"2", 2}, []any{first["next"], len(first["actions"].([]any))})
	named := `{"plan":"` + first["id"].(string) + `"}`
	second := s.post(ownSync+"/plan?after=2", named).json(t)
	require.Len(t, second["actions"], 1)
	s.wait(t, s.post(ownSync+"/runs", named))
	require.Equal(t, "overtaken", s.post(ownSync+"/plan?after=2", named).problem(t))
}

func TestDamageIsFoundAndRepaired(t *testing.T) {
	s := newSynced(t)
	s.person.Write("diary.md", "first")
	s.sync(t)
	damages := func(depth string) []any {
		r := s.post(ownSync+"/verify", `{"depth":"`+depth+`"}`)
		require.Equal(t, http.StatusOK, r.StatusCode, r.text)
		return r.json(t)["damages"].([]any)
	}
	require.Empty(t, damages("contents"))
	remote := s.cloud.Remote("default")
	for o, err := range remote.List(t.Context(), "packs/", "") {
		require.NoError(t, err)
		require.NoError(t, remote.Delete(t.Context(), o.Name))
	}
	found := damages("objects")
	require.NotEmpty(t, found)
	require.Contains(t, string(encoded(t, found)), "it is missing")
	require.Equal(t, http.StatusForbidden, s.send("POST", ownSync+"/verify", `{}`, as(reader)).StatusCode)
	require.Equal(t, "invalid-body", s.post(ownSync+"/verify", `{"depth":"sea"}`).problem(t))

	run := s.wait(t, s.post(ownSync+"/repair", `{"reason":"a disk is gone"}`))
	require.Equal(t, cloudsync.KindRepair, run.Kind)
	s.sync(t)
	require.Empty(t, damages("contents"), "it is sent again")
}
