package rollout

import "context"

// Plan resolves the request and tells what would happen. It changes nothing,
// and shows no secret.
func (c *Controller) Plan(ctx context.Context, r Request) (Plan, error) { panic("to come") }

// Start validates the request, records the run and returns; the rollout goes
// on in the background and does not end with ctx. It returns ErrBusy while the
// service has a live run, and takes it up if nobody works on it; ErrUpToDate when
// nothing would change, and what Deployer.Check refuses. Numbers of replicas,
// scaling and shares change in place, anything else makes a revision.
//
// When ctx ends before Start has returned, the run may have begun all the
// same: repeat the request with its RequestID to learn that.
func (c *Controller) Start(ctx context.Context, r Request) (Run, error) { panic("to come") }

// Wait returns the run once it is done, with Run.Err. The run may belong to
// another process. When ctx ends first, or when this process had to give the
// run up, it returns the run so far and the error that says so.
func (c *Controller) Wait(ctx context.Context, id string) (Run, error) { panic("to come") }

// Roll is Start and Wait.
func (c *Controller) Roll(ctx context.Context, r Request) (Run, error) {
	run, err := c.Start(ctx, r)
	if err != nil {
		return run, err
	}
	return c.Wait(ctx, run.ID)
}

// Rollback takes back the last run of a service that has succeeded, else
// ErrStale, by a new run to what it replaced: in one step, and at once if that
// is still kept. No Gate holds it, and of the hooks only After runs.
func (c *Controller) Rollback(ctx context.Context, id string, by By) (Run, error) { panic("to come") }
