package firmware_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/cdc"
)

// flipping is a shop whose patches flip the same bits of every byte.
type flipping struct{ *shop }

func (f flipping) Unpacker() firmware.Unpacker { return f }

func (f flipping) Unpack(way firmware.Way, sent, window, raw []byte) error {
	if way != firmware.WayPatch {
		return f.shop.Unpack(way, sent, window, raw)
	}
	for i := range raw {
		raw[i] = window[i] ^ sent[0]
	}
	return nil
}

// release publishes what a change of index has made of it.
func (s *shop) release(t *testing.T, version string, image []byte, change func(i int, at *firmware.Segment)) {
	r := s.add(version, image)
	s.mu.Lock()
	defer s.mu.Unlock()
	var x firmware.Index
	require.NoError(t, x.UnmarshalBinary(s.objects[r.Index.Name]))
	for i := range x.Segments {
		change(i, &x.Segments[i])
	}
	raw, err := x.MarshalBinary()
	require.NoError(t, err)
	d := sha256.Sum256(raw)
	s.objects[fmt.Sprintf("%x", d)] = raw
	s.catalog.Releases[0].Index = firmware.Object{Name: fmt.Sprintf("%x", d), Size: int64(len(raw)), Digest: d}
}

// patched has a patch from each of three images for every segment, and one of
// them runs.
func patched(t *testing.T) *device {
	d := newDevice(t)
	d.config.Verifier = flipping{d.shop}
	old := noise(1, 3*segment+5)
	image := bytes.Clone(old)
	for i := range image {
		image[i] ^= 3
	}
	for n := range byte(3) { // by its number the patch flips 2, 3 and 4
		d.shop.objects[fmt.Sprint("patch-", n)] = bytes.Repeat([]byte{n + 2}, 4)
	}
	d.shop.release(t, "1.3.0", image, func(i int, s *firmware.Segment) {
		var patches []firmware.Part
		for n := range byte(3) {
			from := sha256.Sum256([]byte{n})
			if n == 1 {
				from = sha256.Sum256(old)
			}
			patches = append(patches, firmware.Part{
				Way: firmware.WayPatch, Object: fmt.Sprint("patch-", n), Offset: int64(i), Size: 1,
				Digest: sha256.Sum256([]byte{n + 2}), From: from,
				Base: int64(i) * segment, BaseSize: min(segment, int64(len(old)-i*segment)),
			})
		}
		s.Parts = append(patches, s.Parts...)
	})
	return d
}

func update(t *testing.T, d *device) firmware.Run {
	fw := d.start()
	run, err := fw.Update(t.Context(), firmware.Request{By: ann})
	require.ErrorIs(t, err, firmware.ErrRestarting)
	require.NoError(t, fw.Close())
	return run
}

func TestPatchesFromOtherImagesAreNotPulled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := patched(t)
		fw := d.start()
		_, err := fw.Check(t.Context())
		require.NoError(t, err)
		plan, err := fw.Plan(t.Context(), firmware.Request{})
		require.NoError(t, err)
		assert.Equal(t, map[firmware.Way]int64{firmware.WayPatch: 4}, plan.Pull)
		require.NoError(t, fw.Close())
		run := update(t, d)
		assert.Equal(t, map[firmware.Way]int64{firmware.WayPatch: 4}, run.Pulled)
		assert.Zero(t, d.shop.count("patch-0"))
		assert.Equal(t, 1, d.shop.count("patch-1"))
		assert.Zero(t, d.shop.count("patch-2"))
	})
}

// unknown is a device whose factory wrote no record.
type unknown struct{ firmware.Slots }

func (u unknown) Pair(ctx context.Context) (firmware.Pair, error) {
	p, err := u.Slots.Pair(ctx)
	p.Running.Digest = [32]byte{}
	return p, err
}

func TestAFactoryImageFindsItsPatchesByTryingThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := patched(t)
		d.config.Slots = unknown{d.sim}
		run := update(t, d)
		assert.Equal(t, map[firmware.Way]int64{firmware.WayPatch: 1 + 4}, run.Pulled)
		assert.Equal(t, 1, d.shop.count("patch-0"), "once that of the running image is found, no other is tried")
		assert.Zero(t, d.shop.count("patch-2"))
	})
}

func TestAFactoryImageThatNoPatchStartsFromTriesEachTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := patched(t)
		d.config.Slots = unknown{d.sim}
		d.shop.objects["patch-1"] = bytes.Repeat([]byte{9}, 4)
		run := update(t, d)
		assert.Equal(t, int64(3*segment+5), run.Pulled[firmware.WayRaw])
		assert.Equal(t, int64(6), run.Pulled[firmware.WayPatch])
	})
}

// chunked offers the image by chunks too, all of which are to be pulled.
func chunked(t *testing.T) *device {
	d := newDevice(t)
	image := noise(2, 3*segment+5)
	d.shop.release(t, "1.3.0", image, func(i int, s *firmware.Segment) {
		raw := image[i*segment : min((i+1)*segment, len(image))]
		list := firmware.Chunks{Object: "chunks"}
		for rest := raw; len(rest) > 0; {
			n := cdc.Cut(rest)
			digest := sha256.Sum256(rest[:n])
			at := len(d.shop.objects["chunks"])
			sent := append(bytes.Clone(rest[:n]), 0) // packing costs something
			list.List = append(list.List, firmware.Chunk{
				Digest: digest, Size: int64(n), Offset: int64(at), Sent: int64(len(sent)), SentDigest: sha256.Sum256(sent),
			})
			d.shop.objects["chunks"] = append(d.shop.objects["chunks"], sent...)
			rest = rest[n:]
		}
		text, err := list.MarshalBinary()
		require.NoError(t, err)
		at := len(d.shop.objects["lists"])
		d.shop.objects["lists"] = append(d.shop.objects["lists"], text...)
		s.Parts = append([]firmware.Part{{
			Way: firmware.WayChunks, Object: "lists", Offset: int64(at), Size: int64(len(text)), Digest: sha256.Sum256(text),
		}}, s.Parts...)
	})
	return d
}

func TestChunksThatCostMoreThanTheRestAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := chunked(t)
		run := update(t, d)
		assert.Zero(t, d.shop.count("chunks"))
		assert.Equal(t, int64(3*segment+5), run.Pulled[firmware.WayRaw])
		assert.Equal(t, 1, d.shop.count("lists"), "the lists of segments that follow one another come together")
		assert.Equal(t, 1, d.shop.count(fmt.Sprintf("raw-%x", d.shop.catalog.Releases[0].Digest)), "and so do the segments")
	})
}

// baseless are slots of which the running one cannot be read.
type baseless struct{ firmware.Slots }

func (baseless) Base(context.Context) (firmware.Image, error) { return nil, fs.ErrPermission }

func TestADeviceWithNothingToStartFromGetsTheWholeByOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, d := range []*device{chunked(t), patched(t)} {
			d.config.Slots = baseless{d.sim}
			run := update(t, d)
			assert.Equal(t, map[firmware.Way]int64{firmware.WayRaw: 3*segment + 5}, run.Pulled)
			assert.Equal(t, 1, d.shop.count(fmt.Sprintf("raw-%x", d.shop.catalog.Releases[0].Digest)))
		}
	})
}

func TestChunksThatCostMoreArePulledWhenTheRestIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := chunked(t)
		raw := fmt.Sprintf("raw-%x", d.shop.catalog.Releases[0].Digest)
		d.shop.fail = func(name string, _ int64) error {
			if name == raw {
				return fs.ErrNotExist
			}
			return nil
		}
		run := update(t, d)
		assert.Equal(t, 1, d.shop.count(raw))
		chunks, lists := len(d.shop.objects["chunks"]), len(d.shop.objects["lists"])
		assert.InDelta(t, chunks+lists, run.Pulled[firmware.WayChunks], float64(lists), "the first list came twice")
	})
}

func TestOneSegmentThatComesByChunksOnlyMakesNoOtherDear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := chunked(t)
		d.shop.objects["misfit"] = noise(9, segment)
		raw := d.shop.rawOf(d.shop.catalog.Releases[0])
		var index firmware.Index
		r := &d.shop.catalog.Releases[0]
		require.NoError(t, index.UnmarshalBinary(d.shop.objects[r.Index.Name]))
		first := &index.Segments[0]
		first.Parts = append([]firmware.Part{{
			Way: firmware.WayZstd, Object: "misfit", Size: segment, Digest: sha256.Sum256(d.shop.objects["misfit"]),
		}}, first.Parts...)
		text, err := index.MarshalBinary()
		require.NoError(t, err)
		r.Index = objectOf(text)
		d.shop.objects[r.Index.Name] = text
		d.shop.body = func(name string, off int64, body io.ReadCloser) io.ReadCloser {
			if name == raw && off == 0 {
				return flips{body}
			}
			return body
		}
		run := update(t, d)
		assert.EqualValues(t, segment, run.Pulled[firmware.WayZstd], "what does not fit is pulled once")
		assert.Less(t, run.Pulled[firmware.WayChunks], int64(2*segment), "the other segments come as they cost less")
	})
}

func TestAnIndexComesBackAsItWas(t *testing.T) {
	d := patched(t)
	for name, object := range d.shop.objects {
		if !bytes.HasPrefix(object, []byte("upkfwi1\n")) {
			continue
		}
		var x, y firmware.Index
		require.NoError(t, x.UnmarshalBinary(object), name)
		text, err := x.MarshalBinary()
		require.NoError(t, err)
		assert.Equal(t, object, text)
		require.NoError(t, y.UnmarshalBinary(text))
		assert.Equal(t, x, y)
		for n := range text {
			assert.ErrorIs(t, y.UnmarshalBinary(text[:n]), firmware.ErrCorrupt)
		}
	}
	x := firmware.Index{Size: 1, SegmentSize: 1, Segments: []firmware.Segment{{Parts: []firmware.Part{
		{Way: firmware.WayZstd, Object: "x", Size: 1, From: [32]byte{1}},
	}}}}
	assert.ErrorIs(t, x.Check(), firmware.ErrInvalid)
}

// late answers a while after it has looked for a run.
type late struct{ firmware.DeviceStore }

func (l late) Get(ctx context.Context, id string) (firmware.Run, error) {
	run, err := l.DeviceStore.Get(ctx, id)
	time.Sleep(time.Second)
	return run, err
}

// lateStore is a Store of such.
type lateStore struct{ firmware.Store }

func (s lateStore) Firmware(device string) firmware.DeviceStore {
	return late{s.Store.Firmware(device)}
}

func TestARunThatRestartsIsReturnedWithAllThatLedThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := chunked(t)
		d.config.Store = lateStore{d.config.Store}
		d.config.Slots = baseless{d.sim}
		assert.Equal(t, map[firmware.Way]int64{firmware.WayRaw: 3*segment + 5}, update(t, d).Pulled)
	})
}
