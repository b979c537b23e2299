package httpadapter

import (
	"encoding/json"
	"fmt"

	"github.com/upkeep-go/upkeep/httpadapter/internal/web"
	"github.com/upkeep-go/upkeep/lv"
)

// descBody says why.
type descBody struct {
	Desc string `json:"desc" openapi:"maxLength=4096"`
}

// deletionBody names a deletion, and where it is published.
type deletionBody struct {
	Desc     string `json:"desc" openapi:"maxLength=4096"`
	ActionID number `json:"actionId" openapi:"needed"`
	GrayID   string `json:"grayId"` // default: production
}

// number is an id that may come as a number too.
type number string

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		return json.Unmarshal(text, (*string)(n))
	}
	var literal json.Number
	err := json.Unmarshal(text, &literal)
	*n = number(literal)
	return err
}

// batchBody names rows of a gray environment.
type batchBody struct {
	Desc      string   `json:"desc" openapi:"maxLength=4096"`
	ObjectIDs []string `json:"objectIds" openapi:"needed,minItems=1,maxItems=1000"`
}

// movedReply says what was done, or had been. ReleaseID is empty if nothing
// that is published ever moved, VersionID if the release is about several rows.
type movedReply struct {
	ReleaseID string `json:"releaseId"`
	VersionID string `json:"versionId"`
}

// wujiBy returns who makes a change of the document, and why.
func wujiBy(c *web.Call, desc string) (lv.By, error) {
	why, err := c.Because("desc", desc, "")
	why.Actor = c.Request.Header.Get("Staffname")
	return lv.By(why), err
}

// change returns the table, who changes it, and why. The route's body, if it
// has one, has at least what a descBody has.
func (l *lvRoutes) change(c *web.Call) (*lv.Table, lv.By, error) {
	t, err := l.table(c)
	if err != nil {
		return nil, lv.By{}, err
	}
	var b descBody
	if c.Route.Body > 0 {
		if err := c.DecodeOptional(&b); err != nil {
			return nil, lv.By{}, err
		}
	}
	by, err := wujiBy(c, b.Desc)
	return t, by, err
}

// wujiMoved answers with what was released of a row, or of all rows if it is "".
func wujiMoved(c *web.Call, r lv.Release, row string) error {
	var reply movedReply
	if r.ID != 0 {
		reply.ReleaseID = decimal(r.ID)
	}
	for _, change := range r.Changes {
		if change.Row == row && change.To != 0 {
			reply.VersionID = decimal(change.To)
		}
	}
	return wujiDone(c, reply)
}

func (l *lvRoutes) rollback(c *web.Call) error {
	t, by, err := l.change(c)
	if err != nil {
		return err
	}
	id, err := versionOf(c.ID("versionId"))
	if err != nil {
		return err
	}
	v, err := t.Restore(c.Context(), id, by)
	if err != nil {
		return err
	}
	return wujiDone(c, movedReply{VersionID: decimal(v.ID)})
}

// publishNothing answers the document's example, which names no row. It never
// means all of them.
func (l *lvRoutes) publishNothing(c *web.Call) error {
	if _, err := l.table(c); err != nil {
		return err
	}
	return web.BadID.With("the path names no row: want publish/{objectId}")
}

// publish publishes a row to production, or to the gray in the path.
func (l *lvRoutes) publish(c *web.Call) error {
	t, by, err := l.change(c)
	if err != nil {
		return err
	}
	row := c.ID("objectId")
	r, err := t.Publish(c.Context(), lv.Env(c.ID("grayId")), by, row)
	if err != nil {
		return err
	}
	return wujiMoved(c, r, row)
}

func (l *lvRoutes) publishDeletion(c *web.Call) error {
	t, by, err := l.change(c)
	if err != nil {
		return err
	}
	var b deletionBody
	if err := c.DecodeOptional(&b); err != nil {
		return err
	}
	if b.GrayID != "" {
		if err := web.CheckID(b.GrayID); err != nil {
			return err
		}
	}
	if b.ActionID == "" {
		return web.BadBody.With("actionId is needed")
	}
	action, err := versionOf(string(b.ActionID))
	if err != nil {
		return err
	}
	deletion, err := t.VersionByID(c.Context(), action)
	if err != nil {
		return err
	}
	if deletion.Op != lv.OpDelete {
		return fmt.Errorf("%w: deletion %d", lv.ErrNotFound, action)
	}
	r, err := t.Release(c.Context(), lv.Env(b.GrayID), by, action)
	if err != nil {
		return err
	}
	return wujiMoved(c, r, deletion.Row)
}

// release points production, or the gray in the path, at a version.
func (l *lvRoutes) release(c *web.Call) error {
	t, by, err := l.change(c)
	if err != nil {
		return err
	}
	id, err := versionOf(c.ID("versionId"))
	if err != nil {
		return err
	}
	v, err := t.VersionByID(c.Context(), id)
	if err != nil {
		return err
	}
	r, err := t.Release(c.Context(), lv.Env(c.ID("grayId")), by, id)
	if err != nil {
		return err
	}
	return wujiMoved(c, r, v.Row)
}

func (l *lvRoutes) reset(c *web.Call) error {
	t, by, err := l.change(c)
	if err != nil {
		return err
	}
	var b batchBody
	if err := c.DecodeOptional(&b); err != nil {
		return err
	}
	if err := checkBatch("objectIds", b.ObjectIDs); err != nil {
		return err
	}
	r, err := t.Reset(c.Context(), lv.Env(c.ID("grayId")), by, b.ObjectIDs...)
	if err != nil {
		return err
	}
	return wujiMoved(c, r, "")
}
