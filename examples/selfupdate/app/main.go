// App is a server that replaces itself by the newest release of a signed
// manifest, while requests flow. It says on every page which version it is,
// and what became of the last update.
package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/source/manifest"
	"github.com/upkeep-go/upkeep/update/step"
)

// The build sets these, by -ldflags "-X main.version=1.0.0 …".
var (
	version     = "1.0.0"
	fault       string // what is wrong with this release on purpose: "crash" or "hang"
	within      = "1m" // how long the next release may take to confirm itself
	manifestKey string // who may sign the manifest
	artifactKey string // who may sign the releases
)

const pkg = "demo/app"

func main() {
	program, err := step.Begin("") // before anything that a bad release could get wrong
	if err != nil {
		log.Print(err) // there may be no way back
	}
	addr := flag.String("addr", "127.0.0.1:8082", "where to listen")
	manifests := flag.String("manifest", "", "`URL` of the manifest")
	state := flag.String("state", ".", "`folder` for the state and for downloads")
	every := flag.Duration("every", time.Minute, "how often to look for a newer release")
	flag.Parse()
	switch fault {
	case "crash":
		log.Fatalf("release %s crashes at start", version)
	case "hang":
		log.Printf("release %s hangs at start", version)
		time.Sleep(time.Hour)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, program, *addr, *manifests, *state, *every); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, program *step.Program, addr, manifests, state string, every time.Duration) error {
	db, err := sqlite.Open(sqlite.Config{Path: filepath.Join(state, "upkeep.db")})
	if err != nil {
		return err
	}
	defer db.Close()
	a := &app{}
	server := &http.Server{Handler: a, ReadHeaderTimeout: time.Minute}
	p, err := self(program, server, manifests, state)
	if err != nil {
		return err
	}
	a.u, err = update.New(update.Config{Store: db, Packages: []update.Package{p}})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = a.u.Shutdown(ctx) // the next start goes on with a step that it ended
	}()

	l, err := program.Listen("tcp", addr)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer server.Close()
	if err := program.Confirm(); err != nil { // it serves: this release may stay
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	work.Go(func() { _ = a.u.Run(ctx) }) // ends the update that has started this process
	work.Go(func() { a.keepCurrent(ctx, every) })
	select {
	case <-ctx.Done():
		return nil
	case err := <-served:
		if errors.Is(err, http.ErrServerClosed) { // by Restart, which makes this process another
			<-ctx.Done()
			return nil
		}
		return err
	}
}

// self is the package that is this program.
func self(program *step.Program, server *http.Server, manifests, state string) (update.Package, error) {
	mayRelease, err := manifest.ParsePublicKey(manifestKey)
	if err != nil {
		return update.Package{}, err
	}
	mayBuild, err := step.ParseKey(artifactKey)
	if err != nil {
		return update.Package{}, err
	}
	current := func(context.Context) (string, error) { return version, nil }
	patience, err := time.ParseDuration(within)
	if err != nil {
		return update.Package{}, err
	}
	artifact := step.Artifact{Dir: filepath.Join(state, "downloads"), Keys: []step.Key{mayBuild}}
	return update.Package{
		Name: pkg, Current: current,
		Source: &manifest.Source{
			URL: manifests, Keys: []ed25519.PublicKey{mayRelease}, Current: current,
			State: manifest.StateFile(filepath.Join(state, "manifest.state")),
		},
		Steps: []update.Step{
			step.Download(artifact),
			step.SwapBinary(step.Binary{Artifact: artifact, Within: patience}),
			step.Restart(program, program.Shutdown(server)),
		},
	}, nil
}

// app is the server.
type app struct {
	u       *update.Updater
	refused atomic.Pointer[status] // the last release that no update was begun for
}

// status is what every page says.
type status struct {
	Version string       `json:"version"`
	Last    string       `json:"last,omitempty"` // the version of the last update
	State   update.State `json:"state,omitempty"`
	Reason  string       `json:"reason,omitempty"`
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := status{Version: version}
	if refused := a.refused.Load(); refused != nil {
		s = *refused
	} else {
		for run, err := range a.u.History(r.Context(), update.Query{Package: pkg}) {
			if err != nil {
				http.Error(w, "the history cannot be read", http.StatusInternalServerError)
				return
			}
			s.Last, s.State, s.Reason = run.Version, run.State, run.Reason
			break
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s) // the client may have gone
}

// keepCurrent looks for a newer release until ctx ends.
func (a *app) keepCurrent(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for last := ""; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		plan, err := a.u.Plan(ctx, update.Request{Package: pkg})
		if plan.UpToDate || plan.Version != "" && plan.Version == last {
			continue
		}
		last = plan.Version
		switch {
		case err == nil:
			// The request id makes one attempt of each version, whatever happens.
			var run update.Run
			run, err = a.u.Update(ctx, update.Request{
				Package: pkg, Version: plan.Version, Wait: true, By: update.By{RequestID: plan.Version},
			})
			a.refused.Store(nil)
			if run.ID != "" {
				continue // how it ended is in the history, and on the page
			}
		case plan.Version != "":
			a.refused.Store(&status{Version: version, Last: plan.Version, State: "refused", Reason: err.Error()})
			continue
		}
		if err != nil {
			log.Printf("updating %s to %s: %v", version, cmp.Or(plan.Version, "the newest release"), err)
		}
	}
}
