package rollouttest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/rollout"
)

// Sick is the version of revisions that are not to get ready.
const Sick = "sick"

// DeployerHarness describes the rollout.Deployer under test.
type DeployerHarness struct {
	// Open returns a Deployer without replicas and cleans up with t.Cleanup.
	Open func(t testing.TB) rollout.Deployer
	// Spec returns a content for a revision, of which the Deployer can run four
	// replicas. Each call has what it needs for itself, such as addresses. Those
	// of version Sick never get ready, and say why.
	Spec func(t testing.TB, id rollout.RevisionID) rollout.Spec
	// Refused is a content that the Deployer cannot run at all. Without it, for
	// one that runs everything, there is no such case.
	Refused *rollout.Spec
	// Fail makes a replica that is ready fail, or end.
	Fail func(t testing.TB, d rollout.Deployer, r rollout.Replica)
	// Print makes a replica print a line. Without it, for a Deployer that has no
	// output, Logs is to be unsupported.
	Print func(t testing.TB, d rollout.Deployer, r rollout.Replica, line string)
	// RealTime is set if testing/synctest cannot fake the clock, such as that of
	// other programs.
	RealTime bool
}

// RunDeployer checks that a Deployer keeps every promise of rollout.Deployer.
func RunDeployer(t *testing.T, h DeployerHarness) { suitetest.Run(t, h.RealTime, h.cases()) }

type deployerCase struct {
	Name string
	Run  func(*deployerTest)
}

func (h DeployerHarness) cases() []suitetest.Case {
	cases := []deployerCase{
		{"check changes nothing", (*deployerTest).checks},
		{"ensure adds what is missing", (*deployerTest).adds},
		{"ensure takes nothing away", (*deployerTest).keeps},
		{"many who ensure the same get it once", (*deployerTest).once},
		{"ensure does not wait", (*deployerTest).hurries},
		{"a replica gets ready", (*deployerTest).getsReady},
		{"a replica that does not get ready says why", (*deployerTest).saysWhy},
		{"services and revisions do not know of each other", (*deployerTest).apart},
		{"stop ends what it names and nothing else", (*deployerTest).stops},
		{"what is gone is stopped", (*deployerTest).gone},
		{"what was stopped is added again", (*deployerTest).addsAgain},
		{"who watches is told", (*deployerTest).told},
		{"who watches is told of a failure", (*deployerTest).toldOfFailure},
		{"a watch tells at most once in 10 milliseconds", (*deployerTest).seldom},
		{"a watch is closed with its context", (*deployerTest).unwatched},
		{"what is given and returned is the caller's to change", (*deployerTest).callers},
	}
	if h.Refused != nil {
		cases = append(cases, deployerCase{"what cannot run at all is refused", (*deployerTest).refuses})
	}
	if h.Print != nil {
		cases = append(cases,
			deployerCase{"output is read from its last lines on", (*deployerTest).output},
			deployerCase{"output is followed until its context ends", (*deployerTest).follows})
	} else {
		cases = append(cases, deployerCase{"output that is not there is unsupported", (*deployerTest).noOutput})
	}
	return suitetest.On(func(t testing.TB) *deployerTest {
		return &deployerTest{TB: t, h: h, d: h.Open(t), specs: map[rollout.RevisionID]rollout.Spec{}}
	}, cases)
}

// deployerTest is what a case works with.
type deployerTest struct {
	testing.TB
	h     DeployerHarness
	d     rollout.Deployer
	specs map[rollout.RevisionID]rollout.Spec
}

// revision is one of the shop.
func revision(version string) rollout.RevisionID {
	return rollout.RevisionID{Service: shop, Version: version, Run: "run-" + version}
}

// spec is always the same one of a revision.
func (t *deployerTest) spec(id rollout.RevisionID) rollout.Spec {
	if _, made := t.specs[id]; !made {
		t.specs[id] = t.h.Spec(t, id)
	}
	return t.specs[id].Clone()
}

func (t *deployerTest) ensure(id rollout.RevisionID, replicas int) {
	t.Helper()
	require.NoError(t, t.d.Ensure(context.Background(), id, t.spec(id), replicas))
}

func (t *deployerTest) stop(id rollout.RevisionID, replicas ...string) {
	t.Helper()
	require.NoError(t, t.d.Stop(context.Background(), id, replicas, time.Second))
}

// of are the replicas of a revision, by their ids.
func (t *deployerTest) of(id rollout.RevisionID) (all []rollout.Replica) {
	t.Helper()
	replicas, err := t.d.Observe(context.Background(), id.Service)
	require.NoError(t, err)
	for _, r := range replicas {
		if r.Revision == id {
			r.CPU, r.Memory = 0, 0 // which change by themselves
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b rollout.Replica) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// ids are those of the replicas of a revision.
func (t *deployerTest) ids(id rollout.RevisionID) []string {
	t.Helper()
	ids := []string{}
	for _, r := range t.of(id) {
		ids = append(ids, r.ID)
	}
	return ids
}

// ready waits until so many replicas of a revision are ready, and all there are.
func (t *deployerTest) ready(id rollout.RevisionID, n int) []rollout.Replica {
	t.Helper()
	var all []rollout.Replica
	t.eventually(func() bool {
		all = t.of(id)
		return len(all) == n && !slices.ContainsFunc(all, func(r rollout.Replica) bool { return r.State != rollout.ReplicaReady })
	})
	return all
}

// eventually waits until ok, for a minute.
func (t *deployerTest) eventually(ok func() bool) {
	t.Helper()
	for begun := time.Now(); !ok(); time.Sleep(50 * time.Millisecond) {
		require.Less(t, time.Since(begun), time.Minute)
	}
}

// later lets some time pass, in which what should not happen may.
func (t *deployerTest) later() {
	if t.h.RealTime {
		time.Sleep(300 * time.Millisecond)
	} else {
		time.Sleep(time.Minute)
	}
}
