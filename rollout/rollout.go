package rollout

import (
	"context"
	"log/slog"
	"time"

	"github.com/upkeep-go/upkeep/lease"
)

// Config configures a Controller. A zero field means its documented default.
type Config struct {
	Store    Store        // required, unless Locker and RunStore are set
	Locker   lease.Locker // default: that of Store
	RunStore RunStore     // default: that of Store

	Deployer Deployer // required: where revisions run
	Router   Router   // required: what splits their traffic

	Strategy Strategy // of requests without one
	// Analyses judge the new revision beside what the Router has counted.
	Analyses []Analysis
	// Gate may hold a run before each step: nil lets it go on; an error pauses
	// it, with the error as Run.Reason, until the Gate lets it go on, or
	// Resume, Promote or Cancel is called. It is asked again every minute, and
	// one that has not answered within 30 seconds holds the run. Default:
	// nothing is held.
	//
	// It, Analysis.Measure and Hook.Do are to return soon after their context
	// has ended: with its time, with the run, or with the Controller. One that
	// does not is left behind after five seconds, is not called again for the
	// run before it has returned, and keeps Shutdown waiting. The service is
	// looked after meanwhile.
	Gate func(ctx context.Context, run Run) error
	// Before, AfterStep and After are work of the application: before the
	// first replica, after each step, and once the new revision has taken over.
	// An error of the first two rolls the run back, one of After is noted.
	Before, AfterStep, After []Hook
	// NewID names runs. Default: 14 characters of [0-9A-Za-z].
	NewID func() string

	// SleepAfter is for how long nobody must have asked for a service whose
	// Spec.MinReplicas is 0 before it stops, from a second to 30 days. It should
	// be longer than a replica takes to become ready. A service is looked at every
	// 15 seconds, or as often as it may stop, so that it may stop so much later.
	// Default 5 minutes.
	SleepAfter time.Duration

	LockTTL time.Duration // how long the lease of a dead process lasts; default 30 seconds
	Owner   string        // names this process in leases and runs; default: host name and process id
	// OnFinish is told of every run that has ended, at least once, in a
	// goroutine of its own: the next run may have begun. It may call the
	// Controller, but must not wait for Shutdown. Default: nothing.
	OnFinish func(Run)
	Logger   *slog.Logger // default slog.Default()
}

// Request asks for a rollout. The Request of a run, with a By of its own, asks
// for it once more.
type Request struct {
	Service ServiceID // required
	// Replace is the version to replace. Default, and "latest": the newest,
	// which is resolved once. A service without versions gets its first.
	Replace string
	// Version is the name that the new revision goes by. Required for the first
	// of a service. Default: that of the version replaced, in place. Another name
	// makes a version beside it, and retires it in the end.
	Version string
	Spec    Spec // what changes; a nil field keeps the value of the revision replaced
	// Snapshot is the run whose content is taken up again, in place of that of
	// the revision replaced. Shares are no content.
	Snapshot string
	// Share is what the version has of the traffic in the end, in percent; the
	// rest goes to the other versions in proportion, or to the old content if
	// there are none. 0 is dark: reached by rules only. Default: the share that
	// the version replaced has; 100 for the first.
	Share    *int
	Remark   string
	Strategy *Strategy // default Config.Strategy
	// Restart rolls though nothing changes, in place of ErrUpToDate.
	Restart bool
	// Supersede cancels a live run of the service, in place of ErrBusy.
	Supersede bool
	Plan      string // the ID of a Plan, to do only what was planned; else ErrStale
	By        By
}

// By says who asks for something, and why. A call that is repeated with its
// RequestID returns the first answer.
type By struct{ Actor, Reason, RequestID string }

func (b By) String() string {
	switch {
	case b.Actor == "":
		return b.Reason
	case b.Reason == "":
		return "by " + b.Actor
	}
	return "by " + b.Actor + ": " + b.Reason
}
