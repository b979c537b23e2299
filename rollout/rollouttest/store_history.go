package rollouttest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
)

// createMany creates n runs and returns their ids, newest first. The order of
// the ids is not that of the runs.
func (t *storeTest) createMany(n int) (ids []string) {
	t.Helper()
	for i := range n {
		r := done(fmt.Sprintf("%x", (i*7+3)%n+1000))
		t.create(of(r))
		ids = append(ids, r.ID)
	}
	slices.Reverse(ids)
	return ids
}

// firstPage returns the first runs that q selects.
func (t *storeTest) firstPage(q rollout.Query, n int) (ids []string) {
	t.Helper()
	for r, err := range t.History(t.Context(), q) {
		require.NoError(t, err)
		if ids = append(ids, r.ID); len(ids) == n {
			break
		}
	}
	return ids
}

func newestFirst(t *storeTest) {
	ids := t.createMany(20)
	require.Equal(t, ids, t.list(rollout.Query{}), "history is newest first")
	time.Sleep(5 * time.Millisecond)
	for _, id := range []string{ids[19], ids[3]} { // a change does not make a run newer
		t.save(of(t.get(id)))
	}
	t.create(of(aRun("newest")))
	require.Equal(t, append([]string{"newest"}, ids...), t.list(rollout.Query{}), "history is newest first, by creation")
}

func selects(t *storeTest) {
	api := rollout.ServiceID{Env: "prod", Name: "api"}
	for i, r := range []struct {
		service rollout.ServiceID
		request string
		state   rollout.State
	}{
		{web, "", rollout.StateSucceeded},
		{web, "x", rollout.StateRolledBack},
		{api, "x", rollout.StateSucceeded},
		{api, "", rollout.StatePaused},
		{web, "z", rollout.StateSucceeded},
		{web, "Z", rollout.StatePaused},
		{rollout.ServiceID{Name: "web"}, "", rollout.StateShifting},
	} {
		run := rollout.Run{ID: fmt.Sprint(i), Service: r.service, State: r.state}
		run.Request.By.RequestID = r.request
		t.create(of(run))
	}
	for _, c := range []struct {
		q    rollout.Query
		want []string
	}{
		{rollout.Query{}, []string{"6", "5", "4", "3", "2", "1", "0"}},
		{rollout.Query{Service: web}, []string{"5", "4", "1", "0"}},
		{rollout.Query{Service: rollout.ServiceID{Name: "web"}}, []string{"6"}},
		{rollout.Query{Service: rollout.ServiceID{Env: "prod"}}, nil},
		{rollout.Query{Live: true}, []string{"6", "5", "3"}},
		{rollout.Query{Service: web, Live: true}, []string{"5"}},
		{rollout.Query{State: rollout.StateSucceeded}, []string{"4", "2", "0"}},
		{rollout.Query{State: rollout.StatePaused}, []string{"5", "3"}},
		{rollout.Query{State: rollout.StatePaused, Service: api}, []string{"3"}},
		{rollout.Query{State: rollout.StateSucceeded, Service: web}, []string{"4", "0"}},
		{rollout.Query{State: rollout.StateSucceeded, Live: true}, nil},
		{rollout.Query{State: "none"}, nil},
		{rollout.Query{RequestID: "x"}, []string{"2", "1"}},
		{rollout.Query{RequestID: "x", Service: web}, []string{"1"}},
		{rollout.Query{RequestID: "Z"}, []string{"5"}},
		{rollout.Query{RequestID: "z", Live: true}, nil},
		{rollout.Query{RequestID: "none"}, nil},
		{rollout.Query{After: "4"}, []string{"3", "2", "1", "0"}},
		{rollout.Query{Live: true, After: "4"}, []string{"3"}},
		{rollout.Query{Service: web, After: "3"}, []string{"1", "0"}},
		{rollout.Query{State: rollout.StateSucceeded, After: "4"}, []string{"2", "0"}},
		{rollout.Query{RequestID: "x", After: "2"}, []string{"1"}},
		{rollout.Query{After: "0"}, nil},
	} {
		require.Equal(t, c.want, t.list(c.q), "%+v", c.q)
	}
}

func pages(t *storeTest) {
	want := t.createMany(150)
	var got []string
	var q rollout.Query
	for len(got) <= len(want) {
		page := t.firstPage(q, 7)
		got = append(got, page...)
		if len(page) < 7 {
			break
		}
		q.After = page[6]
		t.create(of(done(fmt.Sprint("new ", len(got)))))
	}
	require.Equal(t, want, got, "pages join into the list as it was when it was begun")
}

func pagesAfterUnselected(t *storeTest) {
	var ids []string
	for i := range 10 {
		r := aRun(fmt.Sprint(i))
		r.Service.Name = r.ID
		t.create(of(r))
		ids = append([]string{r.ID}, ids...)
	}
	live := rollout.Query{Live: true}
	live.After = t.firstPage(live, 3)[2]
	t.save(of(*endOf(t.get(live.After)))) // it has ended between two pages
	require.Equal(t, ids[3:], t.list(live), "a list goes on after a run that is no longer selected")
}

func pagesAfterUnknown(t *storeTest) {
	t.createMany(3)
	pairs := 0
	for r, err := range t.History(t.Context(), rollout.Query{After: "unknown"}) {
		pairs++
		require.ErrorIs(t, err, rollout.ErrNotFound, "there is no such run to go on after")
		require.Zero(t, r)
	}
	require.Equal(t, 1, pairs, "history stops after an error")
}

func historyAgain(t *storeTest) {
	ids := t.createMany(20)
	list := t.History(t.Context(), rollout.Query{})
	for range 3 {
		n := 0
		for r, err := range list {
			require.NoError(t, err)
			require.Equal(t, ids[n], r.ID, "each range over the list begins anew")
			if n++; n == 5 {
				break
			}
		}
		require.Equal(t, 5, n)
	}
	require.Equal(t, ids, t.list(rollout.Query{}), "a list that was left does no harm")
}

func historySlowly(t *storeTest) {
	ids := t.createMany(120)
	var got []string
	for r, err := range t.History(t.Context(), rollout.Query{}) {
		require.NoError(t, err, "a reader may take its time")
		if got = append(got, r.ID); len(got)%30 != 1 {
			continue
		}
		if !t.realTime {
			time.Sleep(time.Minute)
		}
		t.save(of(t.get(r.ID))) // it can be read while it is listed
		t.create(of(done("new " + r.ID)))
	}
	require.Equal(t, ids, got, "a list is not disturbed by new runs")
}

func historyContext(t *storeTest) {
	t.createMany(20)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range t.History(ctx, rollout.Query{}) {
		require.NoError(t, last, "an error is the last pair")
		if last = err; err == nil {
			n++
		}
		if n == 5 {
			cancel()
		}
	}
	if n < 20 {
		require.ErrorIs(t, last, context.Canceled, "a list that is cut short says why")
	}
	n = 0
	for _, err := range t.History(ctx, rollout.Query{}) {
		require.ErrorIs(t, err, context.Canceled, "a context that has ended reads nothing")
		n++
	}
	require.Equal(t, 1, n, "an error is the last pair")
}

// ids are those of services.
func ids(services []rollout.Service) (ids []rollout.ServiceID) {
	for _, s := range services {
		ids = append(ids, s.ID)
	}
	return ids
}

func servicesInOrder(t *storeTest) {
	want := []rollout.ServiceID{ // in bytes
		{}, {Name: "z"}, {Env: "A", Name: "b"}, {Env: "a"}, {Env: "a", Name: "b"}, {Env: "a", Name: "b\x00"}, {Env: "a", Name: "ba"},
		{Env: "a\x00b", Name: ""}, {Env: "a/b", Name: "c"}, {Env: "b", Name: "B"}, {Env: "b", Name: "b"}, {Env: "b", Name: "é"}, {Env: "b", Name: "\xff"},
	}
	for i := range want {
		id := want[i*5%len(want)]
		t.save(ofService(rollout.Service{ID: id, Path: fmt.Sprint(i)}))
		t.save(ofService(rollout.Service{ID: id, Path: "again", Rev: 1}))
	}
	require.Equal(t, want, ids(t.all(rollout.ServiceQuery{})), "services are listed by environment and name")
	require.Equal(t, want[3:7], ids(t.all(rollout.ServiceQuery{Env: "a"})), "services may be those of an environment")
	for i, id := range want[1:] {
		require.Equal(t, append([]rollout.ServiceID(nil), want[i+2:]...), ids(t.all(rollout.ServiceQuery{After: id})), "a list goes on after any service")
	}
	require.Equal(t, want[9:], ids(t.all(rollout.ServiceQuery{After: rollout.ServiceID{Env: "b"}})), "of which there need be none")
	require.Equal(t, want[5:7], ids(t.all(rollout.ServiceQuery{Env: "a", After: want[4]})))
	for range t.Services(t.Context(), rollout.ServiceQuery{}) {
		break
	}
}

func servicesSlowly(t *storeTest) {
	const n = 60
	for i := range n {
		t.save(ofService(rollout.Service{ID: rollout.ServiceID{Name: fmt.Sprintf("%02d", i)}}))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	for s, err := range t.Services(ctx, rollout.ServiceQuery{}) {
		require.NoError(t, err, "a reader may take its time")
		require.Equal(t, fmt.Sprintf("%02d", seen), s.ID.Name)
		if seen++; seen%20 == 1 {
			if !t.realTime {
				time.Sleep(time.Minute)
			}
			t.save(ofService(t.service(s.ID)))
		}
	}
	require.Equal(t, n, seen)
	cancel()
	seen = 0
	for _, err := range t.Services(ctx, rollout.ServiceQuery{}) {
		require.ErrorIs(t, err, context.Canceled)
		seen++
	}
	require.Equal(t, 1, seen, "an error is the last pair")
}
