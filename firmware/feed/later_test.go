package feed_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
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

// The objects of ways that it does not know a publisher would take for unneeded.
func TestAnIndexOfALaterVersionIsReadAndNotPruned(t *testing.T) {
	s := newShop(t)
	s.add("1.0.0", code(1, 16))
	s.add("1.1.0", next(2, code(1, 16), 64))
	c, x := s.catalog(), s.index("1.1.0")
	raw := s.read(c.Releases[0].Index.Name)
	digest := x.Segments[0].Digest
	raw[bytes.Index(raw, digest[:])+len(digest)+1] = 200 // that was a patch
	c.Releases[0].Index.Digest = sha256.Sum256(raw)
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir, fmt.Sprintf("%x", c.Releases[0].Index.Digest)), raw, 0o600))
	require.NoError(t, s.Sign(t.Context(), c))
	require.Len(t, s.index("1.1.0").Segments[0].Parts, len(x.Segments[0].Parts)-1)
	require.NoError(t, s.Verify(t.Context(), s.verifier))
	before := s.files()
	require.ErrorIs(t, s.Prune(t.Context(), 1, -1), firmware.ErrCorrupt)
	require.Equal(t, before, s.files())
}
