package lvtest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	"github.com/upkeep-go/upkeep/lv"
)

// serviceMutants are stores that a service cannot keep its promises on.
var serviceMutants = []mutant{
	{what: "hides deletions among pointers", caught: "a service shows what another has left", wrap: eachRow(func(_ lv.VersionStore, _ lv.TableID, v lv.View, r *lv.Row) bool {
		return !v.Own || r.Content != nil
	})},
	{what: "lists no strategies", caught: "a service shows what another has left", wrap: listingStrategies(func([]lv.Strategy) []lv.Strategy { return nil })},
	{what: "does not know the newest version", caught: "the deletion of a row that was saved again is not released", wrap: querying(func(q *lv.Query) {
		if q.After == 0 && q.Row != "" {
			q.After = 2
		}
	})},
	{what: "expects nothing", caught: "a revert lists what has moved since", wrap: releasing(expectsNothing)},
	{what: "takes back what did not move, too", caught: "a revert leaves alone what its release did not move", wrap: releasing(takesBackAll)},
	{what: "keeps events in the handle", caught: "services that run see the releases of each other", again: anotherStore},
	{what: "loses an event", caught: "services that run see the releases of each other", wrap: eachEvent(func(_ context.Context, n int, e *lv.Event) bool {
		return e.Seq%10 != 0
	})},
	{what: "applies again what is over", caught: "one of many services applies a release that is due", wrap: badRelease(func(s lv.VersionStore) releaseFunc {
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
	{what: "applies what meets a conflict", caught: "a scheduled release that meets a conflict fails", wrap: releasing(expectsNothing)},
	{what: "keeps only the seconds of when a release is due", caught: "releases that are due together are applied in order of that time, then of their id", wrap: releasing(func(_ lv.VersionStore, _ lv.TableID, r *lv.Release) {
		r.At = r.At.Truncate(time.Second)
	})},
	{what: "releases by and by", caught: "readers of a service see a release whole", wrap: badRelease(movesSingly)},
	{what: "keeps what it forgets", caught: "retention forgets what nothing refers to", wrap: badWrite(func(s lv.VersionStore) writeFunc {
		return func(ctx context.Context, t lv.TableID, edits []lv.Edit, by lv.By) ([]lv.Version, error) {
			if edits[0].Op == lv.OpForget {
				return make([]lv.Version, len(edits)), nil
			}
			return s.Write(ctx, t, edits, by)
		}
	})},
	{what: "does not say what was released", caught: servicesAgree, wrap: eachMoved(lv.EventReleased, func(m *lv.Moved) { m.Content = nil })},
	{what: "shows working rows in a gray", caught: servicesAgree, wrap: releasing(func(_ lv.VersionStore, _ lv.TableID, r *lv.Release) {
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
	var mutants []provetest.Mutant
	for _, m := range serviceMutants {
		h := harness(m)
		h.Histories = 1000
		mutants = append(mutants, provetest.Mutant{What: m.what, Caught: m.caught, Cases: h.ServiceCases()})
	}
	provetest.Prove(t, mutants)
}
