package feed_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
)

// key is the same every time.
func key(n byte) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte{n})
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(keys ...ed25519.PrivateKey) (all []ed25519.PublicKey) {
	for _, k := range keys {
		all = append(all, k.Public().(ed25519.PublicKey))
	}
	return all
}

// code is what a compiler might have made: lines of 64 bytes of which some have
// an address in them.
func code(seed byte, lines int) []byte {
	r := rand.New(rand.NewChaCha8([32]byte{seed}))
	var out []byte
	for range lines {
		line := make([]byte, 64)
		for i := range line {
			line[i] = byte(r.IntN(16))
		}
		binary.LittleEndian.PutUint32(line[8:], uint32(r.IntN(1<<20)))
		out = append(out, line...)
	}
	return out
}

// next is a later version: n bytes were inserted at a third, and the addresses
// in one of a hundred lines moved by as much.
func next(seed byte, image []byte, n int) []byte {
	r := rand.New(rand.NewChaCha8([32]byte{seed}))
	third := len(image) / 3
	out := bytes.Join([][]byte{image[:third], code(seed, n/64), image[third:]}, nil)
	for i := 0; i+64 <= len(out); i += 64 {
		if r.IntN(100) == 0 {
			binary.LittleEndian.PutUint32(out[i+8:], binary.LittleEndian.Uint32(out[i+8:])+uint32(n))
		}
	}
	return out
}

const segment = 64 << 10

// when is the time of everything that is published.
var when = time.Date(2026, 11, 30, 6, 0, 0, 0, time.UTC)

// shop is a feed in a folder.
type shop struct {
	*testing.T
	feed.Publisher
	verifier feed.Keys
	images   [][]byte
}

func newShop(t *testing.T) *shop {
	return &shop{T: t, verifier: feed.Keys{Trusted: public(key(1))}, Publisher: publisher(t.TempDir())}
}

// add publishes an image.
func (s *shop) add(version string, image []byte, change ...func(*firmware.Release)) map[firmware.Way]int64 {
	s.Helper()
	r := firmware.Release{Version: version}
	for _, f := range change {
		f(&r)
	}
	cost, err := s.Add(s.Context(), r, bytes.NewReader(image))
	require.NoError(s, err)
	s.images = append(s.images, image)
	return cost
}

// three publishes three versions, each of which is a patch release of the last.
// They are made once.
func (s *shop) three() {
	s.Helper()
	made := threeOnce()
	require.NoError(s, os.CopyFS(s.Dir, made.files))
	s.images = slices.Clone(made.images)
}

type madeThree struct {
	files  fstest.MapFS
	images [][]byte
}

var threeOnce = sync.OnceValue(func() madeThree { return makeThree(os.TempDir()) })

func makeThree(temp string) (made madeThree) {
	dir, err := os.MkdirTemp(temp, "feed-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	p := publisher(dir)
	image := code(1, 3<<10)
	for i, version := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		if i > 0 {
			image = next(byte(i+1), image, 4096*i)
		}
		if _, err := p.Add(context.Background(), firmware.Release{Version: version}, bytes.NewReader(image)); err != nil {
			panic(err)
		}
		made.images = append(made.images, image)
	}
	made.files = fstest.MapFS{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			panic(err)
		}
		made.files[e.Name()] = &fstest.MapFile{Data: data, Mode: 0o644}
	}
	return made
}

func publisher(dir string) feed.Publisher {
	return feed.Publisher{Dir: dir, Product: "encoder", Keys: []ed25519.PrivateKey{key(1)}, SegmentSize: segment, Time: when}
}

func (s *shop) read(name string) []byte {
	s.Helper()
	raw, err := os.ReadFile(filepath.Join(s.Dir, name))
	require.NoError(s, err)
	return raw
}

// rotate replaces the keys by these, all of which sign.
func (s *shop) rotate(threshold int, keys ...ed25519.PrivateKey) {
	s.Helper()
	require.NoError(s, s.Rotate(s.Context(), feed.Rotation{Keys: public(keys...), Threshold: threshold, Signers: keys}))
	s.Keys = keys
}

func (s *shop) catalog() firmware.Catalog {
	s.Helper()
	c, _, err := s.verifier.Catalog(s.Context(), s.read(firmware.CatalogName), nil)
	require.NoError(s, err)
	return c
}

func (s *shop) index(version string) (x firmware.Index) {
	s.Helper()
	for _, r := range s.catalog().Releases {
		if r.Version == version {
			require.NoError(s, x.UnmarshalBinary(s.read(r.Index.Name)))
			return x
		}
	}
	s.Fatalf("no version %q", version)
	return x
}

// files are those of the folder, and a digest of each.
func (s *shop) files() map[string]string {
	s.Helper()
	entries, err := os.ReadDir(s.Dir)
	require.NoError(s, err)
	all := map[string]string{}
	for _, e := range entries {
		all[e.Name()] = fmt.Sprintf("%x", sha256.Sum256(s.read(e.Name())))
	}
	return all
}

// object is where a version comes from by a way.
func (s *shop) object(version string, way firmware.Way) string {
	s.Helper()
	for _, part := range s.index(version).Segments[0].Parts {
		if part.Way == way {
			return part.Object
		}
	}
	s.Fatalf("version %q does not come by %s", version, way)
	return ""
}

// edit changes a file of JSON.
func (s *shop) edit(name string, change func(map[string]any)) []byte {
	s.Helper()
	var f map[string]any
	require.NoError(s, json.Unmarshal(s.read(name), &f))
	change(f)
	raw, err := json.Marshal(f)
	require.NoError(s, err)
	return raw
}

func get(ctx context.Context, f firmware.Feed, name string, off, n int64) ([]byte, error) {
	body, err := f.Get(ctx, name, off, n)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(body)
	return b.Bytes(), err
}

func writeObject(t *testing.T, dir feed.Dir, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(string(dir), name), []byte(content), 0o600))
}
