package rollout

import "context"

// Shift sets shares, rules and stickiness of the versions there are, without a
// run. It returns ErrBusy while the service has one.
func (c *Controller) Shift(ctx context.Context, s ServiceID, split Split, by By) error {
	panic("to come")
}

// Hold makes requests of a service wait, for as long and as many as the Router
// allows, until Open.
func (c *Controller) Hold(ctx context.Context, s ServiceID, by By) error { panic("to come") }

// Open ends Hold.
func (c *Controller) Open(ctx context.Context, s ServiceID, by By) error { panic("to come") }

// Remove drains and ends a version that no weight and no rule sends traffic to,
// else ErrInvalid; removing the only version removes the service. It returns
// ErrBusy while the service has a run.
func (c *Controller) Remove(ctx context.Context, s ServiceID, version string, by By) error {
	panic("to come")
}
