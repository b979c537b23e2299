package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source/manifest"
)

// TestMain makes the test's program the command, for processes that are told so.
func TestMain(m *testing.M) {
	if os.Getenv("UPKEEP_TEST_COMMAND") != "" {
		main()
	}
	os.Exit(m.Run())
}

// shop is the folder of somebody who publishes.
type shop struct {
	*testing.T
	dir string
	now time.Time // or that of the clock
}

// newShop is the working folder from now on.
func newShop(t *testing.T) *shop {
	s := &shop{T: t, dir: t.TempDir()}
	t.Chdir(s.dir)
	return s
}

// run runs the command in this process.
func (s *shop) run(args ...string) (code int, out, diagnostics string) {
	return s.runWith("", args...)
}

func (s *shop) runWith(input string, args ...string) (code int, out, diagnostics string) {
	var stdout, stderr bytes.Buffer
	now := s.now
	if now.IsZero() {
		now = time.Now().UTC().Truncate(time.Second)
	}
	code = newTool(strings.NewReader(input), &stdout, &stderr, now).run(args)
	return code, stdout.String(), stderr.String()
}

// process runs the command as a process.
func (s *shop) process(args ...string) (code int, out, diagnostics string) {
	s.Helper()
	command := exec.CommandContext(s.Context(), os.Args[0], args...)
	command.Env = append(os.Environ(), "UPKEEP_TEST_COMMAND=1")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		require.NoError(s, err)
	}
	return command.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// must runs a command that works.
func (s *shop) must(args ...string) string {
	s.Helper()
	code, out, diagnostics := s.run(args...)
	require.Zero(s, code, diagnostics)
	return out
}

// fails runs a command that does not, and has to say so.
func (s *shop) fails(code int, says string, args ...string) {
	s.Helper()
	got, _, diagnostics := s.run(args...)
	require.Equal(s, code, got, "%v: %s", args, diagnostics)
	require.Contains(s, diagnostics, says, "%v", args)
}

func (s *shop) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

func (s *shop) read(name string) string {
	s.Helper()
	text, err := os.ReadFile(s.path(name))
	require.NoError(s, err)
	return string(text)
}

func (s *shop) write(name, content string) {
	s.Helper()
	require.NoError(s, os.MkdirAll(filepath.Dir(s.path(name)), 0o755))
	require.NoError(s, os.WriteFile(s.path(name), []byte(content), 0o600))
}

// key reads a public key file.
func (s *shop) key(name string) ed25519.PublicKey {
	s.Helper()
	key, err := manifest.ParsePublicKey(s.read(name))
	require.NoError(s, err)
	return key
}

// offered is what the manifest offers to a program for linux/amd64.
func (s *shop) offered(state manifest.StateStore, keys ...ed25519.PublicKey) (all []update.Release, err error) {
	s.Helper()
	server := httptest.NewServer(http.FileServer(http.Dir(s.dir)))
	defer server.Close()
	m := &manifest.Source{
		URL: server.URL + "/manifest.json", Keys: keys, State: state, OS: "linux", Arch: "amd64",
		Current: func(context.Context) (string, error) { return "1.0.0", nil },
	}
	for r, err := range m.Versions(s.Context(), "demo/app") {
		if err != nil {
			return nil, err
		}
		r.URL = strings.TrimPrefix(r.URL, server.URL)
		all = append(all, r)
	}
	return all, nil
}

func digest(content string) []byte {
	sum := sha256.Sum256([]byte(content))
	return sum[:]
}

func TestTheCommandIsAProcess(t *testing.T) {
	s := newShop(t)
	run := func(want int, says string, args ...string) {
		code, out, diagnostics := s.process(args...)
		require.Equal(t, want, code, diagnostics)
		require.Contains(t, out+diagnostics, says)
	}
	run(0, "public key:", "keygen")
	s.write("dist/app_1.0.0_linux_amd64.tar.gz", "one")
	run(0, "demo/app", "add", "-product", "demo/app", "-version", "1.0.0", "dist")
	run(0, "good", "verify")
	run(1, "upkeep-manifest: upkeep.pub exists", "keygen", "-key", "upkeep.key")
	run(2, "unknown command", "frobnicate")
	run(0, "usage", "add", "-h")
	releases, err := s.offered(manifest.StateFile(filepath.Join(t.TempDir(), "state")), s.key("upkeep.pub"))
	require.NoError(t, err)
	require.Len(t, releases, 1)
}

func TestTheLifeOfAManifest(t *testing.T) {
	s := newShop(t)
	state := manifest.StateFile(filepath.Join(t.TempDir(), "state"))
	s.must("keygen")
	first := s.key("upkeep.pub")
	s.write("dist/app_1.0.0_linux_amd64.tar.gz", "one")
	s.write("dist/app_1.0.0_darwin_all.tar.gz", "mac")
	s.write("dist/checksums.txt", "")
	out := s.must("add", "-product", "demo/app", "-version", "1.0.0", "dist")
	require.Contains(t, out, "dist/app_1.0.0_linux_amd64.tar.gz: linux/amd64, 3 bytes, SHA-256 ")
	require.Contains(t, out, "darwin/any")
	require.Contains(t, out, "manifest.json: demo/app, channel stable, serial ")

	releases, err := s.offered(state, first)
	require.NoError(t, err)
	require.Len(t, releases, 1)
	require.Equal(t, "/dist/app_1.0.0_linux_amd64.tar.gz", releases[0].URL)
	require.Equal(t, digest("one"), releases[0].Digest)
	require.Equal(t, int64(3), releases[0].Size)
	require.WithinDuration(t, time.Now(), releases[0].Time, time.Minute)

	s.write("new/app-linux-amd64", "two")
	s.must("add", "-version", "1.1.0", "-minimum", "1.0.0", "new/app-linux-amd64")
	s.write("new/app-linux-arm64", "arm")
	s.must("add", "-version", "v1.1.0", "new/app-linux-arm64")
	releases, err = s.offered(state, first)
	require.NoError(t, err)
	require.Len(t, releases, 2)
	out = s.must("verify", "-product", "demo/app", "-channel", "stable")
	require.Contains(t, out, "version: 1.1.0, from 1.0.0\n  linux/amd64: new/app-linux-amd64, 3 bytes, good\n  linux/arm64: new/app-linux-arm64, 3 bytes, good\n")

	s.must("keygen", "-key", "next.key")
	s.must("rotate", "-next", "next.key")
	require.NoError(t, os.Remove(s.path("upkeep.key")))
	s.must("renew", "-key", "next.key", "-days", "7")
	for _, key := range []ed25519.PublicKey{first, s.key("next.pub")} {
		releases, err = s.offered(manifest.StateFile(filepath.Join(t.TempDir(), "state")), key)
		require.NoError(t, err, "programs of any age")
		require.Len(t, releases, 2)
	}
	s.must("remove", "-version", "1.1", "-key", "next.key")
	releases, err = s.offered(state, first)
	require.NoError(t, err)
	require.Len(t, releases, 1)
	require.Contains(t, s.must("verify", "-pub", "next.pub"), manifest.KeyID(s.key("next.pub")))
	require.Contains(t, s.must("verify"), manifest.KeyID(s.key("next.pub")), "the old public key leads to the new one")
}

func TestAPrivateKeyIsForItsOwner(t *testing.T) {
	s := newShop(t)
	out := s.must("keygen", "-key", "mine.key")
	require.Contains(t, out, s.read("mine.pub"))
	private := s.read("mine.key")
	require.NotContains(t, out, strings.Split(private, "\n")[1])
	if runtime.GOOS != "windows" {
		info, err := os.Stat(s.path("mine.key"))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	s.fails(1, "exists", "keygen", "-key", "mine.key")
	require.NoError(t, os.Remove(s.path("mine.pub")))
	s.fails(1, "exists", "keygen", "-key", "mine.key")
	require.Equal(t, private, s.read("mine.key"))
	require.NoFileExists(t, s.path("mine.pub"))

	s.write("app-linux-amd64", "one")
	if runtime.GOOS != "windows" {
		require.NoError(t, os.Chmod(s.path("mine.key"), 0o644))
		code, _, diagnostics := s.run("add", "-key", "mine.key", "-product", "demo/app", "-version", "1.0.0", "app-linux-amd64")
		require.Zero(t, code)
		require.Contains(t, diagnostics, "others may read mine.key")
	}
	code, _, diagnostics := s.runWith(private, "renew", "-key", "-")
	require.Zero(t, code, diagnostics)
}

func TestWhatIsNotUnderstoodEndsWithTwoAndIsExplained(t *testing.T) {
	s := newShop(t)
	s.must("keygen")
	s.fails(2, "upkeep-manifest add [file ...]")
	s.fails(2, `unknown command "frobnicate"`, "frobnicate")
	s.fails(2, `unexpected argument "x"`, "keygen", "x")
	s.fails(2, "flag provided but not defined: -x", "add", "-x")
	s.fails(2, "-version is missing", "add", "file")
	s.fails(2, "there is no file to add", "add", "-version", "1.0.0")
	s.fails(2, "-product is needed", "add", "-version", "1.0.0", "file")
	s.fails(2, "-os is for a single file", "add", "-version", "1.0.0", "-os", "linux", "a", "b")
	s.fails(2, "-os is for a single file", "add", "-version", "1.0.0", "-arch", "amd64", "a")
	s.fails(2, "-version is missing", "remove")
	s.fails(2, "-next is missing", "rotate")
	s.fails(2, `unexpected argument "manifest.json"`, "verify", "manifest.json")
	for _, args := range [][]string{{"-h"}, {"help"}, {"add", "-h"}, {"verify", "--help"}} {
		code, out, diagnostics := s.run(args...)
		require.Zero(t, code)
		require.Contains(t, out, "upkeep-manifest")
		require.Empty(t, diagnostics)
	}
	require.NoFileExists(t, s.path("manifest.json"))
}

func TestWhatFailsEndsWithOneAndChangesNothing(t *testing.T) {
	s := newShop(t)
	s.write("dist/app-linux-amd64", "one")
	s.write("dist/readme.txt", "")
	s.fails(1, "upkeep.key", "add", "-product", "demo/app", "-version", "1.0.0", "dist")
	s.must("keygen")
	s.must("keygen", "-key", "other.key")
	s.fails(1, "manifest.json", "renew")
	s.must("add", "-product", "demo/app", "-version", "1.0.0", "dist")
	before := s.read("manifest.json")

	s.fails(1, "is -key the right one, or -pub missing?", "renew", "-key", "other.key")
	s.fails(1, `is for product "demo/app"`, "add", "-product", "demo/other", "-version", "1.1.0", "dist")
	s.fails(1, `is for product "demo/app"`, "add", "-channel", "beta", "-version", "1.1.0", "dist")
	s.fails(1, "two artifacts", "add", "-version", "1.0.0", "dist")
	s.fails(1, "is not a version", "add", "-version", "latest", "dist")
	s.fails(1, "minimum", "add", "-version", "1.1.0", "-minimum", "x", "dist")
	s.fails(1, "give -os and -arch", "add", "-version", "1.1.0", "dist/readme.txt")
	s.fails(1, "is a folder", "add", "-version", "1.1.0", "-os", "linux", "dist")
	s.fails(1, "no such file", "add", "-version", "1.1.0", "missing")
	s.fails(1, "0 bytes", "add", "-version", "1.1.0", "-os", "any", "dist/readme.txt")
	s.fails(1, "no file", "add", "-version", "1.1.0", t.TempDir())
	s.fails(1, "-days", "renew", "-days", "0")
	s.fails(1, `no version "2.0.0"`, "remove", "-version", "2.0.0")
	s.fails(1, "is private", "rotate", "-next", "other.pub")
	s.fails(1, "signed by a trusted key", "verify", "-pub", "other.pub")
	s.fails(1, "for something else", "verify", "-product", "demo/other")
	s.fails(1, "for something else", "verify", "-channel", "beta")
	s.fails(1, "not a public key", "verify", "-pub", "dist/readme.txt")
	elsewhere := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(elsewhere, "app-linux-amd64"), []byte("x"), 0o600))
	s.fails(1, "give -url", "add", "-version", "1.1.0", elsewhere)
	require.Equal(t, before, s.read("manifest.json"))

	s.write("dist/app-linux-amd64", "two")
	code, out, diagnostics := s.run("verify")
	require.Equal(t, 1, code)
	require.Contains(t, diagnostics, "is not the file that was signed")
	require.Contains(t, out, "not the one that was signed")
	require.NoError(t, os.Remove(s.path("dist/app-linux-amd64")))
	require.Contains(t, s.must("verify"), "not here")
	s.write("manifest.json", strings.Replace(before, `"payload": "eyJ`, `"payload": "fyJ`, 1))
	s.fails(1, "signed by a trusted key", "verify")
	s.fails(1, "is -key the right one, or -pub missing?", "renew")
}

func TestVerifyRefusesWhatHasExpired(t *testing.T) {
	s := newShop(t)
	s.must("keygen")
	s.write("app-linux-amd64", "one")
	s.must("add", "-product", "demo/app", "-version", "1.0.0", "-days", "7", "app-linux-amd64")
	s.now = time.Now().AddDate(0, 0, 8)
	s.fails(1, "expired", "verify")
	s.must("renew")
	s.must("verify")
	s.now = time.Now().AddDate(-1, 0, 0)
	s.fails(1, "the clock of this machine seems wrong", "verify")
}

func TestSerialsRiseThoughTheLastManifestIsNotAtHand(t *testing.T) {
	s := newShop(t)
	state := manifest.StateFile(filepath.Join(t.TempDir(), "state"))
	s.must("keygen")
	s.write("app-linux-amd64", "one")
	s.must("add", "-product", "demo/app", "-version", "1.0.0", "app-linux-amd64")
	_, err := s.offered(state, s.key("upkeep.pub"))
	require.NoError(t, err)
	old := s.read("manifest.json")
	require.NoError(t, os.Remove(s.path("manifest.json")))
	s.now = time.Now().Add(time.Minute)
	s.must("add", "-product", "demo/app", "-version", "1.1.0", "app-linux-amd64")
	releases, err := s.offered(state, s.key("upkeep.pub"))
	require.NoError(t, err)
	require.Equal(t, "1.1.0", releases[0].Version)
	s.write("manifest.json", old)
	_, err = s.offered(state, s.key("upkeep.pub"))
	require.ErrorIs(t, err, manifest.ErrReplayed)

	serial := func() (n int64) {
		out := s.must("verify")
		_, err := fmt.Sscanf(out[strings.Index(out, "serial:"):], "serial: %d", &n)
		require.NoError(t, err)
		return n
	}
	before := serial()
	s.now = time.Now().Add(-time.Hour)
	s.must("renew")
	require.Equal(t, before+1, serial(), "a clock that is behind does not lower it")
	s.now = time.Now().AddDate(-1, 0, 0)
	s.fails(1, "the clock of this machine seems wrong", "renew")
}

func TestArtifactsMayBeSignedByAKeyOfTheirOwn(t *testing.T) {
	s := newShop(t)
	s.must("keygen")
	s.must("keygen", "-key", "artifacts.key")
	s.write("app", "one")
	s.must("add", "-product", "demo/app", "-channel", "beta", "-version", "1.0.0", "-artifact-key", "artifacts.key",
		"-os", "any", "-url", "https://cdn.example.com/files", "app")
	f, err := manifest.Parse([]byte(s.read("manifest.json")))
	require.NoError(t, err)
	m, _, err := f.Open("demo/app", manifest.Trust{Keys: []ed25519.PublicKey{s.key("upkeep.pub")}})
	require.NoError(t, err)
	require.Equal(t, "beta", m.Channel)
	a, ok := m.Releases[0].For("plan9", "386")
	require.True(t, ok)
	require.Equal(t, "https://cdn.example.com/files/app", a.URL)
	require.True(t, ed25519.Verify(s.key("artifacts.pub"), digest("one"), a.Signature))
}

func TestSeveralKeysSignAndAreTrusted(t *testing.T) {
	s := newShop(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		s.must("keygen", "-key", name+".key")
	}
	s.write("my app-linux-amd64", "one")
	s.must("add", "-key", "a.key", "-key", "b.key", "-product", "demo/app", "-version", "1.0.0", "my app-linux-amd64")
	for _, name := range []string{"a.pub", "b.pub"} {
		releases, err := s.offered(manifest.StateFile(filepath.Join(t.TempDir(), "state")), s.key(name))
		require.NoError(t, err)
		require.Equal(t, "/my%20app-linux-amd64", releases[0].URL)
	}
	s.must("rotate", "-key", "a.key", "-next", "c.key", "-next", s.read("d.pub"))
	s.fails(1, "or -pub missing?", "renew", "-key", "d.key")
	s.must("renew", "-key", "d.key", "-pub", "a.pub")
	out := s.must("verify", "-pub", "a.pub")
	require.Contains(t, out, manifest.KeyID(s.key("c.pub")))
	require.Contains(t, out, manifest.KeyID(s.key("d.pub")))
	s.fails(1, "rotated away", "renew", "-key", "a.key")
	s.fails(1, "is -key the right one, or -pub missing?", "renew", "-key", "b.key")
}
