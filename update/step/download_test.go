package step_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/fetchtest"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// noise is content that cannot be guessed, the same for every call.
func noise(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(p)
	return p
}

// downloads returns the content of each file in a folder.
func downloads(t *testing.T, dir string) (all []string) {
	t.Helper()
	for _, content := range tree(t, dir) {
		all = append(all, content)
	}
	return all
}

func TestDownloadFetchesAnArtifact(t *testing.T) {
	content := noise(3<<20 + 17)
	server := httptest.NewServer(fetchtest.Offer(content, `"one"`))
	defer server.Close()
	dir := filepath.Join(t.TempDir(), "state", "downloads")
	a := step.Artifact{Dir: dir}
	r := releaseOf(content)
	r.URL = server.URL + "/app"
	var file string
	look := update.Step{Name: "look", Do: func(_ context.Context, tk *update.Task) error {
		file = a.File(tk)
		return nil
	}}
	run, err := updateRelease(t, r, step.Download(a), look)
	require.NoError(t, err)
	require.Equal(t, update.StateSucceeded, run.State)
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	for path, mode := range map[string]os.FileMode{dir: 0o700, file: 0o600} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), path)
	}
	require.Len(t, downloads(t, dir), 1)
}

func TestDownloadTakesAFileToo(t *testing.T) {
	content := noise(1000)
	from := filepath.Join(t.TempDir(), "release file")
	require.NoError(t, os.WriteFile(from, content, 0o600))
	r := releaseOf(content)
	r.URL = "file://" + filepath.ToSlash(from)
	dir := t.TempDir()
	_, err := updateRelease(t, r, step.Download(step.Artifact{Dir: dir}))
	require.NoError(t, err)
	require.Equal(t, []string{string(content)}, downloads(t, dir))
}

func TestDownloadIsTakenBack(t *testing.T) {
	content := noise(1000)
	from := filepath.Join(t.TempDir(), "release")
	require.NoError(t, os.WriteFile(from, content, 0o600))
	r := releaseOf(content)
	r.URL = "file://" + from
	dir := t.TempDir()
	fails := update.Step{Name: "fails", Do: func(context.Context, *update.Task) error { return io.ErrNoProgress }}
	_, err := updateRelease(t, r, step.Download(step.Artifact{Dir: dir}), fails)
	require.ErrorIs(t, err, update.ErrFailed)
	require.Empty(t, downloads(t, dir))
}

func TestDownloadRemovesWhatEarlierRunsOfThePackageHaveLeft(t *testing.T) {
	content := noise(1000)
	dir := t.TempDir()
	client := fetchtest.Serve(t, fetchtest.Offer(content, ""))
	s := step.Download(step.Artifact{Dir: dir, Client: client})
	for id, pkg := range map[string]string{"old": "demo/app", "other": "demo/other"} {
		tk := releaseTask(releaseOf(content))
		tk.Run.ID, tk.Run.Package = id, pkg
		require.NoError(t, s.Do(t.Context(), tk))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes"), nil, 0o600))
	require.NoError(t, s.Do(t.Context(), releaseTask(releaseOf(content))))
	require.Len(t, downloads(t, dir), 3, "that of the run, that of another package, and what is none")
}

func TestDownloadDoesNotAskForWhatIsThere(t *testing.T) {
	content := noise(1000)
	a := step.Artifact{Dir: t.TempDir(), Client: fetchtest.Serve(t, fetchtest.Offer(content, ""))}
	tk := releaseTask(releaseOf(content))
	require.NoError(t, step.Download(a).Do(t.Context(), tk))
	a.Client = fetchtest.Serve(t, func(http.ResponseWriter, *http.Request) { t.Error("it asked again") })
	require.NoError(t, step.Download(a).Do(t.Context(), tk))
}

func TestDownloadFindsOutBeforehandWhatCannotBeGood(t *testing.T) {
	dir := t.TempDir()
	shared := filepath.Join(t.TempDir(), "shared")
	require.NoError(t, os.Mkdir(shared, 0o700))
	require.NoError(t, os.Chmod(shared, 0o777))
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	good := releaseOf([]byte("content"))
	tests := []struct {
		name, message string // "" for none
		artifact      step.Artifact
		change        func(*update.Release)
	}{
		{"a good one", "", step.Artifact{Dir: dir}, nil},
		{"a good one, and a folder to be made", "", step.Artifact{Dir: dir + "/a/b"}, nil},
		{"no folder", "needs a Dir", step.Artifact{}, nil},
		{"a folder that is a file", "is not a folder", step.Artifact{Dir: file}, nil},
		{"a folder in a file", "not a directory", step.Artifact{Dir: file + "/a"}, nil},
		{"a folder of everybody", "can be written by others", step.Artifact{Dir: shared}, nil},
		{"no address", "not an http", step.Artifact{Dir: dir}, func(r *update.Release) { r.URL = "" }},
		{"an address of another kind", "not an http", step.Artifact{Dir: dir}, func(r *update.Release) { r.URL = "ftp://dl.test/app" }},
		{"an address without a host", "not an http", step.Artifact{Dir: dir}, func(r *update.Release) { r.URL = "https:///app" }},
		{"an address that is none", "cannot be parsed", step.Artifact{Dir: dir}, func(r *update.Release) { r.URL = "https://user:secret@dl .test" }},
		{"an artifact that is too large", "at most 6 are allowed", step.Artifact{Dir: dir, MaxSize: 6}, nil},
		{"a negative size", "at most", step.Artifact{Dir: dir}, func(r *update.Release) { r.Size = -1 }},
		{"no digest", "nothing to check the artifact by", step.Artifact{Dir: dir}, func(r *update.Release) { r.Digest = nil }},
		{"another digest", "no SHA-256", step.Artifact{Dir: dir}, func(r *update.Release) { r.Digest = r.Digest[:20] }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := good
			if tt.change != nil {
				tt.change(&r)
			}
			err := step.Download(tt.artifact).Check(t.Context(), releaseTask(r))
			if tt.message == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.message)
			require.NotContains(t, err.Error(), "secret")
		})
	}
	require.NoDirExists(t, dir+"/a", "a check changes nothing")
}

func TestDownloadShowsHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := noise(64 << 10)
		client := fetchtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "65536")
			for i := range 64 {
				_, _ = w.Write(content[i<<10 : (i+1)<<10])
				_ = http.NewResponseController(w).Flush()
				time.Sleep(25 * time.Second)
			}
		})
		a := step.Artifact{Dir: t.TempDir(), Client: client}
		start := time.Now()
		_, err := updateRelease(t, releaseOf(content), step.Download(a))
		require.NoError(t, err, "a server that is slow but alive is waited for, and the step is not stalled")
		require.Greater(t, time.Since(start), 25*time.Minute)
	})
}

func TestDownloadStopsWhenItIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := noise(1000)
		client := fetchtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(content[:500])
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		a := step.Artifact{Dir: t.TempDir(), Client: client}
		start := time.Now()
		require.ErrorIs(t, step.Download(a).Do(ctx, releaseTask(releaseOf(content))), context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}

// minisigned is the artifact "test" with the key and the signature that the
// authors of minisign publish with their libraries.
const (
	minisignKey    = "untrusted comment: minisign public key\nRWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n"
	minisignSigned = `untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1556193335	file:test
y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==
`
)

// signedDownload is a release, and what a download that knows some keys makes of it.
type signedDownload struct {
	name    string
	release update.Release
	keys    []step.Key
	content string
	check   string // what the pre-flight says, or ""
	message string // what Do says, or ""
}

func TestDownloadChecksWhoHasSigned(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	stranger, _, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	minisign, err := step.ParseKey(minisignKey)
	require.NoError(t, err)
	content := []byte("test")
	signed := releaseOf(content)
	signed.Signature = ed25519.Sign(private, signed.Digest)
	both := releaseOf(content)
	both.Signature = []byte(minisignSigned)
	bare := both
	bare.Digest, bare.Size = nil, 0
	unsure := signed
	unsure.Digest = nil
	with := func(r update.Release, signature string) update.Release {
		r.Signature = []byte(signature)
		return r
	}
	tests := []signedDownload{
		{"by the key", signed, []step.Key{step.Ed25519Key(public)}, "test", "", ""},
		{"by one of the keys", signed, []step.Key{minisign, step.Ed25519Key(stranger), step.Ed25519Key(public)}, "test", "", ""},
		{"by nobody, and nobody needed", releaseOf(content), nil, "test", "", ""},
		{"by nobody", releaseOf(content), []step.Key{step.Ed25519Key(public)}, "test", "is not signed", ""},
		{"by somebody else", signed, []step.Key{step.Ed25519Key(stranger)}, "test", "not by one of the keys", ""},
		{"by a key for another kind of signature", signed, []step.Key{minisign}, "test", "not by one of the keys", ""},
		{"too short", with(signed, "short"), []step.Key{step.Ed25519Key(public)}, "test", "not by one of the keys", ""},
		{"by a key that is none", signed, []step.Key{step.Ed25519Key(public[:31])}, "test", "key 1 is none", ""},
		{"by the zero key", signed, []step.Key{{}}, "test", "key 1 is none", ""},
		{"by a key of zeros", signed, []step.Key{step.Ed25519Key(make([]byte, 32))}, "test", "key 1 is none", ""},
		{"of a digest that is not known", unsure, []step.Key{step.Ed25519Key(public)}, "test", "", ""},
		{"of something else", unsure, []step.Key{step.Ed25519Key(public)}, "Test", "", "not of this artifact"},
		{"by minisign", both, []step.Key{minisign}, "test", "", ""},
		{"by minisign alone", bare, []step.Key{step.Ed25519Key(public), minisign}, "test", "", ""},
		{"by minisign, of something else", bare, []step.Key{minisign}, "Test", "", "not one of this file"},
		{"by minisign, with another comment", with(both, strings.Replace(minisignSigned, "file:test", "file:all", 1)), []step.Key{minisign}, "test", "not one of this file", ""},
		{"by minisign, by no key of it", both, []step.Key{step.Ed25519Key(public)}, "test", "by another key", ""},
		{"by minisign, cut short", with(both, minisignSigned[:150]), []step.Key{minisign}, "test", "not a signature file", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, tt.run)
	}
}

func (tt signedDownload) run(t *testing.T) {
	dir := t.TempDir()
	s := step.Download(step.Artifact{Dir: dir, Keys: tt.keys, Client: fetchtest.Serve(t, fetchtest.Offer([]byte(tt.content), ""))})
	err := s.Check(t.Context(), releaseTask(tt.release))
	if tt.check != "" {
		require.ErrorContains(t, err, tt.check)
		require.ErrorContains(t, s.Do(t.Context(), releaseTask(tt.release)), tt.check, "Do does not rely on Check")
		require.Empty(t, downloads(t, dir))
		return
	}
	require.NoError(t, err)
	err = s.Do(t.Context(), releaseTask(tt.release))
	if tt.message != "" {
		require.ErrorContains(t, err, tt.message)
		require.Empty(t, downloads(t, dir))
		return
	}
	require.NoError(t, err)
	require.Equal(t, []string{"test"}, downloads(t, dir))
}

func TestParseKeyReadsBothKindsAndNothingElse(t *testing.T) {
	for _, text := range []string{minisignKey, strings.Split(minisignKey, "\n")[1], " B" + strings.Repeat("A", 42) + "=\n"} {
		_, err := step.ParseKey(text)
		require.NoError(t, err, text)
	}
	zeros := strings.Repeat("A", 43) + "="
	for _, text := range []string{"", "key", strings.Repeat("A", 44), minisignSigned, strings.Repeat("A", 43), zeros} {
		_, err := step.ParseKey(text)
		require.ErrorContains(t, err, "step: the key is neither", text)
	}
}

func TestDownloadToADiskThatFailsLeavesNothingThatLooksWhole(t *testing.T) {
	content := noise(3 << 20)
	client := fetchtest.Serve(t, fetchtest.Offer(content, `"v1"`))
	for n := 1; ; n++ {
		dir := t.TempDir()
		require.NoError(t, os.Chmod(dir, 0o700))
		a := step.Artifact{Dir: dir, Client: client}
		disk, tk := newFailing(durable.OS, n), releaseTask(releaseOf(content))
		err := step.DownloadOn(a, disk).Do(t.Context(), tk)
		if *disk.left > 0 {
			require.NoError(t, err)
			require.Greater(t, n, 6)
			return
		}
		require.ErrorIs(t, err, errNoSpace)
		if data, err := os.ReadFile(a.File(tk)); err == nil {
			require.True(t, bytes.Equal(content, data))
		}
		require.NoError(t, step.Download(a).Undo(t.Context(), tk))
		require.Empty(t, downloads(t, dir))
	}
}
