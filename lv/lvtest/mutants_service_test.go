package lvtest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lv"
)

// serviceMutants are stores that a service cannot keep its promises on.
var serviceMutants = []mutant{
	{What: "hides deletions among pointers", Caught: "a service shows what another has left", Wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, v lv.View, r *lv.Row) bool {
		return !v.Own || r.Content != nil
	})},
	{What: "lists no strategies", Caught: "a service shows what another has left", Wrap: listingStrategies(func([]lv.Strategy) []lv.Strategy { return nil })},
	{What: "does not know the newest version", Caught: "the deletion of a row that was saved again is not released", Wrap: querying(func(q *lv.Query) {
		if q.After == 0 && q.Row != "" {
			q.After = 2
		}
	})},
	{What: "expects nothing", Caught: "a revert lists what has moved since", Wrap: releasing(expectsNothing)},
	{What: "takes back what did not move, too", Caught: "a revert leaves alone what its release did not move", Wrap: releasing(takesBackAll)},
	{What: "keeps events in the handle", Caught: "services that run see the releases of each other", Again: anotherStore},
	{What: "loses an event", Caught: "services that run see the releases of each other", Wrap: feed.Each(func(_ context.Context, n int, e *lv.Event) bool {
		return e.Seq%10 != 0
	})},
	{What: "applies again what is over", Caught: "one of many services applies a release that is due", Wrap: badRelease(func(s lv.VersionStore) releaseFunc {
		return func(ctx context.Context, t lv.TableID, r lv.Release, by lv.By) (lv.Release, error) {
			answer, err := s.PutRelease(ctx, t, r, by)
			if errors.Is(err, lv.ErrTooLate) || errors.Is(err, lv.ErrStale) {
				plan := r
				plan.ID, plan.State = 0, lv.ReleaseDraft
				return s.PutRelease(ctx, t, plan, by)
			}
			return answer, err
		}
	})},
	{What: "applies what meets a conflict", Caught: "a scheduled release that meets a conflict fails", Wrap: releasing(expectsNothing)},
	{What: "keeps only the seconds of when a release is due", Caught: "releases that are due together are applied in order of that time, then of their id", Wrap: releasing(func(_ lv.VersionStore, _ lv.TableID, r *lv.Release) {
		r.At = r.At.Truncate(time.Second)
	})},
	{What: "releases by and by", Caught: "readers of a service see a release whole", Wrap: badRelease(movesSingly)},
	{What: "keeps what it forgets", Caught: "retention forgets what nothing refers to", Wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			if edits[0].Op == lv.OpForget {
				return make([]lv.Version, len(edits)), nil
			}
			return s.Write(ctx, t, edits, by)
		}
	})},
	{What: "does not say what was released", Caught: servicesAgree, Wrap: eachMoved(lv.EventReleased, func(m *lv.Moved) { m.Content = nil })},
	{What: "shows working rows in a gray", Caught: servicesAgree, Wrap: releasing(func(_ lv.VersionStore, _ lv.TableID, r *lv.Release) {
		for i := range r.Changes {
			r.Changes[i].Working = r.Changes[i].Working || r.Env != "" && r.ID == 0 && r.State == lv.ReleaseApplied && r.Changes[i].To != 0
		}
	})},
}

// takesBackAll makes a revert expect that no row of its release has moved.
func takesBackAll(s lv.VersionStore, t lv.TableID, r *lv.Release) {
	for _, old := range items(s.Releases(context.Background(), t, lv.Query{})) {
		for _, c := range old.Changes {
			if old.ID == r.Reverts && c.From == c.To {
				r.Changes = append(r.Changes, lv.Change{Row: c.Row, To: c.From, Expect: &c.To})
			}
		}
	}
}

const servicesAgree = "random histories of services agree with the model"

func TestEveryCaseOfRunServiceCatchesABrokenEngine(t *testing.T) {
	cases := func(m mutant) []suitetest.Case {
		h := harness(m)
		h.Histories = 1000
		return h.ServiceCases()
	}
	provetest.Prove(t, harness(mutant{}).ServiceCases(), provetest.Of(serviceMutants, cases))
}
