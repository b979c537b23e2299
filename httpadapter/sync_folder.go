package httpadapter

import (
	"context"
	"net/http"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// folderRoutes are those of our own that need a Folder. Who may change rows may
// change files.
func (s *syncRoutes) folderRoutes(t web.Table) []web.Route {
	files := t
	files.Changes = int(Editor)
	accepted := http.StatusAccepted
	resolve := files.Post("resolveSyncConflict", "/conflicts/resolve", "End a conflict", resolveBody{}, nil, s.resolve).With(http.StatusNoContent)
	planCompact := t.Post("planSyncCompaction", "/compact/plan", "Tell what a compaction would do, without doing it", retentionBody{}, syncCompactionReply{}, s.planCompact)
	planCompact.Needs, planCompact.Changes = t.Sees, false
	resolve.Slow, planCompact.Slow = true, true
	return append([]web.Route{
		t.See("getSyncSettings", "/settings", "Show what an operator may change", syncSettings{}, s.settings),
		t.Change("setSyncSettings", http.MethodPatch, "/settings", "Change settings: those that are named", web.Partly{Of: syncSettings{}}, syncSettings{}, s.configure),
		files.Post("restoreSynced", "/restore", "Bring older content back", restoreBody{}, syncRunReply{}, s.restore).With(accepted),
		resolve, planCompact,
		t.Post("compactSync", "/compact", "Forget commits, and delete what nothing needs", retentionBody{}, syncRunReply{}, s.compact).With(accepted),
		t.Post("repairSync", "/repair", "Commit that damaged objects are gone, so that devices send them again", rollbackBody{}, syncRunReply{}, s.repair).With(accepted),
	}, s.keyRoutes(t)...)
}

func (s *syncRoutes) settings(c *web.Call) error {
	st, err := s.folder.Status(c.Context())
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, syncSettings(st.Settings))
}

// configure changes what the body names, and leaves the rest.
func (s *syncRoutes) configure(c *web.Call) error {
	var b syncChange
	if err := c.Decode(&b); err != nil {
		return err
	}
	why, err := c.Because("reason", "", "")
	if err != nil {
		return err
	}
	var now cloudsync.Settings
	change := func(s *cloudsync.Settings) {
		b.apply(s)
		now = *s
	}
	if err := s.folder.Configure(c.Context(), change, cloudsync.By(why)); err != nil {
		return err
	}
	return c.Reply(http.StatusOK, syncSettings(now))
}

func (s *syncRoutes) restore(c *web.Call) error {
	var b restoreBody
	if err := c.Decode(&b); err != nil {
		return err
	}
	if b.Commit == "" {
		return web.BadBody.With("commit is needed")
	}
	why, err := c.Because("reason", b.Reason, b.RequestID)
	if err != nil {
		return err
	}
	run, err := s.folder.Restore(context.WithoutCancel(c.Context()), cloudsync.RestoreRequest{
		Commit: b.Commit, Paths: b.Paths, Into: b.Into, By: cloudsync.By(why),
	})
	return s.runs.accepted(c, run, err)
}

func (s *syncRoutes) resolve(c *web.Call) error {
	var b resolveBody
	if err := c.Decode(&b); err != nil {
		return err
	}
	keep := cloudsync.Keep(b.Keep)
	switch {
	case keep != cloudsync.KeepFile && keep != cloudsync.KeepCopy && keep != cloudsync.KeepBoth:
		return web.BadBody.With("keep is neither file nor copy nor both")
	case b.Path == "" || b.Copy == "":
		return web.BadBody.With("path and copy are needed")
	}
	why, err := c.Because("reason", b.Reason, "")
	if err != nil {
		return err
	}
	conflict := cloudsync.Conflict{Path: b.Path, Copy: b.Copy, PathHash: b.PathHash, CopyHash: b.CopyHash}
	if err := s.folder.Resolve(context.WithoutCancel(c.Context()), conflict, keep, cloudsync.By(why)); err != nil {
		return err
	}
	return c.Reply(http.StatusNoContent, nil)
}

// retained reads what a compaction is to keep.
func retained(c *web.Call) (keep cloudsync.Retention, by cloudsync.By, err error) {
	var b retentionBody
	if err := c.Decode(&b); err != nil {
		return keep, by, err
	}
	if b.AgeMS == nil {
		return keep, by, web.BadBody.With("age_ms is needed; 0 keeps all commits")
	}
	if keep, err = b.retention(); err != nil {
		return keep, by, err
	}
	why, err := c.Because("reason", b.Reason, b.RequestID)
	return keep, cloudsync.By(why), err
}

func (s *syncRoutes) planCompact(c *web.Call) error {
	keep, _, err := retained(c)
	if err != nil {
		return err
	}
	would, err := s.folder.PlanCompact(c.Context(), keep)
	if err != nil {
		return err
	}
	return c.Reply(http.StatusOK, syncCompactionReply(would))
}

func (s *syncRoutes) compact(c *web.Call) error {
	keep, by, err := retained(c)
	if err != nil {
		return err
	}
	run, err := s.folder.Compact(context.WithoutCancel(c.Context()), keep, by)
	return s.runs.accepted(c, run, err)
}

func (s *syncRoutes) repair(c *web.Call) error {
	var b rollbackBody
	if err := c.DecodeOptional(&b); err != nil {
		return err
	}
	why, err := c.Because("reason", b.Reason, b.RequestID)
	if err != nil {
		return err
	}
	run, err := s.folder.Repair(context.WithoutCancel(c.Context()), cloudsync.By(why))
	return s.runs.accepted(c, run, err)
}
