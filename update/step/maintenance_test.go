package step_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
	"github.com/upkeep-go/upkeep/update/step"
)

// watch is a step that notes whether file is there when it is done and undone.
func watch(name, file string, seen *[]bool, fails error) update.Step {
	look := func() {
		_, err := os.Stat(file)
		*seen = append(*seen, err == nil)
	}
	return update.Step{
		Name: name,
		Do:   func(context.Context, *update.Task) error { look(); return fails },
		Undo: func(context.Context, *update.Task) error { look(); return nil },
	}
}

func TestMaintenanceCoversTheStepsInBetween(t *testing.T) {
	failure := errors.New("no good")
	tests := []struct {
		name           string
		during, behind error
		want           []bool // the step before, in between, behind; then their undos
	}{
		{"a run that succeeds", nil, nil, []bool{false, true, false}},
		{"a run that fails in between", failure, nil, []bool{false, true, true, false}},
		{"a run that fails behind", nil, failure, []bool{false, true, false, false, true, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "maintenance.json")
			var seen []bool
			on, off := step.Maintenance(file)
			u := newUpdater(t, watch("before", file, &seen, nil), on, watch("between", file, &seen, tt.during), off,
				watch("behind", file, &seen, tt.behind))
			_, err := install(t.Context(), u, "1.0.0")
			require.Equal(t, tt.during == nil && tt.behind == nil, err == nil)
			require.Equal(t, tt.want, seen)
			require.NoFileExists(t, file)
		})
	}
}

func TestMaintenanceCoversARollback(t *testing.T) {
	file := filepath.Join(t.TempDir(), "maintenance.json")
	var seen []bool
	on, off := step.Maintenance(file)
	u := newUpdater(t, on, watch("between", file, &seen, nil), off)
	run, err := install(t.Context(), u, "1.0.0")
	require.NoError(t, err)
	back, err := u.Rollback(t.Context(), run.ID, update.By{})
	require.NoError(t, err)
	_, err = u.Wait(t.Context(), back.ID)
	require.NoError(t, err)
	require.Equal(t, []bool{true, true}, seen)
	require.NoFileExists(t, file)
}

func TestMaintenanceSaysSinceWhenAndWhy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "maintenance.json")
	on, off := step.Maintenance(file)
	require.NoError(t, on.Check(t.Context(), task("one", "1.0.0")))
	require.NoFileExists(t, file, "a check changes nothing")
	require.NoError(t, on.Do(t.Context(), task("one", "1.0.0")))
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var flag step.Flag
	require.NoError(t, json.Unmarshal(data, &flag))
	require.Equal(t, "one", flag.Run)
	require.WithinDuration(t, time.Now(), flag.Since, time.Minute)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o644), info.Mode().Perm())

	require.NoError(t, on.Do(t.Context(), task("one", "1.0.0")), "again, after a crash")
	again, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, data, again)
	for range 2 {
		require.NoError(t, off.Do(t.Context(), task("one", "1.0.0")))
		require.NoFileExists(t, file)
	}
}

func TestMaintenanceLeavesAloneWhatIsNotItsOwn(t *testing.T) {
	for name, content := range map[string]string{
		"put there by hand":        "back at noon\n",
		"of another package":       `{"since":"2024-01-02T03:04:05Z","package":"demo/shop","run":"zero"}`,
		"put there by hand, JSON":  `{"since":"2024-01-02T03:04:05Z","package":"demo/site"}`,
		"put there by hand, empty": "",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "maintenance.json")
			require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
			on, off := step.Maintenance(file)
			_, err := install(t.Context(), newUpdater(t, on, off), "1.0.0")
			require.NoError(t, err)
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, content, string(data))
		})
	}
}

func TestMaintenanceIsEndedByASecondRollbackWhenTheFirstFailed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "maintenance.json")
	on, off := step.Maintenance(file)
	fails := true
	u := newUpdater(t, on, update.Step{
		Name: "between",
		Do:   func(context.Context, *update.Task) error { return nil },
		Undo: func(context.Context, *update.Task) error {
			if fails {
				return errors.New("not now")
			}
			return nil
		},
	}, off)
	run, err := install(t.Context(), u, "1.0.0")
	require.NoError(t, err)
	for _, fails = range []bool{true, false} {
		back, err := u.Rollback(t.Context(), run.ID, update.By{})
		require.NoError(t, err)
		_, err = u.Wait(t.Context(), back.ID)
		require.Equal(t, fails, err != nil)
		_, err = os.Stat(file)
		require.Equal(t, fails, err == nil, "a site that is half undone stays at rest")
	}
}

func TestMaintenanceTakesOverFromARunThatFailed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "maintenance.json")
	on, off := step.Maintenance(file)
	var do, undo error
	between := update.Step{
		Name: "between",
		Do:   func(context.Context, *update.Task) error { return do },
		Undo: func(context.Context, *update.Task) error { return undo },
	}
	u := newUpdater(t, on, between, off)
	flag := func() (f step.Flag) {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, &f))
		return f
	}

	do, undo = errors.New("no good"), errors.New("no way back")
	failed, err := install(t.Context(), u, "1.0.0")
	require.ErrorIs(t, err, update.ErrFailed)
	require.Equal(t, update.StateFailed, failed.State)
	first := flag()
	require.Equal(t, failed.ID, first.Run)

	// A run that is taken back leaves the site as it found it: at rest.
	undo = nil
	back, err := install(t.Context(), u, "1.0.0")
	require.ErrorIs(t, err, update.ErrFailed)
	require.Equal(t, update.StateRolledBack, back.State)
	require.Equal(t, first, flag())

	// While a run works on it, the file is that run's.
	do = nil
	var during step.Flag
	look := update.Step{Name: "look", Do: func(context.Context, *update.Task) error { during = flag(); return nil }}
	state := memory.New()
	defer state.Close()
	later, err := update.New(update.Config{Store: state, Packages: []update.Package{
		{Name: "demo/site", Source: source.Static("1.0.0"), Steps: []update.Step{on, look, off}},
	}})
	require.NoError(t, err)
	defer later.Close()
	good, err := install(t.Context(), later, "1.0.0")
	require.NoError(t, err)
	require.Equal(t, good.ID, during.Run)
	require.Equal(t, first.Since, during.Since)
	require.NoFileExists(t, file)
}

func TestMaintenanceFindsOutBeforehandWhetherItCanWrite(t *testing.T) {
	on, _ := step.Maintenance(filepath.Join(t.TempDir(), "missing", "maintenance.json"))
	require.Error(t, on.Check(t.Context(), task("one", "1.0.0")))
	on, _ = step.Maintenance(t.TempDir())
	require.Error(t, on.Check(t.Context(), task("one", "1.0.0")))
}
