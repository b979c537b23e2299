//go:build linux

package process_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

// diverts is a service that prints into a file of its own.
func diverts() error {
	f, err := os.OpenFile(os.Getenv("OWN"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Dup3(int(f.Fd()), 1, 0); err != nil {
		return err
	}
	fmt.Println("own")
	return serves(process.Listener)
}

// closesStdout is a service that closes what it prints into, and then opens a file
// of its own, which gets its number.
func closesStdout() error {
	if err := os.Stdout.Close(); err != nil {
		return err
	}
	if err := os.Stderr.Close(); err != nil {
		return err
	}
	f, err := os.OpenFile(os.Getenv("DATA"), os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		os.Exit(4)
	}
	defer f.Close()
	return serves(process.Listener)
}

// fills is a service that prints as much as it is told to.
func fills() error {
	mux := http.NewServeMux()
	mux.Handle("/", service())
	mux.HandleFunc("POST /fill", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("megabytes"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		part := bytes.Repeat([]byte(strings.Repeat("x", 99)+"\n"), 1<<20/100)
		if r.URL.Query().Get("binary") != "" {
			for i := range part {
				part[i] = byte(i * 7)
			}
		}
		for range n {
			if _, err := os.Stdout.Write(part); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
	})
	return serve(mux, time.Minute, process.Listener)
}

// used is what all output of a revision takes, on the disk too.
func used(t testing.TB, dir string, id rollout.RevisionID) (n int64) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "logs", "revisions", id.Service.Name, id.Version+"@"+id.Run, "*"))
	require.NoError(t, err)
	for _, path := range found {
		var s unix.Stat_t
		if unix.Lstat(path, &s) == nil { // it may have been deleted just now
			n += s.Size
		}
	}
	return n
}

func TestAFileThatIsNoLogIsNotCut(t *testing.T) {
	t.Parallel()
	m, s, own := open(t, process.Config{}), spec("diverts"), filepath.Join(t.TempDir(), "own")
	s.Environment["OWN"] = own
	m.ensure(revision("v1"), s, 1)
	m.one(ready)
	m.reopen()
	m.one(ready)
	require.NoError(t, m.d.Close()) // which tidies once more
	text, err := os.ReadFile(own)
	require.NoError(t, err)
	require.Equal(t, "own\n", string(text))
	m.reopen()
}

func TestAFileThatIsTheServicesOwnIsNoLog(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		spec func(data string) rollout.Spec
	}{
		{"it closes its output and opens another file", func(data string) rollout.Spec {
			s := spec("closes stdout")
			s.Environment["DATA"] = data
			return s
		}},
		{"it prints into a file of its own", func(data string) rollout.Spec { return script("exec >>" + data + ";") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			text := strings.Repeat("precious\n", 10_000)
			require.NoError(t, os.WriteFile(data, []byte(text), 0o600))
			m, v1 := open(t, process.Config{LogSize: 1000, LogFiles: 2}), revision("v1")
			m.ensure(v1, tt.spec(data), 1)
			r := m.one(ready)
			pid := m.pid(r)
			require.Equal(t, data, descriptors(t, pid)[1])
			for range 2 {
				m.reopen()
				r = m.one(ready)
				require.Equal(t, pid, m.pid(r))
				time.Sleep(1200 * time.Millisecond) // output is tidied each second
				now, err := os.ReadFile(data)
				require.NoError(t, err)
				require.Equal(t, len(text), len(now))
				require.NotContains(t, m.output(v1), "precious")
			}
		})
	}
}

func TestAServiceThatPrintsALotIsNotHeldUp(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"lines", "binary"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			m, v1 := open(t, process.Config{LogSize: 1 << 20, LogFiles: 3}), revision("v1")
			m.ensure(v1, spec("fills"), 1)
			r := m.one(ready)
			pid := m.pid(r)
			path, megabytes := "/fill?megabytes=", 50
			if how == "binary" {
				path = "/fill?binary=1&megabytes="
			}
			m.post(r, path+strconv.Itoa(megabytes), "")
			m.eventually(func() bool { return used(t, m.config.Dir, v1) <= 3<<20 }, func() any { return used(t, m.config.Dir, v1) })
			m.post(r, "/print", "it goes on")
			require.Equal(t, pid, m.pid(r))
			require.Zero(t, m.one(ready).Restarts)
			m.eventually(func() bool {
				out := m.output(v1)
				return strings.Contains(out, "it goes on") && strings.Contains(out, "bytes of the output are lost")
			}, func() any { return len(m.output(v1)) })
			if how == "binary" {
				m.post(r, "/fail", "")
				r = m.one(func(r rollout.Replica) bool { return r.Failure != "" })
				require.NotContains(t, r.Failure, "\x00")
			}
		})
	}
}

// hashicorp/nomad#8893: a program sends its output through tee, and is lost with a
// restart of the supervisor.
func TestAServiceThatPrintsThroughAPipeOfItsOwn(t *testing.T) {
	t.Parallel()
	m, v1 := open(t, process.Config{}), revision("v1")
	s := script("")
	s.Command = []string{"/bin/sh", "-c", `"$0" 2>&1 | tee -i "$COPY"`, os.Args[0]}
	s.Environment["COPY"] = t.TempDir() + "/copy"
	m.ensure(v1, s, 1)
	r := m.one(ready)
	pid := m.pid(r)
	m.reopen()
	r = m.one(ready)
	require.Equal(t, pid, m.pid(r))
	m.post(r, "/print", "through the pipe")
	m.eventually(func() bool { return strings.Contains(m.output(v1), "through the pipe") }, func() any { return m.output(v1) })
	m.stop(r, 5*time.Second)
	require.Empty(t, marked(t, m.config.Dir))
}
