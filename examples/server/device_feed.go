package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
	"github.com/upkeep-go/upkeep/internal/durable"
)

// An image is a front, which says what it is, and a part of this program, which
// is as good as a system for the device does not look at it.
const (
	imageSize = 1 << 20 // of the first one
	frontSize = 256
	lineSize  = 64
	well      = 1 // the last byte of the front of an image that is healthy
)

// front is the beginning of an image.
func front(version string, health byte) []byte {
	text := make([]byte, frontSize)
	copy(text, "upkeep demo image\nversion="+version+"\n")
	text[frontSize-1] = health
	return text
}

// readFront reads what an image says of itself.
func readFront(image string) (version string, health byte, err error) {
	f, err := os.Open(image)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	text := make([]byte, frontSize)
	if _, err := io.ReadFull(f, text); err != nil {
		return "", 0, err
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) > 1 {
		version, _ = strings.CutPrefix(lines[1], "version=")
	}
	return version, text[frontSize-1], nil
}

// firstImage is the one that the factory delivers.
func firstImage(version string) ([]byte, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	f, err := os.Open(program)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, imageSize-frontSize))
	return append(front(version, well), body...), err
}

// variant is what another build may make of an image: there is more of it from
// a third on, and so some addresses are others.
func variant(image []byte, version string, health byte, seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, seed))
	inserted := make([]byte, 4<<10)
	for i := range inserted {
		inserted[i] = byte(random.Uint32())
	}
	third := len(image) / 3 / lineSize * lineSize
	made := slices.Concat(front(version, health), image[frontSize:third], inserted, image[third:])
	for line := frontSize; line+lineSize <= len(made); line += lineSize {
		if random.IntN(100) == 0 {
			address := made[line+4*random.IntN(lineSize/4):]
			binary.LittleEndian.PutUint32(address, binary.LittleEndian.Uint32(address)+uint32(len(inserted)))
		}
	}
	return made
}

// images are the releases of the firmware, the oldest first, each made of the
// one before. The last one is broken, and a pre-release.
var images = []firmware.Release{
	{Version: "1.0.0"}, {Version: "1.1.0"}, {Version: "1.2.0"}, {Version: "1.3.0-rc.1", Prerelease: true},
}

// shop is the publisher of the firmware: a folder of static files.
type shop struct {
	dir       string // of the state
	publisher feed.Publisher
	log       *slog.Logger
	names     map[string]string // what the objects are
	ready     chan struct{}     // closed once all is published
}

func openShop(state string, key ed25519.PrivateKey, log *slog.Logger) *shop {
	return &shop{
		dir: state, log: log, names: map[string]string{}, ready: make(chan struct{}),
		publisher: feed.Publisher{
			Dir: filepath.Join(state, "feed"), Product: product, Keys: []ed25519.PrivateKey{key}, SegmentSize: 128 << 10, Patches: 1, Expires: 365 * 24 * time.Hour,
		},
	}
}

// publish brings the feed to all releases, and signs its catalog again: it
// would expire one day.
func (s *shop) publish(ctx context.Context, image []byte) error {
	began, added := time.Now(), false
	for i, r := range images {
		if i > 0 {
			health := byte(well)
			if r.Prerelease {
				health = 0
			}
			image = variant(image, r.Version, health, uint64(i))
		}
		cost, err := s.publisher.Add(ctx, r, bytes.NewReader(image))
		if errors.Is(err, firmware.ErrExists) {
			continue
		}
		if err != nil {
			return err
		}
		added = true
		s.log.Info("feed: published", "version", r.Version, "patch", cost[firmware.WayPatch], "chunks", cost[firmware.WayChunks], "zstd", cost[firmware.WayZstd])
	}
	if !added {
		if err := s.publisher.Renew(ctx); err != nil {
			return err
		}
	}
	if err := s.bundle(ctx, "1.2.0"); err != nil {
		return err
	}
	if err := s.list(ctx); err != nil {
		return err
	}
	close(s.ready)
	s.log.Info("feed: ready", "after", time.Since(began).Round(time.Millisecond))
	return nil
}

// bundle makes the file that brings a release by hand.
func (s *shop) bundle(ctx context.Context, version string) error {
	path := filepath.Join(s.dir, "firmware-"+version+".bundle")
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = s.publisher.Bundle(ctx, version, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// list tells what the objects of the feed are, in the file feed.txt and for the
// log: their names are digests.
func (s *shop) list(ctx context.Context) error {
	var text bytes.Buffer
	note := func(name, what string) {
		if s.names[name] == "" {
			s.names[name] = what
			fmt.Fprintln(&text, name, what)
		}
	}
	signed, err := os.ReadFile(s.path(firmware.CatalogName))
	if err != nil {
		return err
	}
	c, _, err := s.verifier().Catalog(ctx, signed, nil)
	if err != nil {
		return err
	}
	versions := map[[32]byte]string{}
	for _, r := range c.Releases {
		versions[r.Digest] = r.Version
	}
	for _, r := range c.Releases {
		raw, err := os.ReadFile(s.path(r.Index.Name))
		if err != nil {
			return err
		}
		note(r.Index.Name, r.Version+" index")
		var index firmware.Index
		if err := index.UnmarshalBinary(raw); err != nil {
			return err
		}
		for _, segment := range index.Segments {
			for _, part := range segment.Parts {
				what := r.Version + " " + string(part.Way)
				if from := versions[part.From]; from != "" {
					what += " from " + from
				}
				note(part.Object, what)
			}
		}
	}
	return durable.Write(filepath.Join(s.dir, "feed.txt"), text.Bytes(), 0o600)
}

func (s *shop) path(name string) string { return filepath.Join(s.publisher.Dir, name) }

// verifier is what a device knows of the publisher.
func (s *shop) verifier() feed.Keys {
	return feed.Keys{Trusted: []ed25519.PublicKey{s.publisher.Keys[0].Public().(ed25519.PublicKey)}}
}

// serve serves the feed, as any web server would, and notes what is asked for.
// The catalog takes its time.
func (s *shop) serve(pause time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-s.ready:
		case <-r.Context().Done():
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/feed/")
		if name == firmware.CatalogName {
			wait(r.Context(), pause)
		}
		f, err := s.object(name)
		s.log.Info("feed: asked", "object", cmp.Or(s.names[name], "catalog"), "range", r.Header.Get("Range"), "there", err == nil)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, name, time.Time{}, f)
	})
}

// object opens an object of the feed, and nothing else.
func (s *shop) object(name string) (*os.File, error) {
	if name != firmware.CatalogName && s.names[name] == "" {
		return nil, fs.ErrNotExist
	}
	return os.Open(s.path(name))
}

// wait waits, but not for longer than ctx.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
