//go:build linux

package process_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// beats is a service that prints a numbered line every 10 ms, and says how many.
func beats() error {
	var lines atomic.Int64
	go func() {
		for {
			fmt.Printf("beat %07d\n", lines.Load())
			lines.Add(1)
			time.Sleep(10 * time.Millisecond)
		}
	}()
	mux := http.NewServeMux()
	mux.Handle("/", service())
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

// lines are as many as it has printed.
func (p *pulse) lines() int {
	p.Helper()
	n, err := strconv.Atoi(p.get(p.r, "/lines"))
	require.NoError(p, err)
	return n
}

// goesOn checks that the service is neither ended nor held up: it prints so many
// lines more.
func (p *pulse) goesOn(lines int) {
	p.Helper()
	enough := p.lines() + lines
	p.eventually(func() bool {
		require.Equal(p, p.pid, p.machine.pid(p.r))
		return p.lines() >= enough
	}, func() any { return fmt.Sprint(p.lines(), " of ", enough) })
}

var beat = regexp.MustCompile(`beat (\d{7})\n`)

// isLogged checks that what is printed now is in the log soon.
func (p *pulse) isLogged() {
	p.Helper()
	printed := p.lines()
	p.eventually(func() bool {
		logged := beat.FindAllStringSubmatch(p.output(p.id), -1)
		if len(logged) == 0 {
			return false
		}
		last, err := strconv.Atoi(logged[len(logged)-1][1])
		require.NoError(p, err)
		return last >= printed
	}, func() any { return fmt.Sprint(printed, " in\n", p.output(p.id)) })
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
	is := func() int64 { return used(p, p.config.Dir, p.id) }
	p.eventually(func() bool { return is() <= bound }, func() any { return is() })
}

// pulseLogs are limits that are reached in some seconds.
func pulseLogs() process.Config { return process.Config{LogSize: 2000, LogFiles: 3} }

// beating starts one.
func beating(t *testing.T) *pulse {
	p := &pulse{machine: open(t, pulseLogs()), id: revision("v1")}
	p.ensure(p.id, spec("beats"), 1)
	p.r = p.one(ready)
	p.pid = p.machine.pid(p.r)
	return p
}

// away is how many lines are printed while something is wrong: half a second of
// them, or two.
func away() int {
	if full() {
		return 200
	}
	return 50
}

func TestLogsNeitherEndNorHoldUpAService(t *testing.T) {
	t.Parallel()
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
			p.goesOn(away())
			p.reopen()
			// That it was deleted, or, if so much was printed that this is gone, what was cut.
			p.eventually(func() bool { return strings.Contains(p.output(p.id), "upkeep: the ") }, func() any { return p.output(p.id) })
		}},
		{"the folder is a file", func(p *pulse) {
			folder := filepath.Dir(p.log())
			require.NoError(p, os.RemoveAll(folder))
			require.NoError(p, os.WriteFile(folder, nil, 0o600))
			p.goesOn(away())
			logs, err := p.d.Logs(p.Context(), p.id, rollout.LogQuery{})
			require.NoError(p, err)
			require.NoError(p, logs.Close())
			require.NoError(p, os.Remove(folder))
		}},
		{"all folders are gone", func(p *pulse) { require.NoError(p, os.RemoveAll(filepath.Join(p.config.Dir, "logs", "revisions"))) }},
		{"nobody looks", func(p *pulse) {
			require.NoError(p, p.d.Close())
			p.goesOn(away())
			p.reopen()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := beating(t)
			p.isLogged()
			tt.wrong(p)
			p.beatsOn()
		})
	}
}

// beatsOn checks that it is what it was, and logged within its limits.
func (p *pulse) beatsOn() {
	p.Helper()
	p.goesOn(away())
	p.r = p.one(ready)
	p.isLogged()
	p.goesOn(away())
	p.isBound()
	require.Zero(p, p.one(ready).Restarts)
}

func TestAKilledDeployerNeitherEndsNorHoldsUpAService(t *testing.T) {
	t.Parallel()
	c := controlled(t)
	endpoint, is := strings.CutPrefix(c.deploys("start", "beats", ""), "ready ")
	require.True(t, is)
	p := &pulse{machine: &machine{TB: t}, id: revision("v1"), r: rollout.Replica{Endpoint: endpoint}}
	p.pid = p.machine.pid(p.r)
	p.goesOn(away())
	db, err := sqlite.Open(sqlite.Config{Path: c.database()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	config := pulseLogs()
	config.Dir, config.Store = c.folder(), db
	p.machine = open(t, config)
	p.beatsOn()
}

func TestALogThatIsDeletedMeanwhileGoesOn(t *testing.T) {
	t.Parallel()
	m, v1 := open(t, process.Config{}), revision("v1")
	m.ensure(v1, spec("passed"), 1)
	r := m.one(ready)
	require.NoError(t, m.d.Close())
	logs, err := filepath.Glob(filepath.Join(m.config.Dir, "logs/revisions/*/*/*.log"))
	require.NoError(t, err)
	require.Len(t, logs, 1)
	require.NoError(t, os.Remove(logs[0]))
	m.post(r, "/print", "printed meanwhile")
	m.reopen()
	m.eventually(func() bool { return strings.Contains(m.output(v1), "printed meanwhile") }, func() any { return m.output(v1) })
}
