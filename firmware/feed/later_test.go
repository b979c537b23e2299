package feed_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
)

// later returns JSON with one more member in every object of it. What is in the
// payload of an envelope stays as it was signed.
func later(t *testing.T, raw []byte) []byte {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal(raw, &v))
	var add func(any)
	add = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				if name != "meta" { // whose names are anybody's
					add(inner)
				}
			}
			v["later"] = map[string]any{"x": 1}
		case []any:
			for _, inner := range v {
				add(inner)
			}
		}
	}
	add(v)
	out, err := json.Marshal(v)
	require.NoError(t, err)
	return out
}

// payload is what is signed in a file.
func payload(t *testing.T, raw []byte) []byte {
	t.Helper()
	var f struct {
		Signed struct {
			Payload []byte `json:"payload"`
		} `json:"signed"`
	}
	require.NoError(t, json.Unmarshal(raw, &f))
	return f.Signed.Payload
}

func TestADeviceGoesOnWithAFeedThatIsYoungerThanItself(t *testing.T) {
	s := small(t)
	want := s.catalog()
	raw, err := feed.Seal(later(t, payload(t, s.read(firmware.CatalogName))), s.Keys)
	require.NoError(t, err)
	c, trust, err := s.verifier.Catalog(t.Context(), later(t, raw), nil)
	require.NoError(t, err)
	assert.Equal(t, want, c)

	var b bytes.Buffer
	require.NoError(t, s.Bundle(t.Context(), "1.0.0", &b))
	head, err := feed.SealBundle(later(t, payload(t, headOf(b.Bytes()))), s.Keys)
	require.NoError(t, err)
	bundle, err := s.verifier.Bundle(t.Context(), later(t, head), trust)
	require.NoError(t, err)
	assert.Equal(t, want.Releases[0], bundle.Release)

	// The image before a newer one reads what that has remembered.
	_, _, err = s.verifier.Catalog(t.Context(), s.read(firmware.CatalogName), later(t, trust))
	require.ErrorIs(t, err, firmware.ErrReplayed, "it remembers the number, which had another content")
}

func TestAPublisherLosesNothingThatALaterOneHasAdded(t *testing.T) {
	s := small(t)
	raw := s.read(firmware.CatalogName)
	inside, err := feed.Seal(later(t, payload(t, raw)), s.Keys)
	require.NoError(t, err)
	for _, changed := range [][]byte{later(t, raw), inside} {
		require.NoError(t, os.WriteFile(filepath.Join(s.Dir, firmware.CatalogName), changed, 0o600))
		err := s.Renew(t.Context())
		require.ErrorIs(t, err, firmware.ErrCorrupt)
		require.ErrorContains(t, err, "a later version")
	}
}
