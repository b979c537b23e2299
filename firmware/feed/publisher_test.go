package feed_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

func TestAFeedIsWhatADeviceCanRead(t *testing.T) {
	s := newShop(t)
	s.three()
	require.NoError(t, s.Verify(t.Context(), s.verifier))
	c := s.catalog()
	assert.Equal(t, "encoder", c.Product)
	assert.Equal(t, when, c.Issued)
	assert.Equal(t, when.Add(30*24*time.Hour), c.Expires)
	require.Len(t, c.Releases, 3)
	for i, want := range []string{"1.2.0", "1.1.0", "1.0.0"} {
		r := c.Releases[i]
		assert.Equal(t, want, r.Version)
		assert.Equal(t, sha256.Sum256(s.images[2-i]), r.Digest)
		assert.Equal(t, int64(len(s.images[2-i])), r.Size)
		assert.Equal(t, when, r.Time)
	}
	for name := range s.files() {
		if name != firmware.CatalogName && name != ".lock" {
			assert.Equal(t, fmt.Sprintf("%x", sha256.Sum256(s.read(name))), name)
		}
	}
}

func TestTheSameCallsMakeTheSameBytes(t *testing.T) {
	a, b := threeOnce(), makeThree(t.TempDir())
	assert.Equal(t, a.files, b.files)
}

func TestTheCheapestWayIsTheFirst(t *testing.T) {
	s := newShop(t)
	s.three()
	x := s.index("1.2.0")
	for i, at := range x.Segments {
		var ways []firmware.Way
		for _, p := range at.Parts {
			ways = append(ways, p.Way)
		}
		assert.Equal(t, []firmware.Way{firmware.WayPatch, firmware.WayPatch, firmware.WayChunks, firmware.WayZstd}, ways)
		assert.LessOrEqual(t, at.Parts[0].Size, at.Parts[1].Size)
		assert.Equal(t, sha256.Sum256(s.images[1]), at.Parts[0].From, "segment %d", i)
		assert.Equal(t, sha256.Sum256(s.images[0]), at.Parts[1].From)
		assert.LessOrEqual(t, at.Parts[0].BaseSize, int64(4*segment))
	}
}

func TestWhatAWayCostsIsSaid(t *testing.T) {
	s := newShop(t)
	image := code(1, 3<<10)
	first := s.add("1.0.0", image)
	assert.Equal(t, []firmware.Way{firmware.WayZstd}, slices.Collect(keysOf(first)))
	cost := s.add("1.1.0", next(2, image, 4096))
	t.Log(len(image), cost)
	assert.Less(t, cost[firmware.WayPatch], cost[firmware.WayChunks])
	assert.Less(t, cost[firmware.WayChunks], cost[firmware.WayZstd])
	assert.Less(t, 8*cost[firmware.WayPatch], cost[firmware.WayZstd])
}

func keysOf(m map[firmware.Way]int64) func(func(firmware.Way) bool) {
	return func(yield func(firmware.Way) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func TestWhatHasMovedFarIsFound(t *testing.T) {
	s := newShop(t)
	image := code(1, 6<<10) // six segments, of which a window has four
	s.add("1.0.0", image)
	half := len(image) / 2
	cost := s.add("1.1.0", slices.Concat(image[half:], image[:half]))
	assert.Less(t, cost[firmware.WayPatch], int64(16<<10))
}

func TestPatchesStartFromWhatADeviceMayHave(t *testing.T) {
	s := newShop(t)
	s.Patches = 2
	image := code(1, 500) // one segment
	for i, version := range []string{"1.0.0", "1.1.0", "1.2.0", "2.0.0", "1.3.0-rc1"} {
		s.add(version, next(byte(i+2), image, 64), func(r *firmware.Release) {
			if version == "1.2.0" {
				r.Hardware = []string{"b"}
			}
		})
	}
	from := func(version string, image int) {
		for _, p := range s.index(version).Segments[0].Parts {
			if p.Way == firmware.WayPatch && p.From == sha256.Sum256(s.images[image]) {
				return
			}
		}
		t.Errorf("no patch to %q from image %d", version, image)
	}
	s.add("1.3.0", next(9, image, 64), func(r *firmware.Release) { r.Hardware = []string{"a"} })
	assert.Len(t, s.index("1.3.0").Segments[0].Parts, 4)
	from("1.3.0", 4) // the pre-release
	from("1.3.0", 1)
	s.add("1.3.1", next(10, image, 64), func(r *firmware.Release) { r.MinFrom = "1.3.0" })
	assert.Len(t, s.index("1.3.1").Segments[0].Parts, 3)
	from("1.3.1", 5)
	s.Patches = -1
	s.add("1.3.2", next(11, image, 64))
	assert.Len(t, s.index("1.3.2").Segments[0].Parts, 2)
	require.NoError(t, s.Verify(t.Context(), s.verifier))
}

func TestWhatCannotBeCompressedIsStoredOnce(t *testing.T) {
	s := newShop(t)
	image := make([]byte, 2*segment)
	for i := range image {
		image[i] = byte(uint64(i) * 0x9e3779b97f4a7c15 >> 56)
	}
	sum := sha256.Sum256(image)
	for i := range image { // a key stream, as good as noise
		if i%32 == 0 {
			sum = sha256.Sum256(sum[:])
		}
		image[i] ^= sum[i%32]
	}
	cost := s.add("1.0.0", image)
	assert.InDelta(t, len(image), cost[firmware.WayZstd], 2048)
	for _, at := range s.index("1.0.0").Segments {
		assert.Equal(t, firmware.WayRaw, at.Parts[len(at.Parts)-1].Way, "nobody unpacks in vain")
	}
	var bundle bytes.Buffer
	require.NoError(t, s.Bundle(t.Context(), "1.0.0", &bundle))
	require.NoError(t, s.Verify(t.Context(), s.verifier))
	assert.True(t, bytes.HasSuffix(bundle.Bytes(), image))
	s.add("1.1.0", make([]byte, 2*segment))
	assert.Less(t, s.index("1.1.0").Segments[0].Parts[0].Size, int64(256))
	assert.Len(t, s.index("1.1.0").Segments[0].Parts, 1, "of zeros no list of chunks is cheaper")
}

func TestAReleaseIsRefusedThatNoDeviceCouldUse(t *testing.T) {
	s := newShop(t)
	s.add("1.0.0", code(1, 16))
	before := s.files()
	image := bytes.NewReader(code(1, 16))
	for _, tt := range []struct {
		r    firmware.Release
		want error
	}{
		{firmware.Release{Version: "1.0.0"}, firmware.ErrExists},
		{firmware.Release{Version: ""}, firmware.ErrInvalid},
		{firmware.Release{Version: "r1234"}, firmware.ErrInvalid},
		{firmware.Release{Version: "1.1.0", MinFrom: "old"}, firmware.ErrInvalid},
		{firmware.Release{Version: "1.1.0", Cohort: 101}, firmware.ErrInvalid},
		{firmware.Release{Version: "1.1.0", Epoch: -1}, firmware.ErrInvalid},
		{firmware.Release{Version: "1.1.0", Meta: map[string]string{"root-hash": "x"}}, firmware.ErrInvalid},
		{firmware.Release{Version: "1.1.0", Meta: map[string]string{"": "x"}}, firmware.ErrInvalid},
		{firmware.Release{Version: "1.1.0", Meta: map[string]string{"a": "x\ny"}}, firmware.ErrInvalid},
		{firmware.Release{Version: "1.1.0", Meta: map[string]string{"a": strings.Repeat("x", 3<<10)}}, firmware.ErrInvalid},
	} {
		_, err := s.Add(t.Context(), tt.r, image)
		require.ErrorIs(t, err, tt.want, "%+v", tt.r)
	}
	_, err := s.Add(t.Context(), firmware.Release{Version: "1.1.0"}, bytes.NewReader(nil))
	require.ErrorIs(t, err, firmware.ErrInvalid)
	assert.Equal(t, before, s.files())
}

func TestNobodyElsesCatalogIsSigned(t *testing.T) {
	s := newShop(t)
	s.add("1.0.0", code(1, 16))
	other := s.Publisher
	other.Keys = []ed25519.PrivateKey{key(2)}
	require.ErrorIs(t, other.Renew(t.Context()), firmware.ErrSignature)
	other = s.Publisher
	other.Product = "decoder"
	require.ErrorIs(t, other.Renew(t.Context()), firmware.ErrMismatch)
	other = s.Publisher
	other.Time = when.Add(-48 * time.Hour)
	require.ErrorIs(t, other.Renew(t.Context()), firmware.ErrInvalid)
	other.Dir = t.TempDir()
	require.ErrorIs(t, other.Renew(t.Context()), firmware.ErrNotFound)
}

func TestAConfigurationIsChecked(t *testing.T) {
	for _, change := range []func(*shop){
		func(s *shop) { s.Dir = "" }, func(s *shop) { s.Product = " " }, func(s *shop) { s.Keys = nil },
		func(s *shop) { s.Keys = []ed25519.PrivateKey{key(1), key(1)} }, func(s *shop) { s.Keys = []ed25519.PrivateKey{nil} },
		func(s *shop) { s.Expires = -1 }, func(s *shop) { s.Patches = 13 }, func(s *shop) { s.SegmentSize = 1 },
		func(s *shop) { s.SegmentSize = 32 << 20 },
	} {
		s := newShop(t)
		change(s)
		require.ErrorIs(t, s.Renew(t.Context()), firmware.ErrInvalid)
	}
}

func TestARenewedCatalogIsTheNext(t *testing.T) {
	s := newShop(t)
	s.add("1.0.0", code(1, 16))
	before := s.catalog()
	require.NoError(t, s.Renew(t.Context()))
	assert.Equal(t, before.Number+1, s.catalog().Number)
	s.Time = when.Add(time.Hour)
	require.NoError(t, s.Renew(t.Context()))
	assert.Equal(t, s.Time.Unix(), s.catalog().Number)
	assert.Equal(t, s.Time.Add(30*24*time.Hour), s.catalog().Expires)
	assert.Equal(t, before.Releases, s.catalog().Releases)
}

func TestWhatACatalogSaysOfAReleaseCanChange(t *testing.T) {
	s := newShop(t)
	s.add("1.0.0", code(1, 16), func(r *firmware.Release) { r.Cohort = 5; r.Meta = map[string]string{"root": "a"} })
	was := s.catalog().Releases[0]
	require.NoError(t, s.Change(t.Context(), "1.0.0", func(r *firmware.Release) {
		r.Cohort, r.Version, r.Size, r.Digest, r.Index = 50, "x", 1, [32]byte{}, firmware.Object{}
	}))
	was.Cohort = 50
	assert.Equal(t, was, s.catalog().Releases[0])
	require.ErrorIs(t, s.Change(t.Context(), "1.0.0", func(r *firmware.Release) { r.Cohort = 200 }), firmware.ErrInvalid)
	require.ErrorIs(t, s.Change(t.Context(), "1.0.0", func(r *firmware.Release) { r.Meta = map[string]string{"root-hash": "a"} }), firmware.ErrInvalid)
	require.ErrorIs(t, s.Change(t.Context(), "2.0.0", func(*firmware.Release) {}), firmware.ErrNotFound)
}

func TestWhatAKilledPublisherLeftIsSweptUp(t *testing.T) {
	s := newShop(t)
	s.add("1.0.0", code(1, 16))
	before := s.files()
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir, ".unfinished-1"), []byte("x"), 0o600))
	require.Error(t, s.Remove(t.Context(), "9"))
	assert.Equal(t, before, s.files())
	half := firmware.CatalogName + ".tmp"
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir, half), []byte("x"), 0o600))
	require.NoError(t, s.Renew(t.Context()))
	assert.NotContains(t, s.files(), half)
	assert.Len(t, s.files(), len(before))
}

func TestVerifyFindsAFlippedByteInEachKindOfObject(t *testing.T) {
	s := newShop(t)
	s.three()
	var list firmware.Chunks
	p := s.index("1.2.0").Segments[0].Parts[2]
	require.NoError(t, list.UnmarshalBinary(s.read(p.Object)[p.Offset:p.Offset+p.Size]))
	names := []string{
		s.catalog().Releases[0].Index.Name, list.Object, s.object("1.2.0", firmware.WayPatch),
		s.object("1.2.0", firmware.WayChunks), s.object("1.2.0", firmware.WayZstd),
	}
	for _, name := range names {
		raw := s.read(name)
		for _, damaged := range [][]byte{flipped(raw), raw[:len(raw)-1]} {
			require.NoError(t, os.WriteFile(filepath.Join(s.Dir, name), damaged, 0o600))
			require.ErrorIs(t, s.Verify(t.Context(), s.verifier), firmware.ErrCorrupt)
		}
		require.NoError(t, os.Remove(filepath.Join(s.Dir, name)))
		require.ErrorIs(t, s.Verify(t.Context(), s.verifier), firmware.ErrNotFound)
		require.NoError(t, os.WriteFile(filepath.Join(s.Dir, name), raw, 0o600))
	}
	require.NoError(t, s.Verify(t.Context(), s.verifier))
}

func flipped(raw []byte) []byte {
	raw = bytes.Clone(raw)
	raw[len(raw)/2] ^= 1
	return raw
}

func TestACatalogOf200ReleasesIsSmall(t *testing.T) {
	s := newShop(t)
	s.Keys = append(s.Keys, key(2))
	var c firmware.Catalog
	for i := range 200 {
		digest := sha256.Sum256([]byte{byte(i)})
		c.Releases = append(c.Releases, firmware.Release{
			Version: fmt.Sprintf("10.20.%d", 199-i), Time: when, Epoch: 3, Hardware: []string{"a"}, Size: 335544320, Digest: digest,
			Index: firmware.Object{Name: fmt.Sprintf("%x", digest), Size: 33000, Digest: digest},
		})
	}
	require.NoError(t, s.Sign(t.Context(), c))
	assert.LessOrEqual(t, len(s.read(firmware.CatalogName)), 64<<10)
	t.Log(len(s.read(firmware.CatalogName)), "bytes")
	s.verifier.Trusted, s.verifier.Threshold = public(s.Keys...), 2
	assert.Equal(t, c.Releases, s.catalog().Releases)
}
