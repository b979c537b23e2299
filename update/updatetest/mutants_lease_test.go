package updatetest_test

import (
	"context"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/update"
)

// releases is a Journal that also releases the lease on the item of a run when
// a save has come to an end.
func releases(when func(r update.Run, held lease.Lease, err error) bool) func(update.Journal) update.Journal {
	return func(j update.Journal) update.Journal {
		l := j.(lockable).locker
		return &journal{Journal: j, save: func(ctx context.Context, r update.Run, events ...update.Event) (update.Run, error) {
			answer, err := j.Save(ctx, r, events...)
			if held, e := l.Holder(ctx, lease.Item("update", r.Item)); e == nil && when(r, held, err) {
				_ = l.Release(ctx, held)
			}
			return answer, err
		}}
	}
}

const liveKeeps = "a run that goes on keeps its lease"

var leaseEndMutants = []mutant{
	{What: "leaves the lease", Caught: "a run that is done ends its lease", Wrap: given(func(r *update.Run, _ []update.Event) { r.Owner = "" })},
	{What: "leaves the lease of a run that failed", Caught: "a run that is done ends its lease", Wrap: given(func(r *update.Run, _ []update.Event) {
		if r.State == update.StateFailed {
			r.Owner = ""
		}
	})},
	{What: "ends the lease at any save", Caught: liveKeeps, Wrap: releases(func(_ update.Run, _ lease.Lease, err error) bool { return err == nil })},
	{What: "ends the lease when it refuses", Caught: liveKeeps, Wrap: releases(func(_ update.Run, _ lease.Lease, err error) bool { return err != nil })},
	{What: "looks at the token alone", Caught: "a run that is done ends no lease but its own",
		Wrap: releases(func(r update.Run, held lease.Lease, err error) bool {
			return err == nil && r.State.Done() && r.Token == held.Token
		})},
	{What: "looks at the owner alone", Caught: "a run that is done ends no lease but its own",
		Wrap: releases(func(r update.Run, held lease.Lease, _ error) bool { return r.State.Done() && r.Owner == held.Owner })},
}
