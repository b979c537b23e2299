package rollout

import (
	"fmt"
	"strings"
	"time"
)

// ServiceID names a service in an environment.
type ServiceID struct{ Env, Name string }

func (s ServiceID) String() string {
	if s.Env == "" {
		return s.Name
	}
	return s.Env + "/" + s.Name
}

// RevisionID names a revision: a content of a version.
type RevisionID struct {
	Service ServiceID
	Version string
	Run     string // that made it
}

func (r RevisionID) String() string { return r.Service.String() + " " + r.Version + " " + r.Run }

// Service is the record of a service: how it should be, between runs too. One
// without Revisions was removed; its Generation goes on if it comes back.
type Service struct {
	ID         ServiceID
	Revisions  []Revision
	Split      Split
	Generation int64      // rises before a Router is set
	Stable     RevisionID // what is gone back to
	KeptUntil  time.Time  // when a replaced revision is removed; zero if none is kept
	Held       bool       // requests wait for Open
	Path       string     // as first set
	Untold     []string   // runs that have ended, and of which OnFinish is still to be told

	UpdatedAt time.Time // UTC, by the engine's clock
	Rev       int64     // number of times it was saved
	Token     int64     // fencing token of the lease it was saved under
}

// Revision is a content and how many replicas of it there should be.
type Revision struct {
	ID       RevisionID
	Spec     Spec // complete
	Replicas int
	Remark   string
	// Replaced tells that another revision has taken its place: it is kept for a
	// Rollback until Service.KeptUntil.
	Replaced bool
}

// Split divides the traffic of a service. Rules come before weights.
type Split struct {
	Weights []Weight
	Rules   []Rule
	Sticky  *Sticky // nil: every request anew
}

// Weight is the share of a revision.
type Weight struct {
	Version string
	Run     string // which revision of the version; "": the one that serves, as Controller.Shift says
	Percent int    // all of a split sum to 100
}

// Rule sends requests to a revision, smallest Priority first.
type Rule struct {
	Version, Run string // as of a Weight
	Match        Match
	Priority     int
}

// Match is what a request has: one of a header, a query parameter and a cookie.
type Match struct {
	Header, Query, Cookie string // its name
	Value                 string
}

// Sticky keeps a visitor on a version. When a share grows each visitor moves
// at most once.
type Sticky struct {
	Header, Cookie string // one of them: the name of what tells visitors apart, of at most 256 bytes
	// Issue lets the Router give the cookie to whoever has none: HttpOnly,
	// SameSite=Lax, for the service's path.
	Issue  bool
	MaxAge time.Duration // of that cookie, from 1 second to 400 days; default: until the browser ends
}

// Status is the present of a service.
type Status struct {
	Service  Service
	Run      *Run      // the live run, or nil
	Split    Split     // in force at this process's Router
	Replicas []Replica // as they are
	Stats    Stats     // of this process's Router
}

// ServiceQuery selects services. The zero ServiceQuery selects all.
type ServiceQuery struct {
	Env   string    // default: every environment
	After ServiceID // only services that follow it in the list
}

// present says for people who has which share, and how many replicas there are
// to be.
func (s *Service) present() string {
	var all []string
	for _, rev := range s.Revisions {
		all = append(all, fmt.Sprintf("%s %d %% with %s", rev.ID.Version, s.Split.percent(rev.ID.Run), many(rev.Replicas, "replica")))
	}
	return strings.Join(all, ", ")
}
