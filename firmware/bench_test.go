//go:build unix

package firmware_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/needstest"
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/storage/memory"
)

const benchmarkRounds = 5

// benchmarkSize is that of an image, in bytes: few, unless it is to be as in
// the table.
func benchmarkSize() int {
	if os.Getenv("UPKEEP_FULL") != "" {
		return 200 << 20
	}
	return 16 << 20
}

// cpu is the time that processors have spent on this process, or on those of
// its children that have ended.
func cpu(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// served is a feed in a folder that another process serves, and beside its
// objects the image as a file.
type served struct {
	dir, url string
	verifier firmware.Verifier
	digest   [32]byte // of the image
	object   string   // that a plain loop gets: the image as it is, or as zstd
	zstd     bool
}

// asItIs is a feed that has an image in segments of 1 MiB, neither packed nor
// signed.
func asItIs(b *testing.B, image []byte) served {
	b.Helper()
	s := served{dir: b.TempDir(), verifier: newShop(), digest: sha256.Sum256(image), object: "image"}
	x := firmware.Index{Size: int64(len(image)), SegmentSize: 1 << 20}
	for off := 0; off < len(image); off += 1 << 20 {
		raw := image[off:min(off+1<<20, len(image))]
		d := sha256.Sum256(raw)
		x.Segments = append(x.Segments, firmware.Segment{Digest: d, Parts: []firmware.Part{
			{Way: firmware.WayRaw, Object: "image", Offset: int64(off), Size: int64(len(raw)), Digest: d},
		}})
	}
	index, err := x.MarshalBinary()
	require.NoError(b, err)
	object := objectOf(index)
	catalog, err := json.Marshal(firmware.Catalog{Product: "encoder", Number: 1, Releases: []firmware.Release{
		{Version: "1.1.0", Size: int64(len(image)), Digest: s.digest, Index: object},
	}})
	require.NoError(b, err)
	for name, data := range map[string][]byte{"image": image, object.Name: index, firmware.CatalogName: catalog} {
		require.NoError(b, os.WriteFile(filepath.Join(s.dir, name), data, 0o600))
	}
	s.url = serveFolder(b, s.dir)
	return s
}

// published is a feed of images, each a patch release of the one before, as a
// Publisher makes it.
func published(b *testing.B, images ...[]byte) served {
	b.Helper()
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	last := images[len(images)-1]
	s := served{dir: b.TempDir(), digest: sha256.Sum256(last)}
	s.verifier = feed.Keys{Trusted: []ed25519.PublicKey{private.Public().(ed25519.PublicKey)}}
	p := feed.Publisher{Dir: s.dir, Product: "encoder", Keys: []ed25519.PrivateKey{private}}
	for i, image := range images {
		_, err := p.Add(b.Context(), firmware.Release{Version: fmt.Sprintf("1.%d.0", i)}, bytes.NewReader(image))
		require.NoError(b, err)
	}
	catalog, err := os.ReadFile(filepath.Join(s.dir, firmware.CatalogName))
	require.NoError(b, err)
	c, _, err := s.verifier.Catalog(b.Context(), catalog, nil)
	require.NoError(b, err)
	index, err := os.ReadFile(filepath.Join(s.dir, c.Releases[0].Index.Name))
	require.NoError(b, err)
	var x firmware.Index
	require.NoError(b, x.UnmarshalBinary(index))
	parts := x.Segments[0].Parts
	alone := parts[len(parts)-1]
	s.object, s.zstd = alone.Object, alone.Way == firmware.WayZstd
	require.NoError(b, os.WriteFile(filepath.Join(s.dir, "image"), last, 0o600)) // for curl
	s.url = serveFolder(b, s.dir)
	return s
}

// meter are slots that note the processor time at which they are opened and
// activated.
type meter struct {
	firmware.Slots
	opened    []time.Duration
	activated time.Duration
}

func (m *meter) Open(ctx context.Context, r firmware.Release) (firmware.File, error) {
	m.opened = append(m.opened, cpu(syscall.RUSAGE_SELF))
	return m.Slots.Open(ctx, r)
}

func (m *meter) Activate(ctx context.Context, r firmware.Release, run string) error {
	m.activated = cpu(syscall.RUSAGE_SELF)
	return m.Slots.Activate(ctx, r, run)
}

// filed are slots in files of a folder, of which a runs.
func filed(b testing.TB, dir string) *slot.Slots {
	b.Helper()
	s, err := slot.Open(slot.Config{
		A: filepath.Join(dir, "a"), B: filepath.Join(dir, "b"), Boot: slot.File{Path: filepath.Join(dir, "boot")},
		Running: func() (string, error) { return slot.SlotA, nil },
	})
	require.NoError(b, err)
	return s
}

// update brings a device to the image, until it would restart, and returns the
// processor time of the check and the pull, and of the reading back.
func (s served) update(b *testing.B, dir string, change ...func(*firmware.Config)) (pull, verify time.Duration) {
	b.Helper()
	m := &meter{Slots: filed(b, dir)}
	c := firmware.Config{
		Product: "encoder", Device: "4711", Store: memory.New(), Slots: m, Feed: &feed.HTTP{URL: s.url}, Verifier: s.verifier,
		Reboot: func(context.Context) error { return nil }, Logger: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&c)
	}
	fw, err := firmware.New(c)
	require.NoError(b, err)
	defer fw.Close()
	began := cpu(syscall.RUSAGE_SELF)
	_, err = fw.Update(b.Context(), firmware.Request{})
	require.ErrorIs(b, err, firmware.ErrRestarting)
	require.Len(b, m.opened, 2)
	return m.opened[1] - began, m.activated - m.opened[1]
}

// plainPull is what one would write by hand: it checks and makes durable what
// it gets, all at once, and unpacks it if need be.
func (s served) plainPull(b *testing.B, dir string) {
	b.Helper()
	resp, err := http.Get(s.url + "/" + s.object)
	require.NoError(b, err)
	defer resp.Body.Close()
	from := io.Reader(resp.Body)
	if s.zstd {
		d, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1))
		require.NoError(b, err)
		defer d.Close()
		from = d
	}
	f, err := os.Create(filepath.Join(dir, "b"))
	require.NoError(b, err)
	sum, buffer := sha256.New(), make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(from, buffer)
		sum.Write(buffer[:n])
		_, e := f.Write(buffer[:n])
		require.NoError(b, e)
		if err != nil {
			require.True(b, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF), err)
			break
		}
	}
	require.NoError(b, f.Sync())
	require.NoError(b, f.Close())
	require.Equal(b, s.digest[:], sum.Sum(nil))
}

// warm runs f with a new folder, and with the memory that the same work has
// given back: pages that the system has to find first cost more than the rest.
func (s served) warm(b *testing.B, f func(dir string)) {
	b.Helper()
	before, err := os.MkdirTemp(b.TempDir(), "")
	require.NoError(b, err)
	s.plainPull(b, before)
	require.NoError(b, os.RemoveAll(before))
	dir, err := os.MkdirTemp(b.TempDir(), "")
	require.NoError(b, err)
	f(dir)
	require.NoError(b, os.RemoveAll(dir))
}

// spent is the processor time of f.
func spent(who int, f func()) time.Duration {
	before := cpu(who)
	f()
	return cpu(who) - before
}

// BenchmarkPull measures the processor time of a pull of an image from
// loopback, checked by segment, written to a slot on disk and durable, against a
// plain loop of 1 MiB reads that unpacks, hashes, writes and syncs, and against
// curl | tee | sha256sum, which syncs nothing, in interleaved rounds. The server
// is a process of its own. The image is fetched as it is, as a Publisher has one
// that zstd could not pack, which is as it is too, and as zstd of half its size.
func BenchmarkPull(b *testing.B) {
	size := benchmarkSize()
	for _, kind := range []struct {
		name string
		feed func(b *testing.B) served
	}{
		{"raw", func(b *testing.B) served { return asItIs(b, noise(1, size)) }},
		{"zstd of noise", func(b *testing.B) served { return published(b, noise(1, size)) }},
		{"zstd", func(b *testing.B) served { return published(b, lines(1, size/64)) }},
	} {
		b.Run(kind.name, func(b *testing.B) { benchmarkPull(b, kind.feed(b)) })
	}
}

func benchmarkPull(b *testing.B, s served) {
	runtime.GC() // the image is on disk
	_, noCurl := exec.LookPath("curl")
	needstest.Tool(b, "curl", noCurl == nil || os.Getenv("UPKEEP_NEEDS") != "all") // the rest does without
	for b.Loop() {
		var ours, loop, pipe []time.Duration
		for range benchmarkRounds {
			s.warm(b, func(dir string) {
				loop = append(loop, spent(syscall.RUSAGE_SELF, func() { s.plainPull(b, dir) }))
			})
			s.warm(b, func(dir string) {
				pull, _ := s.update(b, dir)
				ours = append(ours, pull)
			})
			if noCurl == nil {
				s.warm(b, func(dir string) {
					pipe = append(pipe, spent(syscall.RUSAGE_CHILDREN, func() {
						out, err := exec.Command("sh", "-c", `curl -s "$1" | tee "$2/pipe" | sha256sum`, "sh", s.url+"/image", dir).Output()
						require.NoError(b, err)
						require.Equal(b, fmt.Sprintf("%x  -\n", s.digest), string(out))
					}))
				})
			}
		}
		b.ReportMetric(ratio(ours, loop), "cpu-x-loop")
		b.ReportMetric(float64(suitetest.Median(ours).Microseconds())/1000, "cpu-ms/op")
		if noCurl == nil {
			b.ReportMetric(ratio(ours, pipe), "x-curl")
		} else {
			b.Log("there is no curl to compare with")
		}
	}
}

func ratio(ours, theirs []time.Duration) float64 {
	return float64(suitetest.Median(ours)) / float64(suitetest.Median(theirs))
}

// BenchmarkVerify measures the processor time of reading an image back from the
// medium against hashing the same file once.
func BenchmarkVerify(b *testing.B) {
	s := asItIs(b, noise(1, benchmarkSize()))
	for b.Loop() {
		var ours, loop []time.Duration
		for range benchmarkRounds {
			s.warm(b, func(dir string) {
				_, verify := s.update(b, dir)
				ours = append(ours, verify)
				loop = append(loop, spent(syscall.RUSAGE_SELF, func() { s.hash(b, filepath.Join(dir, "b")) }))
			})
		}
		b.ReportMetric(ratio(ours, loop), "cpu-x-hash")
		b.ReportMetric(float64(suitetest.Median(ours).Microseconds())/1000, "cpu-ms/op")
	}
}

// hash reads a file from the medium.
func (s served) hash(b *testing.B, path string) {
	b.Helper()
	f, err := os.Open(path)
	require.NoError(b, err)
	defer f.Close()
	durable.Forget(f)
	sum := sha256.New()
	_, err = io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{f}, make([]byte, 1<<20))
	require.NoError(b, err)
	require.Equal(b, s.digest[:], sum.Sum(nil))
}
