package feed_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
)

// looking looks around whenever something is unpacked.
type looking struct {
	feed.Keys
	look func()
}

func (l looking) Unpacker() firmware.Unpacker { return lookingUnpacker{l.Keys.Unpacker(), l.look} }

type lookingUnpacker struct {
	firmware.Unpacker
	look func()
}

func (u lookingUnpacker) Unpack(way firmware.Way, sent, window, raw []byte) error {
	u.look()
	return u.Unpacker.Unpack(way, sent, window, raw)
}

// What is served is nobody's place for whole images: others would get them, and a
// publisher at work would remove them.
func TestVerifyUnpacksOneImageAtATimeAndOutsideOfTheFeed(t *testing.T) {
	s := newShop(t)
	s.three()
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	before, looked, most := s.files(), 0, 0
	require.NoError(t, s.Verify(t.Context(), looking{s.verifier, func() {
		looked++
		served, err := os.ReadDir(s.Dir)
		require.NoError(t, err)
		assert.Len(t, served, len(before))
		left, err := os.ReadDir(temp)
		require.NoError(t, err)
		assert.Empty(t, left, "a kill would leave it")
		open, _ := filepath.Glob("/proc/self/fd/*") // where there are such
		here := 0
		for _, one := range open {
			if to, err := os.Readlink(one); err == nil && strings.HasPrefix(to, temp) {
				here++
			}
		}
		most = max(most, here)
	}}))
	assert.Positive(t, looked)
	assert.LessOrEqual(t, most, 1)
	assert.Equal(t, before, s.files())
}
