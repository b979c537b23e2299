package update_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

func TestAConfigThatCannotWorkIsRefused(t *testing.T) {
	state := memory.New()
	good := app(update.Step{Name: "s", Do: nothing})
	config := func(packages ...update.Package) update.Config {
		return update.Config{Store: state, Packages: packages}
	}
	change := func(f func(*update.Package)) update.Config {
		p := good
		f(&p)
		return config(p)
	}
	for name, c := range map[string]update.Config{
		"no locker":       {Journal: state.Journal(), Packages: []update.Package{good}},
		"no journal":      {Locker: state.Locker(), Packages: []update.Package{good}},
		"no packages":     config(),
		"a package twice": config(good, good),
		"short ttl":       {Store: state, Packages: []update.Package{good}, LockTTL: time.Second - 1},
		"long owner":      {Store: state, Packages: []update.Package{good}, Owner: strings.Repeat("x", 257)},
		"no name":         change(func(p *update.Package) { p.Name = "" }),
		"option as name":  change(func(p *update.Package) { p.Name = "--working-dir=/" }),
		"path as name":    change(func(p *update.Package) { p.Name = "a/../../b" }),
		"long name":       change(func(p *update.Package) { p.Name = strings.Repeat("a", 257) }),
		"unfit lock":      change(func(p *update.Package) { p.Lock = strings.Repeat("x", 1024) }),
		"unfit escaped":   change(func(p *update.Package) { p.Lock = strings.Repeat("/", 340) }),
		"no source":       change(func(p *update.Package) { p.Source = nil }),
		"no steps":        change(func(p *update.Package) { p.Steps = nil }),
		"a step twice":    change(func(p *update.Package) { p.Steps = append(p.Steps, p.Steps[0]) }),
		"long step": change(func(p *update.Package) {
			p.Steps = []update.Step{{Name: strings.Repeat("s", 129), Do: nothing}}
		}),
		"nameless step": change(func(p *update.Package) { p.Steps = []update.Step{{Do: nothing}} }),
		"idle step":     change(func(p *update.Package) { p.Steps = []update.Step{{Name: "s"}} }),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := update.New(c)
			require.ErrorIs(t, err, update.ErrInvalid)
		})
	}
	_, err := update.New(update.Config{Packages: []update.Package{good}})
	require.EqualError(t, err, "update: invalid request: Config.Store or Config.Locker is required")
	longest := change(func(p *update.Package) {
		p.Name, p.Steps = strings.Repeat("a", 256), []update.Step{{Name: strings.Repeat("s", 128), Do: nothing}}
	})
	longest.Owner, longest.LockTTL = strings.Repeat("x", 256), time.Second
	_, err = update.New(longest)
	require.NoError(t, err)
}

func TestPartsOfTheConfigComeBeforeTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := memory.New(), memory.New()
		u, err := update.New(update.Config{
			Store: one, Locker: two.Locker(), Journal: two.Journal(), Packages: []update.Package{app(update.Step{Name: "s", Do: nothing})},
		})
		require.NoError(t, err)
		defer u.Close()
		held, err := lease.Hold(t.Context(), two.Locker(), lease.Item("update", "core"), lease.HoldConfig{})
		require.NoError(t, err)
		_, err = u.Start(t.Context(), ask)
		require.ErrorIs(t, err, update.ErrBusy)
		require.NoError(t, held.Release())
		run, err := u.Update(t.Context(), ask)
		require.NoError(t, err)
		_, err = two.Journal().Get(t.Context(), run.ID)
		require.NoError(t, err)
	})
}
