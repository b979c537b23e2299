package sqlstore_test

import (
	"database/sql"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// storedRollout is what records of package rollout look like in the database. It
// may grow, but what is here must be read for ever: databases have it. That no
// field is forgotten is found out by the suite, on every engine.
var storedRollout = map[string]string{
	"SELECT request FROM upkeep_rollout_run": `{"replace":"v1","service":{"env":"prod","name":"web"},"version":"v2","spec":` + storedSpec +
		`,"snapshot":"s","share":40,"remark":"r","strategy":` + storedStrategy + `,"restart":true,"supersede":true,"plan":"p",` +
		`"by":{"actor":"ada","reason":"due","request_id":"q"}}`,
	"SELECT detail FROM upkeep_rollout_run": `{"from":` + storedRevision + `,"revision":` + storedRevision + `,"percent":50,"step":1,` +
		`"states":[{"state":"analysing","step":1,"reason":"why","measurements":[{"name":"errors","verdict":"pass",` +
		`"values":[{"key":"new","value":0.5},{"key":"none","value":"NaN"}],"reason":"m","time":"2026-05-01T12:30:00.123456789Z"}],` +
		`"started":"2026-05-01T12:30:00.123456789Z","ended":"2026-05-01T12:30:00.123456789Z"}],"before":` + storedSplit + `,"was":` + storedSpec +
		`,"split":` + storedSplit + `,"reason":"why","spec":` + storedSpec + `,"strategy":` + storedStrategy + `,"undoes":"u",` +
		`"wish":{"kind":"pause","step":2,"by":{"actor":"ada","reason":"due","request_id":"q"}},"owner":"host:1","progress":"eyJhIjoxfQ=="}`,
	"SELECT detail FROM upkeep_rollout_service": `{"revisions":[{"id":` + storedRevision + `,"spec":` + storedSpec + `,"replicas":3,"remark":"r",` +
		`"replaced":true}],"split":` + storedSplit + `,"generation":7,"stable":` + storedRevision + `,"kept_until":"2026-05-01T12:30:00.123456789Z",` +
		`"held":true,"path":"/a","untold":["x"]}`,
	"SELECT record FROM upkeep_rollout_event": `{"service":{"env":"prod","name":"web"},"kind":"state","state":"shifting","step":1,"percent":50,` +
		`"split":` + storedSplit + `,"actor":"ada","message":"begun"}`,
	"SELECT record FROM upkeep_rollout_instance": `{"revision":` + storedRevision + `,"process":"1 2 3","endpoint":"http://127.0.0.1:1","spec":` + storedSpec + `}`,
}

const (
	storedRevision = `{"service":{"env":"prod","name":"web"},"version":"v1","run":"before"}`
	storedSpec     = `{"command":["web","-v"],"archive":{"url":"u","digest":"AQI=","command":["c"]},"image":{"repository":"r","tag":"t","url":"u"},` +
		`"package":{"name":"n","version":"v"},"source":{"kind":"gitlab","url":"u","branch":"b","dir":"d","dockerfile":"f"},"addresses":["a"],` +
		`"environment":[{"key":"A","value":"1"}],"port":80,"health":{"path":"/up","host":"h","headers":[{"key":"X","value":"y"}],"status":200,` +
		`"delay_ns":1,"interval_ns":2,"timeout_ns":3,"tcp":true},"cpu":0.5,"memory":1024,"volumes":[{"name":"n","path":"/p","read_only":true,` +
		`"server":"s","from":"f","secret":"x","temporary":true}],"logs":"stdout","path":"/a","min_replicas":0,"max_replicas":4,` +
		`"scaling":[{"resource":"cpu","threshold":60}],"extra":[{"key":"k","value":"v"}]}`
	storedSplit = `{"weights":[{"version":"v1","run":"before","percent":100}],"rules":[{"version":"v2","run":"r","match":{"header":"H","query":"Q",` +
		`"cookie":"C","value":"V"},"priority":1}],"sticky":{"header":"H","cookie":"C","issue":true,"max_age_ns":5}}`
	storedStrategy = `{"steps":[{"percent":10,"hold_ns":60000000000,"manual":true,"replicas":1,"match":[{"header":"H","value":"V"}]}],"surge":1,` +
		`"unavailable":2,"min_ready_ns":3,"deadline_ns":4,"drain_timeout_ns":5,"keep_old_ns":-1,"tolerance":{"off":true,"requests":50,"errors":1,` +
		`"slow":1.5,"slow_by":50000000},"limits":{"fail":1,"inconclusive":3,"error":4}}`
)

// ofStored are the values of what is stored.
func ofStored(t *testing.T) (rollout.Spec, rollout.Split, rollout.Strategy, rollout.RevisionID) {
	t.Helper()
	port, none, four, cpu, memory, logs, path := 80, 0, 4, 0.5, int64(1024), "stdout", "/a"
	spec := rollout.Spec{
		Command: []string{"web", "-v"}, Archive: &rollout.Archive{URL: "u", Digest: []byte{1, 2}, Command: []string{"c"}},
		Image: &rollout.Image{Repository: "r", Tag: "t", URL: "u"}, Package: &rollout.Package{Name: "n", Version: "v"},
		Source:      &rollout.Source{Kind: "gitlab", URL: "u", Branch: "b", Dir: "d", Dockerfile: "f"},
		Addresses:   []string{"a"},
		Environment: map[string]string{"A": "1"}, Port: &port,
		Health: &rollout.Health{Path: "/up", Host: "h", Headers: map[string]string{"X": "y"}, Status: 200, Delay: 1, Interval: 2, Timeout: 3, TCP: true},
		CPU:    &cpu, Memory: &memory, Logs: &logs, Path: &path, MinReplicas: &none, MaxReplicas: &four,
		Volumes: []rollout.Volume{{Name: "n", Path: "/p", ReadOnly: true, Server: "s", From: "f", Secret: "x", Temporary: true}},
		Scaling: []rollout.Scaling{{Resource: "cpu", Threshold: 60}}, Extra: map[string]string{"k": "v"},
	}
	split := rollout.Split{
		Weights: []rollout.Weight{{Version: "v1", Run: "before", Percent: 100}},
		Rules:   []rollout.Rule{{Version: "v2", Run: "r", Match: rollout.Match{Header: "H", Query: "Q", Cookie: "C", Value: "V"}, Priority: 1}},
		Sticky:  &rollout.Sticky{Header: "H", Cookie: "C", Issue: true, MaxAge: 5},
	}
	strategy := rollout.Strategy{
		Steps: []rollout.Step{{Percent: 10, Hold: time.Minute, Manual: true, Replicas: 1, Match: []rollout.Match{{Header: "H", Value: "V"}}}},
		Surge: 1, Unavailable: 2, MinReady: 3, Deadline: 4, DrainTimeout: 5, KeepOld: -1,
		Tolerance: rollout.Tolerance{Off: true, Requests: 50, Errors: 1, Slow: 1.5, SlowBy: 50 * time.Millisecond}, Limits: rollout.Limits{Fail: 1, Inconclusive: 3, Error: 4},
	}
	return spec, split, strategy, rollout.RevisionID{Service: rollout.ServiceID{Env: "prod", Name: "web"}, Version: "v1", Run: "before"}
}

// fullRollout is what storedRollout is the record of.
func fullRollout(t *testing.T) (rollout.Transition, rollout.Instance) {
	spec, split, strategy, revision := ofStored(t)
	at := time.Date(2026, 5, 1, 12, 30, 0, 123456789, time.UTC)
	by, share, web := rollout.By{Actor: "ada", Reason: "due", RequestID: "q"}, 40, revision.Service
	w := rollout.Transition{
		Run: &rollout.Run{
			ID: "run", Service: web, From: revision, Revision: revision, State: rollout.StateShifting, Percent: 50, Step: 1,
			States: []rollout.StateRecord{{
				State: rollout.StateAnalysing, Step: 1, Reason: "why", StartedAt: at, EndedAt: at,
				Measurements: []rollout.Measurement{{
					Name: "errors", Verdict: rollout.VerdictPass, Values: map[string]float64{"none": math.NaN(), "new": 0.5}, Reason: "m", Time: at,
				}},
			}},
			Before: split, Was: spec, Split: split, Reason: "why", Spec: spec, Strategy: strategy, Undoes: "u", Owner: "host:1",
			Request: rollout.Request{
				Service: web, Replace: "v1", Version: "v2", Spec: spec, Snapshot: "s", Share: &share, Remark: "r", Strategy: &strategy,
				Restart: true, Supersede: true, Plan: "p", By: by,
			},
			Wish: &rollout.Wish{Kind: rollout.WishPause, Step: 2, By: by}, Progress: []byte(`{"a":1}`),
		},
		Service: &rollout.Service{
			ID: web, Revisions: []rollout.Revision{{ID: revision, Spec: spec, Replicas: 3, Remark: "r", Replaced: true}}, Split: split,
			Generation: 7, Stable: revision, KeptUntil: at, Held: true, Path: "/a", Untold: []string{"x"},
		},
		Events: []rollout.Event{{
			Run: "run", Service: web, Kind: rollout.EventState, State: rollout.StateShifting, Step: 1, Percent: 50, Split: split,
			Actor: "ada", Message: "begun",
		}},
	}
	return w, rollout.Instance{ID: "i", Revision: revision, Process: "1 2 3", Endpoint: "http://127.0.0.1:1", Spec: spec}
}

func TestWhatIsStoredOfARolloutDoesNotChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := sqlite.Open(sqlite.Config{Path: path})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	w, instance := fullRollout(t)
	_, err = db.Rollouts().Create(t.Context(), w)
	require.NoError(t, err)
	require.NoError(t, db.Instances("host").Put(t.Context(), instance))

	raw, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	defer raw.Close()
	for query, want := range storedRollout {
		var got string
		require.NoError(t, raw.QueryRow(query).Scan(&got))
		require.Equal(t, want, got, query)
	}
}

func TestAnotherLibraryMayWriteWhatIsStoredOfARollout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := sqlite.Open(sqlite.Config{Path: path})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	s, web := db.Rollouts(), rollout.ServiceID{Env: "prod", Name: "web"}
	_, err = s.Save(t.Context(), rollout.Transition{Service: &rollout.Service{ID: web}})
	require.NoError(t, err)
	raw, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	defer raw.Close()
	// In another order, without most of the members, and with some of a later day.
	const record = `{"later":[1,{"a":1.50}],"split":{"weights":[{"percent":30,"run":"b","version":"v","burst":9007199254740993},` +
		`{"percent":70,"run":"a","version":"v","burst":2}],"mirror":{"to":"x"}},"stable":{"zone":"z"},` +
		`"revisions":[{"spec":{"port":80,"gpu":1,"health":{"grpc":true}},"id":{"run":"a"},"tier":"gold"},{"id":{"run":"b"}}],"Generation":7}`
	_, err = raw.Exec("UPDATE upkeep_rollout_service SET detail = ?", record)
	require.NoError(t, err)

	port := 80
	got, err := s.Service(t.Context(), web)
	require.NoError(t, err)
	require.Equal(t, rollout.Service{
		ID: web, Generation: 7, Rev: 1, UpdatedAt: got.UpdatedAt,
		Split: rollout.Split{Weights: []rollout.Weight{{Version: "v", Run: "b", Percent: 30}, {Version: "v", Run: "a", Percent: 70}}},
		Revisions: []rollout.Revision{
			{ID: rollout.RevisionID{Run: "a"}, Spec: rollout.Spec{Port: &port, Health: &rollout.Health{}}}, {ID: rollout.RevisionID{Run: "b"}},
		},
	}, got)
	got.Generation, got.Held = 8, true
	got.Split.Weights = []rollout.Weight{{Version: "v", Run: "a", Percent: 60}, {Version: "v", Run: "c", Percent: 40}} // b is gone
	got.Revisions[0].Replicas, got.Revisions[1].ID.Run = 2, "c"
	saved, err := s.Save(t.Context(), rollout.Transition{Service: &got})
	require.NoError(t, err)
	again, err := s.Service(t.Context(), web)
	require.NoError(t, err)
	require.Equal(t, *saved.Service, again)
	var stored string
	require.NoError(t, raw.QueryRow("SELECT detail FROM upkeep_rollout_service").Scan(&stored))
	require.JSONEq(t, `{"later":[1,{"a":1.50}],"split":{"weights":[{"percent":60,"run":"a","version":"v","burst":2},`+
		`{"percent":40,"run":"c","version":"v"}],"mirror":{"to":"x"}},"stable":{"zone":"z"},"held":true,"generation":8,`+
		`"revisions":[{"spec":{"port":80,"gpu":1,"health":{"grpc":true}},"id":{"run":"a"},"tier":"gold","replicas":2},{"id":{"run":"c"}}]}`, stored)
	require.Contains(t, stored, "1.50", "numbers stay as they are written")

	_, err = raw.Exec("UPDATE upkeep_rollout_service SET detail = ?", "not even an object")
	require.NoError(t, err)
	_, err = s.Save(t.Context(), saved)
	require.NoError(t, err, "a save replaces what cannot be read")
}
