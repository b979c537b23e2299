package rollouttest

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/rollout"
)

// runs are all of the history.
func (t *storeTest) runs() suitetest.List[rollout.Run] {
	return suitetest.List[rollout.Run]{
		TB: t,
		History: func(ctx context.Context, after string) iter.Seq2[rollout.Run, error] {
			return t.History(ctx, rollout.Query{After: after})
		},
		ID:       func(r rollout.Run) string { return r.ID },
		Create:   func(id string) { t.create(of(done(id))) },
		Save:     func(id string) { t.save(of(t.get(id))) },
		NotFound: rollout.ErrNotFound, Many: 150, RealTime: t.realTime,
	}
}

// ofRuns makes a case of this domain of one of every domain's.
func ofRuns(promise func(suitetest.List[rollout.Run])) func(*storeTest) {
	return func(t *storeTest) { promise(t.runs()) }
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

func pagesAfterUnselected(t *storeTest) {
	var ids []string
	for i := range 10 {
		r := aRun(fmt.Sprint(i))
		r.Service.Name = r.ID
		t.create(of(r))
		ids = append([]string{r.ID}, ids...)
	}
	live := rollout.Query{Live: true}
	live.After = t.list(live)[2]
	t.save(of(*endOf(t.get(live.After)))) // it has ended between two pages
	require.Equal(t, ids[3:], t.list(live), "a list goes on after a run that is no longer selected")
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
