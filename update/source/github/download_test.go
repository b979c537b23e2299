package github_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source/internal/sourcetest"
	"github.com/upkeep-go/upkeep/update/step"
)

func TestWhatAPrivateRepositoryOffersCanBeDownloaded(t *testing.T) {
	g := newHub(t)
	g.tags = []tag{g.release("v1.0.0", linux)}
	s := g.source()
	s.Token, s.Private = secret, true
	got, err := sourcetest.Download(t, memory.New(), s, step.Artifact{Client: s.AssetClient()})
	require.NoError(t, err)
	require.Equal(t, linux, got)
	g.nobodyElse(t)

	_, err = sourcetest.Download(t, memory.New(), s, step.Artifact{Attempts: 1})
	require.ErrorIs(t, err, update.ErrFailed, "without the token")
	require.NotContains(t, err.Error(), secret)

	public := g.source()
	got, err = sourcetest.Download(t, memory.New(), public, step.Artifact{})
	require.NoError(t, err)
	require.Equal(t, linux, got)
}

func TestWhatHasNoDigestIsNotDownloaded(t *testing.T) {
	g := newHub(t)
	g.digests = false
	g.tags = []tag{g.release("v1.0.0", linux)}
	_, err := sourcetest.Download(t, memory.New(), g.source(), step.Artifact{})
	require.ErrorIs(t, err, update.ErrFailed)
	require.ErrorContains(t, err, "no digest")
}
