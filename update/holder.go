package update

import (
	"context"

	"github.com/upkeep-go/upkeep/lease"
)

// Holder returns the live lease on a lock, whoever has it, or lease.ErrFree. It
// asks the Locker and nobody else, so that it can be asked often; Status tells
// more, and also asks what is installed.
func (u *Updater) Holder(ctx context.Context, item string) (lease.Lease, error) {
	return u.config.Locker.Holder(ctx, itemOf(item))
}
