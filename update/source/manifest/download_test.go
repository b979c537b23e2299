package manifest_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"net/http/httptest"
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

func TestWhatAManifestOffersCanBeDownloaded(t *testing.T) {
	good, content := offer("1.0.0", ""), "1.0.0"
	good.Artifacts[0].Signature = ed25519.Sign(key(7), digest("1.0.0"))
	text := published(t, list(1, good))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/app/manifest.json" {
			_, _ = w.Write(text)
			return
		}
		_, _ = w.Write([]byte(content))
	}))
	defer s.Close()
	got, err := download(t, newSource(s.URL, &shelf{}), step.Artifact{})
	require.NoError(t, err)
	require.Equal(t, "1.0.0", got)
	for n, ok := range map[byte]bool{7: true, 8: false} {
		_, err = download(t, newSource(s.URL, &shelf{}), step.Artifact{Keys: []step.Key{step.Ed25519Key(publicKeys(n)[0])}})
		require.Equal(t, ok, err == nil, "%v", err)
	}
	content = "6.6.6"
	_, err = download(t, newSource(s.URL, &shelf{}), step.Artifact{})
	require.ErrorIs(t, err, update.ErrFailed)
}
