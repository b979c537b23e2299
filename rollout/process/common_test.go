//go:build linux

package process_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
	"github.com/upkeep-go/upkeep/storage/memory"
)

var shop = rollout.ServiceID{Name: "shop"}

func revision(version string) rollout.RevisionID {
	return rollout.RevisionID{Service: shop, Version: version, Run: "run-" + version}
}

// spec is the content of a service that plays a role.
func spec(play string) rollout.Spec {
	return rollout.Spec{Command: []string{os.Args[0]}, Environment: map[string]string{
		role: play, "NAME": play, "GORACE": "atexit_sleep_ms=0", // it ends when it is done
	}}
}

// patient is the content of one that is ready as long as it answers, be it that
// the machine is slow.
func patient(play string) rollout.Spec {
	s := spec(play)
	s.Health = &rollout.Health{Timeout: time.Minute}
	return s
}

// script is the content of a service that /bin/sh prepares and then is.
func script(before string) rollout.Spec {
	s := spec("passed")
	s.Command = []string{"/bin/sh", "-c", before + ` exec "$0"`, os.Args[0]}
	return s
}

// machine is where Deployers open one after the other.
type machine struct {
	testing.TB
	config process.Config
	d      *process.Deployer
}

// open opens a Deployer, after the test of which nothing runs on that it has
// started, whatever has failed.
func open(t testing.TB, config process.Config) *machine {
	t.Helper()
	m := &machine{TB: t, config: config}
	if m.config.Store == nil {
		m.config.Store = memory.New()
	}
	if m.config.Dir == "" {
		m.config.Dir = t.TempDir()
	}
	sweep(t, m.config.Dir)
	m.reopen()
	t.Cleanup(func() {
		m.stopAll()
		require.NoError(t, m.d.Close())
	})
	return m
}

// reopen is what a new process does.
func (m *machine) reopen() {
	m.Helper()
	if m.d != nil {
		require.NoError(m, m.d.Close())
	}
	var err error
	m.d, err = process.Open(m.config)
	require.NoError(m, err)
}

func (m *machine) stopAll() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for i, err := range m.config.Store.Instances(m.host()).List(ctx) {
		require.NoError(m, err)
		require.NoError(m, m.d.Stop(ctx, i.Revision, []string{i.ID}, 0))
	}
}

func (m *machine) host() string {
	name, err := os.Hostname()
	require.NoError(m, err)
	return name
}

// instances are the rows of the machine.
func (m *machine) instances() (all []rollout.Instance) {
	m.Helper()
	for i, err := range m.config.Store.Instances(m.host()).List(m.Context()) {
		require.NoError(m, err)
		all = append(all, i)
	}
	return all
}

func (m *machine) ensure(id rollout.RevisionID, s rollout.Spec, n int) {
	m.Helper()
	require.NoError(m, m.d.Ensure(m.Context(), id, s, n))
}

// stop stops a replica.
func (m *machine) stop(r rollout.Replica, grace time.Duration) {
	m.Helper()
	require.NoError(m, m.d.Stop(m.Context(), r.Revision, []string{r.ID}, grace))
}

// all are the replicas of the shop.
func (m *machine) all() []rollout.Replica {
	m.Helper()
	all, err := m.d.Observe(m.Context(), shop)
	require.NoError(m, err)
	return all
}

// one waits until the one replica there is is as wanted.
func (m *machine) one(wanted func(rollout.Replica) bool) (r rollout.Replica) {
	m.Helper()
	m.eventually(func() bool {
		all := m.all()
		if len(all) != 1 {
			return false
		}
		r = all[0]
		return wanted(r)
	}, func() any { return m.all() })
	return r
}

// named waits for the replica of a revision that is as wanted.
func (m *machine) named(id rollout.RevisionID, wanted func(rollout.Replica) bool) (r rollout.Replica) {
	m.Helper()
	m.eventually(func() bool {
		all, err := m.d.Observe(m.Context(), id.Service)
		require.NoError(m, err)
		for _, one := range all {
			if one.Revision == id && wanted(one) {
				r = one
				return true
			}
		}
		return false
	}, func() any { all, _ := m.d.Observe(m.Context(), id.Service); return all })
	return r
}

func ready(r rollout.Replica) bool { return r.State == rollout.ReplicaReady }

// restarts counts the restarts of the shop, and those of its replicas that are
// ready.
func (m *machine) restarts() (restarts, well int) {
	for _, r := range m.all() {
		if restarts += r.Restarts; ready(r) {
			well++
		}
	}
	return restarts, well
}

// again kills a replica, and waits until it is started again and all are ready.
func (m *machine) again(r rollout.Replica) {
	m.Helper()
	restarts, _ := m.restarts()
	slay(m, m.pid(r))
	m.eventually(func() bool {
		now, well := m.restarts()
		return now > restarts && well == len(m.all())
	}, func() any { return m.all() })
}

// eventually waits for a minute until ok, and says what there is otherwise.
func (m *machine) eventually(ok func() bool, is func() any) {
	m.Helper()
	for begun := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			require.Fail(m, "it never is as it should be", "%+v", is())
		}
	}
}

// get asks a replica, and returns what it answers.
func (m *machine) get(r rollout.Replica, path string) string {
	m.Helper()
	reply, err := http.Get(r.Endpoint + path)
	require.NoError(m, err)
	return m.text(reply)
}

func (m *machine) post(r rollout.Replica, path, body string) {
	m.Helper()
	reply, err := http.Post(r.Endpoint+path, "text/plain", strings.NewReader(body))
	require.NoError(m, err)
	m.text(reply)
}

func (m *machine) text(reply *http.Response) string {
	m.Helper()
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	require.NoError(m, err)
	require.Equal(m, http.StatusOK, reply.StatusCode, string(text))
	return string(text)
}

func (m *machine) pid(r rollout.Replica) int {
	m.Helper()
	pid, err := strconv.Atoi(m.get(r, "/pid"))
	require.NoError(m, err)
	return pid
}

func (m *machine) output(id rollout.RevisionID) string {
	m.Helper()
	logs, err := m.d.Logs(m.Context(), id, rollout.LogQuery{})
	require.NoError(m, err)
	defer logs.Close()
	text, err := io.ReadAll(logs)
	require.NoError(m, err)
	return string(text)
}

// full reports whether tests that have a short form are run in their long one.
func full() bool { return os.Getenv("UPKEEP_FULL") == "1" }

// long leaves a test out that takes long.
func long(t *testing.T) {
	t.Helper()
	if !full() {
		t.Skip("it takes long: UPKEEP_FULL=1")
	}
}
