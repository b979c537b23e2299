//go:build linux

package process_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

func init() { roles["beats"] = beats }

// beats is a service that prints a numbered line every 10 ms, and says how old the
// last one is.
func beats() error {
	var last, lines atomic.Int64
	last.Store(time.Now().UnixNano())
	go func() {
		for i := 0; ; i++ {
			fmt.Printf("beat %07d\n", i)
			last.Store(time.Now().UnixNano())
			lines.Store(int64(i))
			time.Sleep(10 * time.Millisecond)
		}
	}()
	mux := http.NewServeMux()
	mux.Handle("/", service())
	mux.HandleFunc("GET /beat", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, time.Since(time.Unix(0, last.Load())).Milliseconds())
	})
	mux.HandleFunc("GET /lines", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, lines.Load()) })
	return serve(mux, time.Minute, process.Listener)
}

// pulse is a service that beats.
type pulse struct {
	*machine
	id  rollout.RevisionID
	r   rollout.Replica
	pid int
}

func (p *pulse) number(path string) int {
	p.Helper()
	n, err := strconv.Atoi(p.get(p.r, path))
	require.NoError(p, err)
	return n
}

// goesOn checks that the service was neither ended nor held up, now and for some
// time. A busy machine may be slow by itself.
func (p *pulse) goesOn(d time.Duration) {
	p.Helper()
	const late = 2 * time.Second
	for end := time.Now().Add(d); ; time.Sleep(50 * time.Millisecond) {
		asked := time.Now()
		require.LessOrEqual(p, p.number("/beat"), int(late.Milliseconds()))
		require.Less(p, time.Since(asked), late)
		require.Equal(p, p.pid, p.number("/pid"))
		if time.Now().After(end) {
			return
		}
	}
}

// isLogged checks that a line that is printed now is in the log soon.
func (p *pulse) isLogged() {
	p.Helper()
	line := fmt.Sprintf("beat %07d", p.number("/lines")+1)
	p.eventually(func() bool { return strings.Contains(p.output(p.id), line) }, func() any { return line + " in\n" + p.output(p.id) })
}

func (p *pulse) log() string {
	p.Helper()
	found, err := filepath.Glob(filepath.Join(p.config.Dir, "logs", "revisions", "shop", "*", "*.log"))
	require.NoError(p, err)
	for _, path := range found {
		if !strings.Contains(filepath.Base(path), "@") {
			return path
		}
	}
	require.Fail(p, "no log", "%v", found)
	return ""
}

func (p *pulse) isBound() {
	p.Helper()
	bound := p.config.LogSize * int64(p.config.LogFiles)
	is := func() int64 { return used(p.TB.(*testing.T), p.config.Dir, p.id) }
	p.eventually(func() bool { return is() <= bound }, func() any { return is() })
}

// beating starts one. The limits are of some seconds of output.
func beating(t *testing.T) *pulse {
	m := breakable(t, process.Config{LogSize: 2000, LogFiles: 3})
	p := &pulse{machine: m, id: revision("v1")}
	m.ensure(p.id, spec("beats"), 1)
	p.r = m.one(ready)
	p.pid = m.pid(p.r)
	return p
}

func TestLogsNeitherEndNorHoldUpAService(t *testing.T) {
	t.Parallel()
	away := 500 * time.Millisecond
	if full() {
		away = 2 * time.Second
	}
	for _, tt := range []struct {
		name  string
		wrong func(p *pulse)
	}{
		{"at its limit", func(*pulse) {}},
		{"deleted", func(p *pulse) { require.NoError(p, os.Remove(p.log())) }},
		{"deleted while nobody looks", func(p *pulse) {
			require.NoError(p, p.d.Close())
			path := p.log()
			require.NoError(p, os.Remove(path))
			p.goesOn(away)
			p.reopen()
			// That it was deleted, or, if so much was printed that this is gone, what was cut.
			p.eventually(func() bool { return strings.Contains(p.output(p.id), "upkeep: the ") }, func() any { return p.output(p.id) })
		}},
		{"the folder is a file", func(p *pulse) {
			folder := filepath.Dir(p.log())
			require.NoError(p, os.RemoveAll(folder))
			require.NoError(p, os.WriteFile(folder, nil, 0o600))
			p.goesOn(away)
			logs, err := p.d.Logs(p.Context(), p.id, rollout.LogQuery{})
			require.NoError(p, err)
			require.NoError(p, logs.Close())
			require.NoError(p, os.Remove(folder))
		}},
		{"all folders are gone", func(p *pulse) { require.NoError(p, os.RemoveAll(filepath.Join(p.config.Dir, "logs", "revisions"))) }},
		{"nobody looks", func(p *pulse) {
			require.NoError(p, p.d.Close())
			p.goesOn(away)
			p.reopen()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := beating(t)
			p.isLogged()
			tt.wrong(p)
			p.goesOn(away)
			p.r = p.one(ready)
			p.isLogged()
			p.goesOn(away)
			p.isBound()
			require.Zero(t, p.one(ready).Restarts)
		})
	}
}
