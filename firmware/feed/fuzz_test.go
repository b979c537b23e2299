package feed_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
)

// known reports whether an error is one that a caller can tell.
func known(err error) bool {
	return errors.Is(err, firmware.ErrCorrupt) || errors.Is(err, firmware.ErrSignature) || errors.Is(err, firmware.ErrReplayed)
}

func FuzzCatalog(f *testing.F) {
	made := threeOnce()
	catalog := made.files[firmware.CatalogName].Data
	keys := feed.Keys{Trusted: public(key(1))}
	_, trust, err := keys.Catalog(context.Background(), catalog, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(catalog, []byte(nil))
	f.Add(catalog, trust)
	f.Add([]byte(`{"signed":{"payloadType":"x","payload":"","signatures":[]}}`), []byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, raw, trust []byte) {
		_, next, err := keys.Catalog(context.Background(), raw, trust)
		if err != nil && !known(err) {
			t.Fatal(err)
		}
		if err == nil {
			if _, _, err := keys.Catalog(context.Background(), raw, next); err != nil {
				t.Fatal("it is not accepted twice:", err)
			}
		}
	})
}

// FuzzSignedCatalog is about what is in a catalog that is signed.
func FuzzSignedCatalog(f *testing.F) {
	f.Add([]byte(`{"product":"encoder","number":1,"issued":"2026-11-30T06:00:00Z","expires":"2026-12-30T06:00:00Z","releases":[` +
		`{"version":"1","time":"2026-11-30T06:00:00Z","image":{"size":1,"sha256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},` +
		`"index":{"size":1,"sha256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}]}`))
	keys := feed.Keys{Trusted: public(key(1))}
	f.Fuzz(func(t *testing.T, payload []byte) {
		raw, err := feed.Seal(payload, []ed25519.PrivateKey{key(1)})
		if err != nil {
			t.Skip()
		}
		c, _, err := keys.Catalog(context.Background(), raw, nil)
		if err != nil && !known(err) {
			t.Fatal(err)
		}
		for _, r := range c.Releases {
			if r.Size <= 0 || r.Version == "" || r.Index.Size <= 0 || r.Index.Size > firmware.MaxIndex {
				t.Fatal(r)
			}
		}
	})
}

func FuzzBundle(f *testing.F) {
	p := publisher(f.TempDir())
	if _, err := p.Add(context.Background(), firmware.Release{Version: "1.0.0"}, bytes.NewReader(code(1, 16))); err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if err := p.Bundle(context.Background(), "1.0.0", &b); err != nil {
		f.Fatal(err)
	}
	f.Add(headOf(b.Bytes()))
	keys := feed.Keys{Trusted: public(key(1))}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := keys.Bundle(context.Background(), raw, nil); err != nil && !known(err) {
			t.Fatal(err)
		}
	})
}

func FuzzIndex(f *testing.F) {
	made := threeOnce()
	for _, file := range made.files {
		if bytes.HasPrefix(file.Data, []byte("upkfwi1\n")) {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var x, again firmware.Index
		if err := x.UnmarshalBinary(raw); err != nil {
			if !errors.Is(err, firmware.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		text, err := x.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if err := again.UnmarshalBinary(text); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzChunks(f *testing.F) {
	text, err := firmware.Chunks{Object: "abc", List: []firmware.Chunk{{Size: 1, Sent: 1}}}.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var list firmware.Chunks
		if err := list.UnmarshalBinary(raw); err != nil {
			if !errors.Is(err, firmware.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if _, err := list.MarshalBinary(); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzUnpack(f *testing.F) {
	raw, window := code(1, 64), next(2, code(1, 64), 64)
	for _, w := range [][]byte{nil, window} {
		sent, err := packs.Pack(raw, w)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(sent, w, int64(len(raw)))
	}
	f.Fuzz(func(t *testing.T, sent, window []byte, size int64) {
		for _, way := range []firmware.Way{firmware.WayZstd, firmware.WayPatch} {
			err := feed.Keys{}.Unpacker().Unpack(way, sent, window, make([]byte, min(max(size, 0), 1<<20)))
			if err != nil && !errors.Is(err, firmware.ErrCorrupt) {
				t.Fatal(err)
			}
		}
	})
}
