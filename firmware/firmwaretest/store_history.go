package firmwaretest

import (
	"context"
	"fmt"
	"iter"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/suitetest"
)

// runs are all of the history.
func (t *storeTest) runs() suitetest.List[firmware.Run] {
	return suitetest.List[firmware.Run]{
		TB: t,
		History: func(ctx context.Context, after string) iter.Seq2[firmware.Run, error] {
			return t.History(ctx, firmware.Query{After: after})
		},
		ID:     func(r firmware.Run) string { return r.ID },
		Create: func(id string) { t.begin(aRun(id)) },
		Save: func(id string) {
			run := t.get(id)
			run.Percent = 50
			t.begin(&run)
		},
		NotFound: firmware.ErrNotFound, Many: 150, RealTime: t.realTime,
	}
}

// ofRuns makes a case of this domain of one of every domain's.
func ofRuns(promise func(suitetest.List[firmware.Run])) func(*storeTest) {
	return func(t *storeTest) { promise(t.runs()) }
}

func selects(t *storeTest) {
	for i, r := range []struct {
		request string
		state   firmware.State
	}{
		{"", firmware.StateRunning},
		{"x", firmware.StateRollingBack},
		{"y", firmware.StateSucceeded},
		{"", firmware.StateFailed},
		{"z", firmware.StateTrial},
		{"Z", firmware.StateCancelled},
		{"", firmware.StateWaiting},
	} {
		rec := t.begin(asked(fmt.Sprint(i), r.request))
		rec.Run.State = r.state
		t.save(rec)
	}
	for _, c := range []struct {
		q    firmware.Query
		want []string
	}{
		{firmware.Query{}, []string{"6", "5", "4", "3", "2", "1", "0"}},
		{firmware.Query{Live: true}, []string{"6", "4", "1", "0"}},
		{firmware.Query{RequestID: "x"}, []string{"1"}},
		{firmware.Query{RequestID: "Z"}, []string{"5"}},
		{firmware.Query{RequestID: "none"}, nil},
		{firmware.Query{Live: true, RequestID: "x"}, []string{"1"}},
		{firmware.Query{Live: true, RequestID: "y"}, nil},
		{firmware.Query{After: "4"}, []string{"3", "2", "1", "0"}},
		{firmware.Query{Live: true, After: "5"}, []string{"4", "1", "0"}},
		{firmware.Query{RequestID: "x", After: "2"}, []string{"1"}},
		{firmware.Query{RequestID: "x", After: "1"}, nil},
		{firmware.Query{Live: true, RequestID: "x", After: "6"}, []string{"1"}},
		{firmware.Query{After: "0"}, nil},
	} {
		require.Equal(t, c.want, t.list(c.q), "%+v", c.q)
	}
}

func pagesAfterUnselected(t *storeTest) {
	ids := t.runs().Fill(10)
	live := firmware.Query{Live: true}
	live.After = t.list(live)[2]
	run := t.get(live.After)
	run.State = firmware.StateSucceeded
	t.begin(&run) // it has ended between two pages
	require.Equal(t, ids[3:], t.list(live), "a list goes on after a run that is no longer selected")
}

func pagesAfterUnknown(t *storeTest) {
	t.runs().Fill(3)
	_, err := t.store.Firmware("other").Save(t.Context(), firmware.Record{Run: aRun("of another device")})
	require.NoError(t, err)
	for _, after := range []string{"unknown", "of another device"} {
		t.runs().After(after)
	}
}
