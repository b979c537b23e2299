package step_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"log"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
)

// offers are a source.
type offers []update.Release

func (r offers) Versions(context.Context, string) iter.Seq2[update.Release, error] {
	return func(yield func(update.Release, error) bool) {
		for _, release := range r {
			if !yield(release, nil) {
				return
			}
		}
	}
}

// releaseOf is release 1.1.0, whose artifact has this content.
func releaseOf(content []byte) update.Release {
	sum := sha256.Sum256(content)
	return update.Release{
		Version: "1.1.0", URL: "https://dl.test/app", Digest: sum[:], Size: int64(len(content)),
	}
}

// updateRelease has an Updater install a release.
func updateRelease(t *testing.T, r update.Release, steps ...update.Step) (update.Run, error) {
	t.Helper()
	state := memory.New()
	u, err := update.New(update.Config{Store: state, Packages: []update.Package{
		{Name: "demo/app", Source: offers{r}, Steps: steps},
	}})
	require.NoError(t, err)
	defer func() {
		require.NoError(t, u.Close())
		require.NoError(t, state.Close())
	}()
	return u.Update(t.Context(), update.Request{Package: "demo/app"})
}

// releaseTask is a task for a step of a run that installs r.
func releaseTask(r update.Release) *update.Task {
	return &update.Task{Run: update.Run{ID: "one", Package: "demo/app", From: "1.0.0", Version: r.Version}, Release: r}
}

// installRelease has an Updater install a release with this content, and
// prints how it went.
func installRelease(dir, content string, steps ...update.Step) {
	state := memory.New()
	defer state.Close()
	r := releaseOf([]byte(content))
	r.URL = "file://" + filepath.ToSlash(filepath.Join(dir, "release"))
	if err := os.WriteFile(filepath.Join(dir, "release"), []byte(content), 0o600); err != nil {
		log.Fatal(err)
	}
	u, err := update.New(update.Config{Store: state, Packages: []update.Package{
		{Name: "demo/app", Source: offers{r}, Steps: steps},
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer u.Close()
	run, _ := u.Update(context.Background(), update.Request{Package: "demo/app"})
	fmt.Println(run.State)
}
