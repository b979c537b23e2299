package sqlstore

import "context"

// feeds has a place for each page of a feed that may be read now, of whatever
// store of an engine. Who watches from far behind wants page after page, and is seldom alone: a
// connection that came free would always have them before it.
type feeds chan struct{}

func newFeeds(d Dialect) feeds { return make(feeds, max(1, d.Feeds)) }

// read reads one page, when it is its turn.
func (f feeds) read(ctx context.Context, db DB, page func(Tx) error) error {
	select {
	case f <- struct{}{}:
		defer func() { <-f }()
		return db.Read(ctx, page)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
