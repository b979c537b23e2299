package httpadapter

import (
	"cmp"
	"fmt"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// historyRoutes are about what the remote keeps.
func (s *syncRoutes) historyRoutes(t web.Table) []web.Route {
	commit := web.Text("commit", "as this commit has it; default: as last synced")
	verify := t.Post("verifySync", "/verify", "List the objects that are missing or damaged", depthBody{}, syncDamagesReply{}, s.verify).Asks(pageQuery...)
	verify.Needs = int(Admin)
	tag := t.Change("tagCommit", http.MethodPut, "/tags/{tag}", "Name a commit, which is then never forgotten", tagBody{}, nil, s.tag).With(http.StatusNoContent)
	untag := t.Change("removeTag", http.MethodDelete, "/tags/{tag}", "Take a tag away", nil, nil, s.untag).
		With(http.StatusNoContent).Asks(web.Text("reason", "why, at most 4,096 bytes"))
	untag.Body = 0
	routes := []web.Route{
		t.SeeByGet("listCommits", "/commits", "List commits, newest first", syncCommitsReply{}, s.commits, append([]web.Field{
			web.Text("path", "only those that changed this file, or something in this folder"), web.Text("device", "only those by this device")}, pageQuery...)...),
		t.SeeByGet("diffCommits", "/diff", "List what differs from one commit to another, by path", syncDifferencesReply{}, s.diff, append([]web.Field{
			web.Text("from", "a commit; default: the folder as it was last synced"), web.Text("to", "likewise")}, pageQuery...)...),
		t.SeeByGet("readSynced", "/files", "Read a file", nil, s.file, web.Text("path", "of the file").Needed(), commit),
		t.SeeByGet("listSyncConflicts", "/conflicts", "List the conflict copies that are there, by path", syncConflictsReply{}, s.conflicts, pageQuery...),
		verify, tag, untag,
	}
	for i := range routes {
		routes[i].Slow = true // they ask the remote
	}
	routes[2].Raw = true
	return routes
}

func (s *syncRoutes) commits(c *web.Call) error {
	limit, err := c.Limit(maxActions)
	if err != nil {
		return err
	}
	q := cloudsync.CommitQuery{Path: c.Query.Get("path"), Device: c.Query.Get("device"), After: c.Query.Get("after")}
	list := web.Map(s.folder.Commits(c.Context(), q), func(v cloudsync.Commit, err error) (syncCommitReply, error) {
		return syncCommitOf(v), err
	})
	return web.Page(c, "commits", limit, list, func(v syncCommitReply) string { return v.ID })
}

func (s *syncRoutes) diff(c *web.Call) error {
	return syncPage(c, "differences", s.folder.Diff(c.Context(), c.Query.Get("from"), c.Query.Get("to")),
		func(d cloudsync.Difference) syncDifferenceReply { return syncDifferenceReply(d) },
		func(d syncDifferenceReply) string { return d.Path })
}

// file streams a file, which no browser shows as a page of ours.
func (s *syncRoutes) file(c *web.Call) error {
	name := c.Query.Get("path")
	if name == "" {
		return web.BadQuery.With("path is needed")
	}
	content, err := s.folder.Open(c.Context(), c.Query.Get("commit"), name)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }() // it was only read
	c.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(name)}))
	return c.Download(content)
}

func (s *syncRoutes) conflicts(c *web.Call) error {
	return syncPageBy(c, "conflicts", s.folder.Conflicts(c.Context()),
		func(v cloudsync.Conflict) syncConflictReply { return syncConflictReply(v) },
		func(v syncConflictReply) string { return v.Path + conflictCut + v.Copy }, compareConflicts)
}

// conflictCut is between the path and the copy in the id of a conflict, and in no
// path.
const conflictCut = "//"

// compareConflicts has the order of the list: by path, then by copy.
func compareConflicts(a, b string) int {
	pathA, copyA, _ := strings.Cut(a, conflictCut)
	pathB, copyB, _ := strings.Cut(b, conflictCut)
	return cmp.Or(strings.Compare(pathA, pathB), strings.Compare(copyA, copyB))
}

func (s *syncRoutes) verify(c *web.Call) error {
	var b depthBody
	if err := c.DecodeOptional(&b); err != nil {
		return err
	}
	depth := cloudsync.Depth(b.Depth)
	switch depth {
	case "":
		depth = cloudsync.DepthObjects
	case cloudsync.DepthObjects, cloudsync.DepthContents:
	default:
		return web.BadBody.With("depth is neither objects nor contents")
	}
	return syncPage(c, "damages", s.folder.Verify(c.Context(), depth),
		func(d cloudsync.Damage) syncDamageReply {
			return syncDamageReply{Object: d.Object, Paths: append([]string{}, d.Paths...), Reason: d.Reason}
		}, func(d syncDamageReply) string { return d.Object })
}

func (s *syncRoutes) tag(c *web.Call) error {
	var b tagBody
	if err := c.Decode(&b); err != nil {
		return err
	}
	if b.Commit == "" {
		return web.BadBody.With("commit is needed")
	}
	return s.tagged(c, b.Commit, b.Reason)
}

func (s *syncRoutes) untag(c *web.Call) error { return s.tagged(c, "", c.Query.Get("reason")) }

func (s *syncRoutes) tagged(c *web.Call, commit, reason string) error {
	why, err := c.Because("reason", reason, "")
	if err != nil {
		return err
	}
	if err := s.folder.Tag(c.Context(), c.ID("tag"), commit, cloudsync.By(why)); err != nil {
		return fmt.Errorf("tag %q: %w", c.ID("tag"), err)
	}
	return c.Reply(http.StatusNoContent, nil)
}
