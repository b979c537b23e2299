package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware/feed"
)

// shop is the folder of somebody who publishes.
type shop struct {
	*testing.T
	now time.Time
}

func newShop(t *testing.T) *shop {
	t.Chdir(t.TempDir())
	return &shop{T: t, now: time.Now()}
}

func (s *shop) run(args ...string) (code int, out, diagnostics string) {
	var stdout, stderr bytes.Buffer
	code = newTool(context.WithoutCancel(s.Context()), strings.NewReader(""), &stdout, &stderr, s.now).run(args)
	return code, stdout.String(), stderr.String()
}

func (s *shop) ok(args ...string) (out, diagnostics string) {
	s.Helper()
	code, out, diagnostics := s.run(args...)
	require.Zero(s, code, "%s: %s", args, diagnostics)
	return out, diagnostics
}

func (s *shop) fails(code int, says string, args ...string) {
	s.Helper()
	got, _, diagnostics := s.run(args...)
	require.Equal(s, code, got, "%s", args)
	require.Contains(s, diagnostics, says)
}

func (s *shop) image(name string, lines int) string {
	text := strings.Repeat("what an image may have\n", lines)
	require.NoError(s, os.WriteFile(name, []byte(text), 0o600))
	return name
}

func TestTheLifeOfAFeed(t *testing.T) {
	s := newShop(t)
	out, _ := s.ok("keys")
	assert.Contains(t, out, "upkeep.pub")
	s.fails(1, "exists", "keys")
	s.fails(1, "-product is needed", "add", "-version", "1.0.0", s.image("a", 100))
	out, _ = s.ok("add", "-product", "encoder", "-version", "1.0.0", "a")
	assert.Contains(t, out, "by zstd")
	assert.NotContains(t, out, "by patch")
	out, _ = s.ok("add", "-version", "1.1.0", "-segment", "65536", "-cohort", "10", "-hardware", "a", "-meta", "root=b", "-epoch", "2", s.image("b", 50_000))
	assert.Contains(t, out, "by patch")
	s.fails(1, "remove it first", "add", "-version", "1.1.0", "b")
	out, _ = s.ok("verify")
	for _, want := range []string{"product: encoder", "version: 1.1.0, 1150000 bytes, epoch 2, for 10 %", "version: 1.0.0"} {
		assert.Contains(t, out, want)
	}
	for _, command := range []string{"cohort", "remove", "bundle"} {
		s.fails(2, "-version is missing", command)
	}
	for _, percent := range [][]string{nil, {"-percent", "0"}, {"-percent", "-1"}, {"-percent", "101"}} { // none is for all
		s.fails(2, "-percent is", append([]string{"cohort", "-version", "1.1.0"}, percent...)...)
	}
	s.ok("cohort", "-version", "1.1.0", "-percent", "50")
	out, _ = s.ok("verify")
	assert.Contains(t, out, "for 50 %")
	out, _ = s.ok("bundle", "-version", "1.1.0")
	assert.Equal(t, "encoder-1.1.0.bundle\n", out)
	s.fails(1, "exists", "bundle", "-version", "1.1.0")
	s.ok("remove", "-version", "1.0.0")
	objects := func() int {
		all, err := filepath.Glob("feed/[0-9a-f]*")
		require.NoError(t, err)
		return len(all)
	}
	before := objects()
	s.ok("prune", "-keep", "1")
	assert.Equal(t, before, objects(), "devices may ask for it")
	s.ok("prune", "-keep", "1", "-after", "-1s")
	assert.Less(t, objects(), before)
	s.ok("renew")
	s.now = s.now.Add(31 * 24 * time.Hour)
	s.fails(1, "expired", "verify")
}

func TestKeysAreReplaced(t *testing.T) {
	s := newShop(t)
	s.ok("keys")
	s.ok("keys", "-key", "next.key")
	s.ok("add", "-product", "encoder", "-version", "1.0.0", s.image("a", 100))
	s.fails(2, "-next is missing", "rotate")
	s.fails(1, "key", "rotate", "-next", "next.pub") // nobody could sign
	s.ok("rotate", "-next", "next.key")
	s.ok("verify")
	s.fails(1, "signature", "renew")
	s.ok("renew", "-key", "next.key")
	s.ok("verify")
	s.ok("verify", "-pub", "next.pub")
}

func TestAVersionThatSortsOddlyIsPointedOut(t *testing.T) {
	s := newShop(t)
	s.ok("keys")
	for number, says := range map[string]string{
		"2024-05": "sorts below 2024.0.0, as its pre-release 2024.0.0-05", "1.2.3-5": "sorts below 1.2.3", "1.2.4": "", "1.2.5+a": "",
	} {
		_, diagnostics := s.ok("add", "-product", "encoder", "-version", number, s.image("a", 1))
		if says == "" {
			assert.Empty(t, diagnostics)
		} else {
			assert.Contains(t, diagnostics, says)
		}
	}
}

func TestAPatchThatSavesNothingIsPointedOut(t *testing.T) {
	s := newShop(t)
	s.ok("keys")
	for i, number := range []string{"1.0.0", "1.1.0"} {
		noise := make([]byte, 100<<10) // as what is compressed looks like
		state := uint64(i + 1)
		for k := range noise {
			state ^= state << 13
			state ^= state >> 7
			state ^= state << 17
			noise[k] = byte(state >> 32)
		}
		require.NoError(t, os.WriteFile("image", noise, 0o600))
		_, diagnostics := s.ok("add", "-product", "encoder", "-version", number, "image")
		if i == 1 {
			assert.Contains(t, diagnostics, "make the image uncompressed")
		}
	}
}

func TestACommandLineThatIsNotUnderstood(t *testing.T) {
	s := newShop(t)
	s.fails(2, "Upkeep-feed makes")
	s.fails(2, "unknown command", "make")
	s.fails(2, "-version is missing", "add", "image")
	s.fails(2, "there is no file", "add", "-version", "1")
	s.fails(2, "unexpected", "renew", "x")
	s.fails(2, "not defined", "renew", "-x")
	s.fails(1, "no such file", "renew")
	s.ok("keys")
	s.fails(2, "name=value", "add", "-version", "1", "-meta", "x", "image")
	s.fails(1, "private keys", "renew", "-key", "upkeep.pub")
	s.fails(1, "-days", "renew", "-days", "0")
	out, _ := s.ok("help")
	assert.Contains(t, out, "upkeep-feed rotate")
	for _, command := range []string{"keys", "add", "cohort", "remove", "renew", "prune", "rotate", "bundle", "verify"} {
		out, _ := s.ok(command, "-h")
		assert.Contains(t, out, "usage: upkeep-feed "+command)
	}
	_, err := os.Stat(filepath.Join("feed", "catalog"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestAFeedOfTwoKeysIsSignedByBoth(t *testing.T) {
	s := newShop(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		s.ok("keys", "-key", name+".key")
	}
	s.ok("add", "-key", "a.key", "-key", "b.key", "-product", "encoder", "-version", "1.0.0", s.image("image", 100))
	s.ok("verify", "-pub", "a.pub", "-pub", "b.pub", "-threshold", "2")
	s.fails(1, "-threshold is 2 with 1 keys", "renew", "-key", "a.key", "-threshold", "2")
	s.ok("renew", "-key", "a.key") // who has one key, and the folder
	s.fails(1, "signature", "renew", "-key", "a.key", "-key", "b.key")
	s.ok("renew", "-key", "a.key", "-key", "b.key", "-threshold", "1") // by whoever has looked at it
	s.fails(1, "a threshold of 2 with 1 keys", "rotate", "-key", "a.key", "-key", "b.key", "-next", "c.key")
	s.ok("rotate", "-key", "a.key", "-key", "b.key", "-next", "c.key", "-next", "d.key")
	s.ok("verify", "-pub", "a.pub", "-pub", "b.pub", "-threshold", "2")
	s.fails(1, "are needed", "renew", "-key", "c.key")
	s.ok("renew", "-key", "c.key", "-key", "d.key")
}

func TestAPrivateKeyThatOthersMayReadIsPointedOut(t *testing.T) {
	s := newShop(t)
	s.ok("keys")
	_, diagnostics := s.ok("add", "-product", "encoder", "-version", "1.0.0", s.image("a", 1))
	assert.Empty(t, diagnostics)
	if runtime.GOOS == "windows" {
		t.Skip("there are no such rights")
	}
	require.NoError(t, os.Chmod("upkeep.key", 0o640))
	_, diagnostics = s.ok("renew")
	assert.Contains(t, diagnostics, "upkeep-feed: others may read upkeep.key")
}

func TestAProgramReadsTheKeysThatTheCommandMakes(t *testing.T) {
	s := newShop(t)
	s.ok("keys")
	text, err := os.ReadFile("upkeep.pub")
	require.NoError(t, err)
	public, err := feed.ParsePublicKey(string(text))
	require.NoError(t, err)
	text, err = os.ReadFile("upkeep.key")
	require.NoError(t, err)
	private, err := feed.ParsePrivateKey(text)
	require.NoError(t, err)

	s.ok("add", "-product", "encoder", "-version", "1.0.0", s.image("a", 100))
	require.NoError(t, feed.Publisher{Dir: "feed"}.Verify(t.Context(), feed.Keys{Trusted: []ed25519.PublicKey{public}}))
	publisher := feed.Publisher{Dir: "feed", Product: "encoder", Keys: []ed25519.PrivateKey{private}}
	require.NoError(t, publisher.Renew(t.Context()))
}

func TestAPrivateKeyThatCannotSignIsToldFromAPublicOne(t *testing.T) {
	s := newShop(t)
	s.image("a", 100)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	require.NoError(t, os.WriteFile("other.key", text, 0o600))
	s.fails(1, "other.key: want an ed25519 key", "add", "-product", "encoder", "-version", "1.0.0", "-key", "other.key", "a")
}
