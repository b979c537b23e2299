// Package sourcetest has what the tests of the sources share.
package sourcetest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// Download updates demo/app by downloading what the source offers, and returns
// what came.
func Download(t *testing.T, db update.Store, s update.Source, a step.Artifact) (content string, err error) {
	a.Dir = filepath.Join(t.TempDir(), "downloads")
	u, err := update.New(update.Config{Store: db, Packages: []update.Package{{
		Name: "demo/app", Source: s,
		Steps: []update.Step{step.Download(a), {Name: "read", Do: func(_ context.Context, task *update.Task) error {
			text, err := os.ReadFile(a.File(task))
			content = string(text)
			return err
		}}},
	}}})
	require.NoError(t, err)
	defer func() { require.NoError(t, u.Close()) }()
	_, err = u.Update(t.Context(), update.Request{Package: "demo/app"})
	return content, err
}

// Collect returns what a source yields for a package.
func Collect(ctx context.Context, s update.Source, pkg string) (all []update.Release, err error) {
	for r, err := range s.Versions(ctx, pkg) {
		if err != nil {
			return all, err
		}
		all = append(all, r)
	}
	return all, nil
}

// Versions returns the versions of releases.
func Versions(releases []update.Release) (list []string) {
	for _, r := range releases {
		list = append(list, r.Version)
	}
	return list
}
