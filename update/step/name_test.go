package step_test

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source"
	"github.com/upkeep-go/upkeep/update/step"
)

func TestTheNameOfAStepDoesNotDependOnHowItIsConfigured(t *testing.T) {
	pages := step.Sub(fstest.MapFS{}, ".")
	on, off := step.Maintenance("closed")
	movedOn, movedOff := step.Maintenance("var/shut")
	for name, kind := range map[string][]update.Step{
		"command": {
			step.Command(step.Exec{Args: []string{"php8.2", "artisan"}}),
			step.Command(step.Exec{Args: []string{"/opt/php8.3", "artisan"}}),
			step.Command(step.Exec{}),
		},
		"publish":         {step.PublishFiles(step.Publish{Files: pages, Dir: "public"}), step.PublishFiles(step.Publish{Files: pages, Dir: "/srv/public_html"})},
		"clear":           {step.ClearDir("cache"), step.ClearDir("var/cache/pages")},
		"migrate":         {step.MigrateSQL(step.Migrations{}), step.MigrateSQL(step.Migrations{Files: pages})},
		"backup":          {step.BackupSQLite(step.SQLite{}), step.BackupSQLite(step.SQLite{Dir: "old"})},
		"download":        {step.Download(step.Artifact{}), step.Download(step.Artifact{Dir: "cache"})},
		"swap binary":     {step.SwapBinary(step.Binary{}), step.SwapBinary(step.Binary{Member: "app"})},
		"health":          {step.HTTPHealth(step.Health{}), step.HTTPHealth(step.Health{URL: "http://localhost:8080"})},
		"maintenance on":  {on, movedOn},
		"maintenance off": {off, movedOff},
	} {
		for _, s := range kind {
			require.Equal(t, name, s.Name)
		}
	}
}

func TestTwoStepsOfAKindAreNamed(t *testing.T) {
	state := memory.New()
	look := step.HTTPHealth(step.Health{URL: "http://localhost:8080"})
	with := func(second update.Step) error {
		_, err := update.New(update.Config{Store: state, Packages: []update.Package{
			{Name: "demo/site", Source: source.Static("1.0.0"), Steps: []update.Step{step.ClearDir("cache"), look, second}},
		}})
		return err
	}
	err := with(look)
	require.ErrorIs(t, err, update.ErrInvalid)
	for _, said := range []string{`package "demo/site"`, "steps 2 and 3", `"health"`, "step.Named"} {
		require.ErrorContains(t, err, said)
	}
	require.NoError(t, with(step.Named("health of the worker", look)))
}
