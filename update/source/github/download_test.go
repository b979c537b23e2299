package github_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// download updates demo/app by downloading what the source offers, and returns
// what came.
func download(t *testing.T, s update.Source, a step.Artifact) (content string, err error) {
	a.Dir = filepath.Join(t.TempDir(), "downloads")
	state := memory.New()
	u, err := update.New(update.Config{Store: state, Packages: []update.Package{{
		Name: "demo/app", Source: s,
		Steps: []update.Step{step.Download(a), {Name: "read", Do: func(_ context.Context, task *update.Task) error {
			text, err := os.ReadFile(a.File(task))
			content = string(text)
			return err
		}}},
	}}})
	require.NoError(t, err)
	defer func() { require.NoError(t, errors.Join(u.Close(), state.Close())) }()
	_, err = u.Update(t.Context(), update.Request{Package: "demo/app"})
	return content, err
}

func TestWhatAPrivateRepositoryOffersCanBeDownloaded(t *testing.T) {
	g := newHub(t)
	g.tags = []tag{g.release("v1.0.0", linux)}
	s := g.source()
	s.Token, s.Private = secret, true
	got, err := download(t, s, step.Artifact{Client: s.AssetClient()})
	require.NoError(t, err)
	require.Equal(t, linux, got)
	g.nobodyElse(t)

	_, err = download(t, s, step.Artifact{Attempts: 1})
	require.ErrorIs(t, err, update.ErrFailed, "without the token")
	require.NotContains(t, err.Error(), secret)

	public := g.source()
	got, err = download(t, public, step.Artifact{})
	require.NoError(t, err)
	require.Equal(t, linux, got)
}

func TestWhatHasNoDigestIsNotDownloaded(t *testing.T) {
	g := newHub(t)
	g.digests = false
	g.tags = []tag{g.release("v1.0.0", linux)}
	_, err := download(t, g.source(), step.Artifact{})
	require.ErrorIs(t, err, update.ErrFailed)
	require.ErrorContains(t, err, "no digest")
}
