package manifest_test

import (
	"crypto/ed25519"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source/internal/sourcetest"
	"github.com/upkeep-go/upkeep/update/step"
)

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
	got, err := sourcetest.Download(t, memory.New(), newSource(s.URL, &shelf{}), step.Artifact{})
	require.NoError(t, err)
	require.Equal(t, "1.0.0", got)
	for n, ok := range map[byte]bool{7: true, 8: false} {
		_, err = sourcetest.Download(t, memory.New(), newSource(s.URL, &shelf{}), step.Artifact{Keys: []step.Key{step.Ed25519Key(publicKeys(n)[0])}})
		require.Equal(t, ok, err == nil, "%v", err)
	}
	content = "6.6.6"
	_, err = sourcetest.Download(t, memory.New(), newSource(s.URL, &shelf{}), step.Artifact{})
	require.ErrorIs(t, err, update.ErrFailed)
}
