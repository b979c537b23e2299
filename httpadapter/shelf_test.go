package httpadapter_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/slot"
)

// shelf is a feed in memory, and the verifier of what it has: nothing is signed,
// and nothing is packed.
type shelf struct {
	mu      sync.Mutex
	catalog firmware.Catalog
	objects map[string][]byte
	// get is called before an object is handed out. Default: nothing.
	get func(ctx context.Context, name string) error
	// body makes something else of what is handed out. Default: nothing.
	body func(name string, body io.Reader) io.Reader
}

func newShelf() *shelf {
	return &shelf{objects: map[string][]byte{}, catalog: firmware.Catalog{Product: "encoder", Number: 1}}
}

var (
	_ firmware.Feed     = (*shelf)(nil)
	_ firmware.Verifier = (*shelf)(nil)
)

func (s *shelf) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if s.get != nil {
		if err := s.get(ctx, name); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	data, known := s.objects[name]
	if name == firmware.CatalogName {
		data, known = []byte(encodedText(s.catalog)), true
	}
	s.mu.Unlock()
	if !known {
		return nil, fs.ErrNotExist
	}
	if n < 0 {
		n = int64(len(data)) - off
	}
	var body io.Reader = bytes.NewReader(data[off : off+n])
	if s.body != nil {
		body = s.body(name, body)
	}
	return io.NopCloser(body), nil
}

func (s *shelf) Catalog(_ context.Context, raw, _ []byte) (c firmware.Catalog, trust []byte, err error) {
	return c, nil, json.Unmarshal(raw, &c)
}

func (s *shelf) Bundle(_ context.Context, raw, _ []byte) (b firmware.Bundle, err error) {
	if err := json.Unmarshal(raw, &b); err != nil {
		return b, fmt.Errorf("%w: %w", firmware.ErrSignature, err)
	}
	return b, nil
}

func (s *shelf) Unpacker() firmware.Unpacker { return s }

func (s *shelf) Unpack(_ firmware.Way, sent, _, raw []byte) error {
	copy(raw, sent)
	return nil
}

const segmentSize = 4 << 10

// add publishes an image as the newest release.
func (s *shelf) add(t testing.TB, r firmware.Release, image []byte) firmware.Release {
	name := fmt.Sprintf("raw-%x", sha256.Sum256(image))
	r.Size, r.Digest = int64(len(image)), sha256.Sum256(image)
	x := firmware.Index{Size: r.Size, SegmentSize: segmentSize}
	for off := 0; off < len(image); off += segmentSize {
		raw := image[off:min(off+segmentSize, len(image))]
		d := sha256.Sum256(raw)
		part := firmware.Part{Way: firmware.WayRaw, Object: name, Offset: int64(off), Size: int64(len(raw)), Digest: d}
		packed := part
		packed.Way = firmware.WayZstd // as a bundle has it
		x.Segments = append(x.Segments, firmware.Segment{Digest: d, Parts: []firmware.Part{part, packed}})
	}
	s.put(name, image)
	return s.publish(t, r, x)
}

// publish puts a release with this index into the catalog.
func (s *shelf) publish(t testing.TB, r firmware.Release, x firmware.Index) firmware.Release {
	index, err := x.MarshalBinary()
	require.NoError(t, err)
	d := sha256.Sum256(index)
	r.Index = firmware.Object{Name: fmt.Sprintf("%x", d), Size: int64(len(index)), Digest: d}
	s.put(r.Index.Name, index)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catalog.Number++
	s.catalog.Releases = append([]firmware.Release{r}, s.catalog.Releases...)
	return r
}

func (s *shelf) put(name string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[name] = data
}

// bundle is the file that brings a release by hand.
func (s *shelf) bundle(r firmware.Release) []byte {
	head := []byte(encodedText(firmware.Bundle{Product: s.catalog.Product, Release: r}))
	b := binary.BigEndian.AppendUint32([]byte(firmware.BundleMagic), uint32(len(head)))
	b = append(append(b, head...), s.objects[r.Index.Name]...)
	return append(b, s.objects[fmt.Sprintf("raw-%x", r.Digest)]...)
}

// images are those that imageOf has made: every site begins with the same one.
var images sync.Map

// imageOf is an image of so many segments that no other seed has. Nobody may
// change it.
func imageOf(seed byte, segments int) []byte {
	which := [2]int{int(seed), segments}
	if known, ok := images.Load(which); ok {
		return known.([]byte)
	}
	image := make([]byte, 0, segments*segmentSize)
	for i := range segments * segmentSize / sha256.Size {
		d := sha256.Sum256(fmt.Append(nil, seed, i))
		image = append(image, d[:]...)
	}
	images.Store(which, slices.Clip(image))
	return image
}

// seams are slots that do what a test wants before they are used.
type seams struct {
	firmware.Slots
	pair, activate func() error
	read           func() // before what has been written is read back
	wrote          bool
}

func (s *seams) Pair(ctx context.Context) (firmware.Pair, error) {
	if s.pair != nil {
		if err := s.pair(); err != nil {
			return firmware.Pair{}, err
		}
	}
	return s.Slots.Pair(ctx)
}

func (s *seams) Activate(ctx context.Context, r firmware.Release, run string) error {
	if s.activate != nil {
		if err := s.activate(); err != nil {
			return err
		}
	}
	return s.Slots.Activate(ctx, r, run)
}

func (s *seams) Open(ctx context.Context, r firmware.Release) (firmware.File, error) {
	f, err := s.Slots.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	return &seamedFile{File: f, seams: s}, nil
}

type seamedFile struct {
	firmware.File
	seams   *seams
	written bool
}

func (f *seamedFile) WriteAt(p []byte, off int64) (int, error) {
	f.written, f.seams.wrote = true, true
	return f.File.WriteAt(p, off)
}

func (f *seamedFile) ReadAt(p []byte, off int64) (int, error) {
	if f.seams.read != nil && f.seams.wrote && !f.written {
		f.seams.read()
	}
	return f.File.ReadAt(p, off)
}

// gadget is a device whose firmware is served.
type gadget struct {
	shelf  *shelf
	sim    *slot.Simulator
	seams  *seams
	config firmware.Config
}

// newGadget is one that runs this version, of a factory that wrote no record.
func newGadget(db firmware.Store, version string) *gadget {
	g := &gadget{shelf: newShelf(), sim: slot.NewSimulator("", nil)}
	g.seams = &seams{Slots: g.sim}
	g.config = firmware.Config{
		Product: "encoder", Device: "4711", Store: db, Feed: g.shelf, Verifier: g.shelf, Slots: g.seams,
		Reboot:  func(context.Context) error { return nil },
		Version: func(context.Context) (string, error) { return version, nil }, OSName: "Debian GNU/Linux 11 (bullseye)",
		Prereleases: true, Logger: quiet,
	}
	return g
}

// start returns a Service of the gadget, which is closed with the test.
func (g *gadget) start(t testing.TB) *firmware.Service {
	s, err := firmware.New(g.config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// formMedia and formOf are a file as a browser's form sends it.
const formMedia = "multipart/form-data; boundary=x"

func formOf(file []byte) string {
	return "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"bundle\"\r\n" +
		"Content-Type: application/octet-stream\r\n\r\n" + string(file) + "\r\n--x--\r\n"
}

// cookies are what a browser sends to the documented status.
func cookies(token string) func(*http.Request) {
	uid := map[string]string{admin: "ann", reader: "rob"}[token]
	return header("Cookie", "mwcloud-sid="+token+"; mwcloud-uid="+cmp.Or(uid, "nobody"))
}
