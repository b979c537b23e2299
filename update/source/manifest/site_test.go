package manifest_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/source/manifest"
)

func publicKeys(numbers ...byte) (keys []ed25519.PublicKey) {
	for _, n := range numbers {
		keys = append(keys, key(n).Public().(ed25519.PublicKey))
	}
	return keys
}

func digest(content string) []byte {
	sum := sha256.Sum256([]byte(content))
	return sum[:]
}

// offer is a release with one artifact, for linux/amd64.
func offer(version, minimum string) manifest.Release {
	return manifest.Release{Version: version, Minimum: minimum, Artifacts: []manifest.Artifact{{
		OS: "linux", Arch: "amd64", URL: "dist/app-" + version, Size: int64(len(version)), SHA256: digest(version),
	}}}
}

// list is a manifest for an hour.
func list(serial int64, releases ...manifest.Release) manifest.Manifest {
	now := time.Now()
	return manifest.Manifest{
		Product: "demo/app", Channel: "stable", Serial: serial, Issued: now, Expires: now.Add(time.Hour), Releases: releases,
	}
}

func published(t *testing.T, m manifest.Manifest, keys ...byte) []byte {
	t.Helper()
	if len(keys) == 0 {
		keys = []byte{1}
	}
	var file manifest.File
	for _, n := range keys {
		require.NoError(t, file.Sign(m, key(n)))
	}
	text, err := file.Encode()
	require.NoError(t, err)
	return text
}

// shelf is a Store for the time of a test.
type shelf struct {
	mu   sync.Mutex
	kept []byte
	err  error
}

func (m *shelf) Update(_ context.Context, change func([]byte) ([]byte, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	kept, err := change(bytes.Clone(m.kept))
	if err == nil {
		m.kept = kept
	}
	return err
}

func etag(text []byte) string { return fmt.Sprintf(`"%x"`, digest(string(text))) }

// site serves a manifest, with an ETag, and counts.
type site struct {
	*httptest.Server
	mu         sync.Mutex
	text       []byte
	broken     http.HandlerFunc // answers instead, once
	sent, same int
}

func newSite(t *testing.T, text []byte) *site {
	s := &site{text: text}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		answer := s.broken
		s.broken = nil
		answer(w, r)
		return
	}
	w.Header().Set("ETag", etag(s.text))
	if r.Header.Get("If-None-Match") == etag(s.text) {
		s.same++
		w.WriteHeader(http.StatusNotModified)
		return
	}
	s.sent++
	_, _ = w.Write(s.text)
}

func (s *site) serve(text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = text
}

// once has the next request answered by f.
func (s *site) once(f http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = f
}

// newManifest is a source for the product of list.
func newSource(address string, state manifest.StateStore) *manifest.Source {
	return &manifest.Source{
		URL: address + "/app/manifest.json", Keys: publicKeys(1), State: state, OS: "linux", Arch: "amd64",
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}
