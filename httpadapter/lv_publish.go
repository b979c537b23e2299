package httpadapter

import (
	"fmt"

	"github.com/upkeep-go/upkeep/lv"
)

// descBody says why.
type descBody struct {
	Desc string `json:"desc"`
}

// deletionBody names a deletion, and where it is published.
type deletionBody struct {
	Desc     string `json:"desc"`
	ActionID string `json:"actionId"`
	GrayID   string `json:"grayId"` // default: production
}

// batchBody names rows of a gray environment.
type batchBody struct {
	Desc      string   `json:"desc"`
	ObjectIDs []string `json:"objectIds"`
}

// movedReply says what was done, or had been. ReleaseID is empty if nothing
// that is published ever moved, VersionID if the release is about several rows.
type movedReply struct {
	ReleaseID string `json:"releaseId"`
	VersionID string `json:"versionId"`
}

// by returns who makes a change of the document, and why.
func (c *call) byStaff(desc string) (lv.By, error) {
	if len(desc) > maxDesc {
		return lv.By{}, badBody.with(fmt.Sprintf("desc: at most %d bytes", maxDesc))
	}
	return lv.By{Actor: c.r.Header.Get("Staffname"), Reason: desc}, nil
}

// change returns the table, who changes it, and why. The route's body, if it
// has one, is a descBody.
func (l *lvAPI) change(c *call) (*lv.Table, lv.By, error) {
	t, err := l.table(c)
	if err != nil {
		return nil, lv.By{}, err
	}
	var b descBody
	if c.route.body > 0 {
		if err := c.decodeOptional(&b); err != nil {
			return nil, lv.By{}, err
		}
	}
	by, err := c.byStaff(b.Desc)
	return t, by, err
}

// moved answers with what was released of a row, or of all rows if it is "".
func (c *call) moved(r lv.Release, row string) error {
	var reply movedReply
	if r.ID != 0 {
		reply.ReleaseID = decimal(r.ID)
	}
	for _, change := range r.Changes {
		if change.Row == row && change.To != 0 {
			reply.VersionID = decimal(change.To)
		}
	}
	return c.done(reply)
}

func (l *lvAPI) rollback(c *call) error {
	t, by, err := l.change(c)
	if err != nil {
		return err
	}
	id, err := versionOf(c.r.PathValue("versionId"))
	if err != nil {
		return err
	}
	v, err := t.Restore(c.r.Context(), id, by)
	if err != nil {
		return err
	}
	return c.done(movedReply{VersionID: decimal(v.ID)})
}

// publishNothing answers the document's example, which names no row. It never
// means all of them.
func (l *lvAPI) publishNothing(c *call) error {
	if _, err := l.table(c); err != nil {
		return err
	}
	return badID.with("the path names no row: want publish/{objectId}")
}

// publish publishes a row to production, or to the gray in the path.
func (l *lvAPI) publish(c *call) error {
	t, by, err := l.change(c)
	if err != nil {
		return err
	}
	row := c.r.PathValue("objectId")
	r, err := t.Publish(c.r.Context(), lv.Env(c.r.PathValue("grayId")), by, row)
	if err != nil {
		return err
	}
	return c.moved(r, row)
}

func (l *lvAPI) publishDeletion(c *call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	var b deletionBody
	if err := c.decodeOptional(&b); err != nil {
		return err
	}
	by, err := c.byStaff(b.Desc)
	if err != nil {
		return err
	}
	if b.GrayID != "" {
		if err := checkID(b.GrayID); err != nil {
			return err
		}
	}
	if b.ActionID == "" {
		return badBody.with("actionId is needed")
	}
	action, err := versionOf(b.ActionID)
	if err != nil {
		return err
	}
	deletion, err := t.VersionByID(c.r.Context(), action)
	if err != nil {
		return err
	}
	if deletion.Op != lv.OpDelete {
		return fmt.Errorf("%w: deletion %d", lv.ErrNotFound, action)
	}
	r, err := t.Release(c.r.Context(), lv.Env(b.GrayID), by, action)
	if err != nil {
		return err
	}
	return c.moved(r, deletion.Row)
}

// release points production, or the gray in the path, at a version.
func (l *lvAPI) release(c *call) error {
	t, by, err := l.change(c)
	if err != nil {
		return err
	}
	id, err := versionOf(c.r.PathValue("versionId"))
	if err != nil {
		return err
	}
	v, err := t.VersionByID(c.r.Context(), id)
	if err != nil {
		return err
	}
	r, err := t.Release(c.r.Context(), lv.Env(c.r.PathValue("grayId")), by, id)
	if err != nil {
		return err
	}
	return c.moved(r, v.Row)
}

func (l *lvAPI) reset(c *call) error {
	t, err := l.table(c)
	if err != nil {
		return err
	}
	var b batchBody
	if err := c.decodeOptional(&b); err != nil {
		return err
	}
	by, err := c.byStaff(b.Desc)
	if err != nil {
		return err
	}
	if err := checkBatch("objectIds", b.ObjectIDs); err != nil {
		return err
	}
	r, err := t.Reset(c.r.Context(), lv.Env(c.r.PathValue("grayId")), by, b.ObjectIDs...)
	if err != nil {
		return err
	}
	return c.moved(r, "")
}
