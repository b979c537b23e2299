//go:build linux

package process_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/mounttest"
	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

// shelf is a server of archives.
type shelf struct {
	*httptest.Server
	data  []byte
	away  atomic.Bool
	asked atomic.Int64
}

// offering serves an archive with the given files.
func offering(t *testing.T, files map[string]string) *shelf {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range files {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(text))}))
		_, err := w.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	s := &shelf{data: b.Bytes()}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if s.away.Load() {
			http.Error(w, "away", http.StatusNotFound)
			return
		}
		http.ServeContent(w, r, "app.tar.gz", time.Time{}, bytes.NewReader(s.data))
	}))
	t.Cleanup(s.Close)
	return s
}

// spec is a service in the archive, as a script that runs this test program.
func (s *shelf) spec() rollout.Spec {
	sum := sha256.Sum256(s.data)
	is := spec("passed")
	is.Command = nil
	is.Environment["PROGRAM"] = os.Args[0]
	is.Archive = &rollout.Archive{URL: s.URL + "/app.tar.gz", Digest: sum[:], Command: []string{"bin/web", "an argument"}}
	return is
}

// web is a script that says where it runs, and with what.
const web = "#!/bin/sh\nread line <page\necho \"web runs with $1 and $line\"\nexec \"$PROGRAM\"\n"

func TestAnArchiveRuns(t *testing.T) {
	t.Parallel()
	s := offering(t, map[string]string{"bin/web": web, "page": "a page\n"})
	m, v1 := open(t, process.Config{}), revision("v1")
	m.ensure(v1, s.spec(), 2)
	m.eventually(func() bool {
		all := m.all()
		return len(all) == 2 && ready(all[0]) && ready(all[1])
	}, func() any { return m.all() })
	require.EqualValues(t, 1, s.asked.Load(), "it is fetched once")
	require.Equal(t, 2, strings.Count(m.output(v1), "web runs with an argument and a page"))
	pids := []int{m.pid(m.all()[0]), m.pid(m.all()[1])}

	m.reopen()
	s.away.Store(true)
	require.ElementsMatch(t, pids, []int{m.pid(m.all()[0]), m.pid(m.all()[1])})
	m.again(m.all()[0])
	require.EqualValues(t, 1, s.asked.Load(), "it is there")

	for _, r := range m.all() {
		m.stop(r, time.Second)
	}
	m.eventually(func() bool {
		left, err := filepath.Glob(filepath.Join(m.config.Dir, "archives", "*", "page"))
		require.NoError(t, err)
		return len(left) == 0
	}, func() any { return "it is deleted when nothing needs it" })
}

func TestAnArchiveWithAnotherDigestNeverRuns(t *testing.T) {
	t.Parallel()
	ran := filepath.Join(t.TempDir(), "ran")
	s := offering(t, map[string]string{"bin/web": "#!/bin/sh\ntouch " + ran + "\n"})
	is := s.spec()
	is.Archive.Digest[0] ^= 1
	m := open(t, process.Config{})
	m.ensure(revision("v1"), is, 1)
	r := m.one(func(r rollout.Replica) bool { return r.Hopeless })
	require.Equal(t, rollout.ReplicaFailing, r.State)
	require.Contains(t, r.Failure, "wrong SHA-256")
	require.NoFileExists(t, ran)
	require.Empty(t, marked(t, m.config.Dir))
	m.stop(r, 0)
	require.Empty(t, m.instances())
}

func TestAnArchiveWhoseServerIsAwayComesLater(t *testing.T) {
	t.Parallel()
	s := offering(t, map[string]string{"bin/web": web, "page": "a page\n"})
	s.away.Store(true)
	m := open(t, process.Config{})
	m.ensure(revision("v1"), s.spec(), 1)
	r := m.one(func(r rollout.Replica) bool { return r.Restarts >= 1 })
	require.Contains(t, r.Failure, "404")
	require.Equal(t, rollout.ReplicaFailing, r.State)
	s.away.Store(false)
	m.one(ready)
}

func TestAStopDoesNotWaitForAnArchiveOrABuild(t *testing.T) {
	t.Parallel()
	hangs := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hangs:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(hangs)
	began := make(chan struct{}, 9)
	m := open(t, process.Config{Build: func(ctx context.Context, _ rollout.RevisionID, _ rollout.Spec, _ string) ([]string, error) {
		began <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	image := spec("passed")
	image.Command, image.Image = nil, &rollout.Image{Repository: "shop"}
	archived := spec("passed")
	archived.Command, archived.Archive = nil, &rollout.Archive{URL: server.URL, Digest: make([]byte, 32), Command: []string{"x"}}
	m.ensure(revision("v1"), image, 2)
	m.ensure(revision("v2"), archived, 2)
	<-began
	begun := time.Now()
	for _, r := range m.all() {
		m.stop(r, time.Hour)
	}
	require.Less(t, time.Since(begun), 30*time.Second)
	require.Empty(t, m.all())
}

func TestAFullDiskIsSaidAndTriedAgain(t *testing.T) {
	long(t)
	mounttest.Run(t, func(t *testing.T) {
		noise := make([]byte, 4<<20)
		_, err := rand.Read(noise)
		require.NoError(t, err)
		s := offering(t, map[string]string{"bin/web": web, "page": "a page\n", "noise": string(noise)})
		dir := t.TempDir()
		mounttest.Mount(t, "none", dir, "tmpfs", 0, "size=7m,mode=700")
		m := open(t, process.Config{Dir: dir})
		m.ensure(revision("v1"), s.spec(), 1)
		r := m.one(func(r rollout.Replica) bool { return r.Failure != "" })
		require.Contains(t, r.Failure, syscall.ENOSPC.Error())
		require.Equal(t, rollout.ReplicaFailing, r.State)
		require.NoError(t, syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT, "size=60m"))
		m.one(ready)
		m.stop(m.all()[0], time.Second)
		require.NoError(t, m.d.Close()) // before its folder is gone
		m.reopen()
	})
}
