//go:build unix

package step_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// page is what the program "app" answers.
type page struct {
	Version, Dir string
	Args         []string
	PID          int
}

// selfUpdater is the Updater of the program in dir, in which the file "within"
// says how long a release has to confirm itself. Restart and what follows it
// are steps of a Program only.
func selfUpdater(dir, version string, state *sqlite.DB, after ...update.Step) (*update.Updater, error) {
	text, err := os.ReadFile(filepath.Join(dir, "within"))
	if err != nil {
		return nil, err
	}
	within, err := time.ParseDuration(string(text))
	if err != nil {
		return nil, err
	}
	artifact := step.Artifact{Dir: filepath.Join(dir, "downloads")}
	var source offers
	for _, v := range []string{"1.0.0", "1.1.0"} {
		content, err := os.ReadFile(filepath.Join(dir, v))
		if err != nil {
			return nil, err
		}
		r, address := releaseOf(content), url.URL{Scheme: "file", Path: filepath.Join(dir, v)}
		r.Version, r.URL = v, address.String()
		source = append(source, r)
	}
	return update.New(update.Config{Store: state, Packages: []update.Package{{
		Name: "demo/app", Source: source,
		Current: func(context.Context) (string, error) { return version, nil },
		Steps: append([]update.Step{
			step.Download(artifact),
			step.SwapBinary(step.Binary{
				Path: filepath.Join(dir, "app"), Artifact: artifact, Starts: 2, Within: within,
			}),
		}, after...),
	}}})
}

func init() {
	// app VERSION DIR ADDRESS FAULT is a server that updates itself when it is
	// asked to.
	children["app"] = func(args []string) {
		version, dir, address, fault := args[0], args[1], args[2], args[3]
		go endWithParent()
		program, err := step.Begin(filepath.Join(dir, "app"))
		if err != nil {
			panic(err)
		}
		switch fault {
		case "crash":
			os.Exit(3)
		case "migrate":
			if err := migrateState(filepath.Join(dir, "upkeep.db")); err != nil {
				panic(err)
			}
			os.Exit(3)
		case "hang":
			time.Sleep(2 * hangs)
		}
		if err := serveApp(program, version, dir, address, fault); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func serveApp(program *step.Program, version, dir, address, fault string) error {
	state, err := sqlite.Open(sqlite.Config{Path: filepath.Join(dir, "upkeep.db"), BusyTimeout: hangs})
	if err != nil {
		return err
	}
	server := &http.Server{}
	u, err := selfUpdater(dir, version, state, step.Restart(program, program.Shutdown(server)), update.Step{
		Name: "health", Do: func(context.Context, *update.Task) error {
			if fault == "sick" {
				return errors.New("not well")
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		where, _ := os.Getwd()
		_ = json.NewEncoder(w).Encode(page{version, where, os.Args, os.Getpid()})
	})
	mux.HandleFunc("POST /update", func(w http.ResponseWriter, r *http.Request) {
		run, err := u.Start(context.WithoutCancel(r.Context()), update.Request{Package: "demo/app"})
		fmt.Fprint(w, run.ID, err)
	})
	mux.HandleFunc("POST /rollback", func(w http.ResponseWriter, r *http.Request) {
		run, err := u.Rollback(context.WithoutCancel(r.Context()), r.FormValue("run"), update.By{})
		fmt.Fprint(w, run.ID, err)
	})
	server.Handler = mux
	l, err := program.Listen("tcp", address)
	if err != nil {
		return err
	}
	go func() { _ = server.Serve(l) }()
	if err := program.Confirm(); err != nil {
		return err
	}
	return u.Run(context.Background())
}

// launched is a program that runs under Launch.
type launched struct {
	dir, url string
	state    *sqlite.DB
	answered atomic.Int64
	lost     atomic.Int64
}

// freeAddress is one that nobody listens on, also while no process of the
// program does: the system gives these ports to nobody who does not ask.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 10_000+rand.IntN(20_000)))
		if err == nil {
			require.NoError(t, l.Close())
			return l.Addr().String()
		}
	}
	require.Fail(t, "no port is free")
	return ""
}

// launch starts release 1.0.0, whose update 1.1.0 is what content says. That
// has to confirm itself within some time: a release that never does may have
// little of it, any other as much as a busy machine takes.
func launch(t *testing.T, within time.Duration, content func(good func(version, fault string) string) string) *launched {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	address := freeAddress(t)
	good := func(version, fault string) string {
		return fmt.Sprintf("#!/bin/sh\nexec %q child app %q %q %q %q \"$@\"\n", os.Args[0], version, dir, address, fault)
	}
	old := good("1.0.0", "")
	for name, text := range map[string]string{"app": old, "1.0.0": old, "1.1.0": content(good), "within": within.String()} {
		writeProgram(t, filepath.Join(dir, name), text)
	}
	p := &launched{dir: dir, url: "http://" + address}
	p.state, err = sqlite.Open(sqlite.Config{Path: filepath.Join(dir, "upkeep.db"), BusyTimeout: hangs})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		if _, err := step.Launch(ctx, filepath.Join(dir, "app"), "first", "second arg"); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		work.Wait()
		require.NoError(t, p.state.Close())
	})
	p.await(t, "1.0.0")
	return p
}

// page asks for it over a connection of its own. An error is slow if the
// request came late on that connection, as it may on a busy machine: who says
// nothing for half a second is not waited for.
func (p *launched) page() (got page, slow bool, err error) {
	const soon = 400 * time.Millisecond
	began := time.Now()
	var connected atomic.Bool
	var asked atomic.Int64 // nanoseconds after began, or 0
	ctx, cancel := context.WithTimeout(context.Background(), hangs)
	defer cancel()
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { connected.Store(true) },
		WroteRequest: func(httptrace.WroteRequestInfo) { asked.Store(int64(time.Since(began))) },
	}), http.MethodGet, p.url, nil)
	if err != nil {
		return got, false, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err == nil {
		defer resp.Body.Close()
		err = json.NewDecoder(resp.Body).Decode(&got)
	}
	return got, connected.Load() && time.Duration(cmp.Or(asked.Load(), int64(time.Since(began)))) > soon, err
}

// await waits until a version serves.
func (p *launched) await(t *testing.T, version string) (got page) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		got, _, err = p.page()
		return err == nil && got.Version == version
	}, hangs, 20*time.Millisecond)
	return got
}

// ask asks for pages until stop is called.
func (p *launched) ask() (stop func()) {
	done := make(chan struct{})
	var work sync.WaitGroup
	for range 3 {
		work.Go(func() {
			for {
				switch _, slow, err := p.page(); {
				case err == nil:
					p.answered.Add(1)
				case !slow:
					p.lost.Add(1)
				}
				select {
				case <-done:
					return
				case <-time.After(time.Millisecond):
				}
			}
		})
	}
	return func() { close(done); work.Wait() }
}

// post asks the program to do something and returns the id of the run.
func (p *launched) post(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Post(p.url+path, "", nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	id, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.True(t, bytes.HasSuffix(id, []byte("<nil>")), string(id))
	return strings.TrimSuffix(string(id), "<nil>")
}

// outcome waits for the end of a run.
func (p *launched) outcome(t *testing.T, id string) (run update.Run) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		run, err = p.state.Journal().Get(t.Context(), id)
		return err == nil && run.State.Done()
	}, hangs, 20*time.Millisecond)
	return run
}

// releaseText is the content of a release, which may be that of a good one.
type releaseText = func(good func(version, fault string) string) string

// restartedRelease is a release, and what becomes of a program that restarts as it.
type restartedRelease struct {
	name    string
	content releaseText
	state   update.State
	reason  string
	lossy   bool // the process that has the listener dies
	slow    bool
}

func TestAProgramRestartsItselfAndGoesBackFromWhatIsBad(t *testing.T) {
	t.Parallel()
	as := func(fault string) releaseText {
		return func(good func(version, fault string) string) string { return good("1.1.0", fault) }
	}
	text := func(text string) releaseText { return func(func(string, string) string) string { return text } }
	tests := []restartedRelease{
		{"a good release", as(""), update.StateSucceeded, "", false, false},
		{"one that crashes at start", as("crash"), update.StateRolledBack, "it was started 2 times and did not confirm itself", true, false},
		{"one that crashes once it has added to the tables", as("migrate"), update.StateRolledBack, "it was started 2 times and did not confirm itself", true, false},
		{"one that crashes before main", text("#!/bin/sh\nexit 3\n"), update.StateRolledBack, "it was started 2 times and did not confirm itself", true, false},
		{"one that hangs at start", as("hang"), update.StateRolledBack, "it did not confirm itself within 2s", false, false},
		{"one that hangs before main", text("#!/bin/sh\nexec sleep 60\n"), update.StateRolledBack, "it did not confirm itself within 2s", true, true},
		{"one that is no program", text("\x00\x01 nonsense"), update.StateRolledBack, "exec format error", false, false},
		{"one whose interpreter is missing", text("#!/nowhere/sh\n"), update.StateRolledBack, "no such file", false, false},
		{"one that is found sick", as("sick"), update.StateRolledBack, `step "health": not well`, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, tt.run)
	}
}

func (tt restartedRelease) run(t *testing.T) {
	if tt.slow && os.Getenv("UPKEEP_FULL") != "1" {
		t.Skip("it takes as long as Launch waits")
	}
	t.Parallel()
	within := hangs
	if strings.HasSuffix(tt.reason, "within 2s") {
		within = 2 * time.Second
	}
	p := launch(t, within, tt.content)
	before, _, err := p.page()
	require.NoError(t, err)
	stop := p.ask()
	run := p.outcome(t, p.post(t, "/update"))
	version := map[update.State]string{update.StateSucceeded: "1.1.0", update.StateRolledBack: "1.0.0"}[tt.state]
	after := p.await(t, version)
	stop()
	require.Equal(t, tt.state, run.State, run.Reason)
	require.Contains(t, run.Reason, tt.reason)
	require.Positive(t, p.answered.Load())
	// Each start of the script puts its own before them.
	require.Equal(t, []string{"first", "second arg"}, after.Args[len(after.Args)-2:])
	require.Equal(t, before.Dir, after.Dir)
	if !tt.lossy {
		require.Zero(t, p.lost.Load(), "of %d requests", p.lost.Load()+p.answered.Load())
		require.Equal(t, before.PID, after.PID)
	}
	require.Empty(t, downloads(t, filepath.Join(p.dir, "downloads")))
	content, err := os.ReadFile(filepath.Join(p.dir, "app"))
	require.NoError(t, err)
	want, err := os.ReadFile(filepath.Join(p.dir, version))
	require.NoError(t, err)
	require.Equal(t, string(want), string(content))
}

func TestAnUpdateOfTheProgramItselfIsTakenBackLater(t *testing.T) {
	t.Parallel()
	p := launch(t, hangs, func(good func(version, fault string) string) string { return good("1.1.0", "") })
	id := p.post(t, "/update")
	require.Equal(t, update.StateSucceeded, p.outcome(t, id).State)
	p.await(t, "1.1.0")
	stop := p.ask()
	run := p.outcome(t, p.post(t, "/rollback?run="+id))
	p.await(t, "1.0.0")
	stop()
	require.Equal(t, update.StateSucceeded, run.State, run.Reason)
	require.Zero(t, p.lost.Load())
}
