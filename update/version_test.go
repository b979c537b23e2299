package update_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

// newUpdater returns an Updater over fresh memory that ends with the test.
func newUpdater(t *testing.T, packages ...update.Package) *update.Updater {
	t.Helper()
	return newUpdaterOn(t, memory.New(), packages...)
}

func newUpdaterOn(t *testing.T, state *memory.DB, packages ...update.Package) *update.Updater {
	t.Helper()
	u, err := update.New(update.Config{Store: state, Packages: packages})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, u.Close()) })
	return u
}

func nothing(context.Context, *update.Task) error { return nil }

func TestTheWantedVersionIsFound(t *testing.T) {
	listed := versions{
		"0.3.0", "0.3.9", "0.4.0", "1.0.0", "1.2.0", "1.2.9", "1.3.0", "1.10.0", "2.0.0-rc.1", "2.0.0",
		"2.1.0-alpha", "2.1.0-beta.2", "2.1.0-beta.10", "not-a-version", "", "3.0.0-rc.1",
	}
	tests := []struct {
		want       string
		prerelease bool
		found      string
	}{
		{want: "", found: "2.0.0"},
		{want: "latest", found: "2.0.0"},
		{want: " latest ", found: "2.0.0"},
		{want: "", prerelease: true, found: "3.0.0-rc.1"},
		{want: "1.2.0", found: "1.2.0"},
		{want: "v1.2.0", found: "1.2.0"},
		{want: "1.2", found: "1.2.0"},
		{want: "2.1.0-alpha", found: "2.1.0-alpha"},
		{want: "^1.2", found: "1.10.0"},
		{want: "^1.2", prerelease: true, found: "1.10.0"},
		{want: "^0.3", found: "0.3.9"},
		{want: "^0", found: "0.4.0"},
		{want: "~1.2", found: "1.10.0"},
		{want: "~1.2.0", found: "1.2.9"},
		{want: "~> 1.2.0", found: "1.2.9"},
		{want: "1.*", found: "1.10.0"},
		{want: "1.2.x", found: "1.2.9"},
		{want: "*", found: "2.0.0"},
		{want: ">=1.2, <1.3", found: "1.2.9"},
		{want: ">=1.2 <1.3", found: "1.2.9"},
		{want: ">= 1.2, != 1.2.9, < 1.3", found: "1.2.0"},
		{want: "=1.2.0", found: "1.2.0"},
		{want: "0.3.* || 1.2.*", found: "1.2.9"},
		{want: "1.2.0 || 1.0.0", found: "1.2.0"},
		{want: ">2.0.0", prerelease: true, found: "3.0.0-rc.1"},
		{want: "~2.1.0", prerelease: true, found: "2.1.0-beta.10"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			u := newUpdater(t, update.Package{Name: "app", Source: listed, Steps: []update.Step{{Name: "s", Do: nothing}}})
			plan, err := u.Plan(t.Context(), update.Request{Package: "app", Version: tt.want, AllowPrerelease: tt.prerelease})
			require.NoError(t, err)
			require.Equal(t, tt.found, plan.Version)
		})
	}
}

func TestAVersionThatCannotBeIsRefused(t *testing.T) {
	u := newUpdater(t, update.Package{Name: "app", Source: versions{"1.0.0", "2.0.0-rc.1"}, Steps: []update.Step{{Name: "s", Do: nothing}}})
	tests := []struct {
		want string
		err  error
	}{
		{"v1..2", update.ErrInvalid},
		{"dev-main", update.ErrInvalid},
		{"^", update.ErrInvalid},
		{"^x.y", update.ErrInvalid},
		{">1.*", update.ErrInvalid},
		{"1.0 ||", update.ErrInvalid},
		{"|| 1.0", update.ErrInvalid},
		{"--working-dir=/", update.ErrInvalid},
		{"1.0.0; rm", update.ErrInvalid},
		{"../1.0.0", update.ErrInvalid},
		{"99999999999999999999.0.0", update.ErrInvalid},
		{string(make([]byte, 257)), update.ErrInvalid},
		{"1.0.1", update.ErrNotFound},
		{"2.0.0", update.ErrNotFound},
		{"^2", update.ErrNotFound},
		{"<1.0", update.ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			_, err := u.Start(t.Context(), update.Request{Package: "app", Version: tt.want})
			require.ErrorIs(t, err, tt.err)
			for range u.History(t.Context(), update.Query{}) {
				t.Fatal("a refused request left a run")
			}
		})
	}
}

func TestADowngradeMustBeAskedFor(t *testing.T) {
	installed := "1.2.0"
	u := newUpdater(t, update.Package{
		Name: "app", Source: versions{"1.0.0", "1.1.0"}, Steps: []update.Step{{Name: "s", Do: nothing}},
		Current: func(context.Context) (string, error) { return installed, nil },
	})
	_, err := u.Start(t.Context(), update.Request{Package: "app", Version: "1.1.0"})
	require.ErrorIs(t, err, update.ErrInvalid)
	_, err = u.Start(t.Context(), update.Request{Package: "app"})
	require.ErrorIs(t, err, update.ErrUpToDate, "latest never goes back")
	run, err := u.Update(t.Context(), update.Request{Package: "app", Version: "1.1.0", AllowDowngrade: true})
	require.NoError(t, err)
	require.Equal(t, "1.2.0", run.From)
	require.Equal(t, "1.1.0", run.Version)
}

func TestAPackageWithNothingButPrereleasesMayAllowThem(t *testing.T) {
	pseudo := "v0.0.0-20250101000000-0123456789ab"
	u := newUpdater(t, update.Package{
		Name: "golang.org/x/perf/cmd/benchstat", Source: versions{pseudo}, AllowPrerelease: true,
		Steps: []update.Step{{Name: "s", Do: nothing}},
	})
	run, err := u.Update(t.Context(), update.Request{Package: "golang.org/x/perf/cmd/benchstat"})
	require.NoError(t, err)
	require.Equal(t, pseudo, run.Version)
	_, err = u.Start(t.Context(), update.Request{Package: "golang.org/x/perf/cmd/benchstat"})
	require.ErrorIs(t, err, update.ErrUpToDate)
}

func TestBuildMetadataTellsVersionsApart(t *testing.T) {
	installed := "1.0.0+a"
	u := newUpdater(t, update.Package{
		Name: "app", Source: versions{"1.0.0+a", "1.0.0+b"}, Steps: []update.Step{{Name: "s", Do: nothing}},
		Current: func(context.Context) (string, error) { return installed, nil },
	})
	run, err := u.Update(t.Context(), update.Request{Package: "app", Version: "1.0.0+b"})
	require.NoError(t, err)
	require.Equal(t, "1.0.0+b", run.Version)
	_, err = u.Start(t.Context(), update.Request{Package: "app", Version: "1.0.0+a"})
	require.ErrorIs(t, err, update.ErrUpToDate)
}
