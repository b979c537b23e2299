package rollouttest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

func (t *deployerTest) checks() {
	v1, v2 := revision("v1"), revision("v2")
	t.ensure(v1, 1)
	before := t.ready(v1, 1)
	for _, id := range []rollout.RevisionID{v1, v2} {
		_, err := t.d.Check(context.Background(), id, t.spec(id))
		require.NoError(t, err)
	}
	t.later()
	require.Equal(t, before, t.of(v1))
	require.Empty(t, t.of(v2))
}

func (t *deployerTest) refuses() {
	_, err := t.d.Check(context.Background(), revision("v1"), *t.h.Refused)
	require.True(t, errors.Is(err, rollout.ErrInvalid) || errors.Is(err, errors.ErrUnsupported), err)
}

func (t *deployerTest) adds() {
	id := revision("v1")
	t.ensure(id, 2)
	two := t.ids(id)
	require.Len(t, two, 2)
	t.ensure(id, 4)
	require.Subset(t, t.ids(id), two)
	endpoints := map[string]bool{}
	for _, r := range t.ready(id, 4) {
		endpoints[r.Endpoint] = true
	}
	require.Len(t, endpoints, 4)
}

func (t *deployerTest) keeps() {
	id := revision("v1")
	t.ensure(id, 3)
	three := t.ids(id)
	for _, n := range []int{1, 0, 3} {
		t.ensure(id, n)
		t.later()
		require.Equal(t, three, t.ids(id))
	}
}

func (t *deployerTest) once() {
	id := revision("v1")
	spec := t.spec(id)
	var all sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		all.Go(func() { errs[i] = t.d.Ensure(context.Background(), id, spec.Clone(), 2) })
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	t.ready(id, 2)
}

func (t *deployerTest) hurries() {
	begun := time.Now()
	t.ensure(revision(Sick), 1)
	require.Less(t, time.Since(begun), 10*time.Second)
	require.Len(t, t.of(revision(Sick)), 1)
}

func (t *deployerTest) getsReady() {
	id, begun := revision("v1"), time.Now()
	t.ensure(id, 1)
	r := t.ready(id, 1)[0]
	require.NotEmpty(t, r.ID)
	require.Empty(t, r.Failure)
	require.Zero(t, r.Restarts)
	require.False(t, r.Hopeless, "what is ready")
	require.Equal(t, time.UTC, r.StartedAt.Location())
	require.False(t, r.StartedAt.Before(begun.Add(-time.Second)) || r.StartedAt.After(time.Now().Add(time.Second)), r.StartedAt)
	u, err := url.Parse(r.Endpoint)
	require.NoError(t, err)
	require.Equal(t, "http", u.Scheme)
	require.NotEmpty(t, u.Host)
}

func (t *deployerTest) saysWhy() {
	id := revision(Sick)
	t.ensure(id, 1)
	t.eventually(func() bool {
		all := t.of(id)
		return len(all) == 1 && all[0].Failure != ""
	})
	t.later()
	for _, r := range t.of(id) {
		require.NotEqual(t, rollout.ReplicaReady, r.State)
		require.NotEmpty(t, r.Failure)
		require.True(t, !r.Hopeless || r.State == rollout.ReplicaFailing, "it may still get ready")
	}
}

func (t *deployerTest) apart() {
	v1, v2, other := revision("v1"), revision("v2"), revision("v1")
	other.Service.Env = "test"
	again := v1
	again.Run = "run-again"
	all := []rollout.RevisionID{v1, v2, other, again}
	for i, id := range all {
		t.ensure(id, i%2+1)
	}
	before := map[rollout.RevisionID][]string{}
	for i, id := range all {
		t.ready(id, i%2+1)
		before[id] = t.ids(id)
	}
	t.stop(v2, before[v1]...) // which are none of its own
	require.Equal(t, before[v1], t.ids(v1))
	t.stop(v1, before[v1]...)
	require.Empty(t, t.of(v1))
	for _, id := range all[1:] {
		require.Equal(t, before[id], t.ids(id), id)
	}
	seen, err := t.d.Observe(context.Background(), other.Service)
	require.NoError(t, err)
	require.Len(t, seen, 1)
	none, err := t.d.Observe(context.Background(), rollout.ServiceID{Name: "nobody's"})
	require.NoError(t, err)
	require.Empty(t, none)
}

func (t *deployerTest) stops() {
	id := revision("v1")
	t.ensure(id, 4)
	t.ready(id, 4)
	ids := t.ids(id)
	t.stop(id, ids[1], ids[2])
	require.Equal(t, []string{ids[0], ids[3]}, t.ids(id))
	t.later()
	require.Equal(t, []string{ids[0], ids[3]}, t.ids(id), "what was stopped comes back by itself")
	t.ready(id, 2)
}

func (t *deployerTest) gone() {
	id := revision("v1")
	t.ensure(id, 2)
	ids := t.ids(id)
	t.stop(id, ids[0])
	t.stop(id, ids[0], "unknown")
	t.stop(id)
	t.stop(revision("v9"), "unknown")
	require.Equal(t, ids[1:], t.ids(id))
}

func (t *deployerTest) addsAgain() {
	id := revision("v1")
	t.ensure(id, 2)
	t.stop(id, t.ids(id)[0])
	t.ensure(id, 2)
	t.ready(id, 2)
	t.stop(id, t.ids(id)...)
	t.ensure(id, 1)
	t.ready(id, 1)
}

func (t *deployerTest) callers() {
	id := revision("v1")
	given := t.spec(id)
	require.NoError(t, t.d.Ensure(context.Background(), id, given, 2))
	for i := range given.Addresses {
		given.Addresses[i] = "http://elsewhere.invalid"
	}
	for i := range given.Command {
		given.Command[i] = "elsewhere"
	}
	if given.Health != nil {
		given.Health.Path, given.Health.Status = "/elsewhere", 299
	}
	before := t.ready(id, 2)
	returned, err := t.d.Observe(context.Background(), shop)
	require.NoError(t, err)
	for i := range returned {
		returned[i] = rollout.Replica{}
	}
	t.later()
	require.Equal(t, before, t.of(id))
}

// read reads all of the output of a revision.
func (t *deployerTest) read(id rollout.RevisionID, q rollout.LogQuery) []string {
	t.Helper()
	r, err := t.d.Logs(context.Background(), id, q)
	require.NoError(t, err)
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func (t *deployerTest) output() {
	id := revision("v1")
	t.ensure(id, 1)
	r := t.ready(id, 1)[0]
	for i := range 1005 {
		t.h.Print(t, t.d, r, fmt.Sprintf("line %d", i))
	}
	t.eventually(func() bool { return strings.HasSuffix(t.read(id, rollout.LogQuery{Tail: 1})[0], "line 1004") })
	last := t.read(id, rollout.LogQuery{Tail: 2})
	require.Len(t, last, 2)
	require.True(t, strings.HasSuffix(last[0], "line 1003"), last)
	all := t.read(id, rollout.LogQuery{})
	require.Len(t, all, 1000)
	require.True(t, strings.HasSuffix(all[0], "line 5"), all[0])
}

func (t *deployerTest) follows() {
	id := revision("v1")
	t.ensure(id, 1)
	r := t.ready(id, 1)[0]
	t.h.Print(t, t.d, r, "before")
	t.eventually(func() bool { return strings.HasSuffix(t.read(id, rollout.LogQuery{Tail: 1})[0], "before") })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	logs, err := t.d.Logs(ctx, id, rollout.LogQuery{Tail: 1, Follow: true})
	require.NoError(t, err)
	defer logs.Close()
	lines := make(chan string, 10)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(logs); s.Scan(); {
			lines <- s.Text()
		}
	}()
	require.True(t, strings.HasSuffix(t.next(lines), "before"))
	t.later()
	t.h.Print(t, t.d, r, "after")
	require.True(t, strings.HasSuffix(t.next(lines), "after"))
	cancel()
	require.Empty(t, t.next(lines), "it goes on")
}

// next is the next line, or "" at the end.
func (t *deployerTest) next(lines <-chan string) string {
	t.Helper()
	select {
	case line := <-lines:
		return line
	case <-time.After(time.Minute):
		require.Fail(t, "no line, and no end")
		return ""
	}
}

func (t *deployerTest) noOutput() {
	id := revision("v1")
	t.ensure(id, 1)
	_, err := t.d.Logs(context.Background(), id, rollout.LogQuery{})
	require.ErrorIs(t, err, errors.ErrUnsupported)
}
