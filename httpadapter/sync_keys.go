package httpadapter

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// keyRoutes are about the passphrases that open the remote, for an Admin alone.
func (s *syncRoutes) keyRoutes(t web.Table) []web.Route {
	keys := t.SeeByGet("listSyncKeys", "/keys", "List the keys of the remote", syncKeysReply{}, s.keys, pageQuery...)
	keys.Needs = int(Admin)
	add := t.Post("addSyncKey", "/keys", "Let a further passphrase open the remote", keyBody{}, syncKeyReply{}, s.addKey).With(http.StatusCreated)
	remove := t.Change("removeSyncKey", http.MethodDelete, "/keys/{id}", "Make a passphrase open nothing any more", nil, nil, s.removeKey).
		With(http.StatusNoContent).Asks(web.Text("reason", "why, at most 4,096 bytes"))
	remove.Body = 0
	keys.Slow, add.Slow, remove.Slow = true, true, true // they ask the remote, and a passphrase takes its time
	return []web.Route{keys, add, remove}
}

// pageQuery is what can be asked of a list of the remote.
var pageQuery = []web.Field{web.Text("after", "continue after the item that next names"), limitQuery}

func (s *syncRoutes) keys(c *web.Call) error {
	return syncPage(c, "keys", s.folder.Keys(c.Context()), func(k cloudsync.Key) syncKeyReply { return syncKeyReply(k) },
		func(k syncKeyReply) string { return k.ID })
}

// syncPage answers with the items of a list, in the order of their ids, that follow
// the id that the query's after has, whether or not that item is still there.
func syncPage[T, W any](c *web.Call, name string, list iter.Seq2[T, error], show func(T) W, id func(W) string) error {
	return syncPageBy(c, name, list, show, id, strings.Compare)
}

// syncPageBy is syncPage of a list whose ids are in another order.
func syncPageBy[T, W any](
	c *web.Call, name string, list iter.Seq2[T, error], show func(T) W, id func(W) string, compare func(a, b string) int,
) error {
	limit, err := c.Limit(maxActions)
	if err != nil {
		return err
	}
	after := c.Query.Get("after")
	shown := web.Map(list, func(v T, err error) (W, error) { return show(v), err })
	return web.Page(c, name, limit, web.Keep(shown, func(w W, err error) bool {
		return err != nil || after == "" || compare(id(w), after) > 0
	}), id)
}

func (s *syncRoutes) addKey(c *web.Call) error {
	var b keyBody
	if err := c.Decode(&b); err != nil {
		return err
	}
	switch {
	case web.CheckID(b.Name) != nil:
		return web.BadBody.With("name is no name of 1 to 255 bytes")
	case b.Passphrase == "" || len(b.Passphrase) > maxPassphrase:
		return web.BadBody.With("passphrase is not of 1 to 1024 bytes")
	}
	why, err := c.Because("reason", b.Reason, "")
	if err != nil {
		return err
	}
	key, err := s.folder.AddKey(context.WithoutCancel(c.Context()), b.Name, b.Passphrase, cloudsync.By(why))
	if err != nil {
		return err
	}
	c.Header().Set("Location", s.prefix+"/upkeep/v1/sync/keys/"+url.PathEscape(key.ID))
	return c.Reply(http.StatusCreated, syncKeyReply(key))
}

const maxPassphrase = 1024 // bytes

func (s *syncRoutes) removeKey(c *web.Call) error {
	why, err := c.Because("reason", c.Query.Get("reason"), "")
	if err != nil {
		return err
	}
	if err := s.folder.RemoveKey(context.WithoutCancel(c.Context()), c.ID("id"), cloudsync.By(why)); err != nil {
		return err
	}
	return c.Reply(http.StatusNoContent, nil)
}
