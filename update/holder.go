package update

import "context"

// Holder returns the live lease on a lock item, whoever has it, or ErrFree. It
// asks the Locker and nobody else, so that it can be asked often; Status tells
// more, and also asks what is installed.
func (u *Updater) Holder(ctx context.Context, item string) (Lease, error) {
	return u.config.Locker.Holder(ctx, item)
}
