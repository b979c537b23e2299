// Selfupdate shows a program that updates itself. It builds several releases of
// the program in app, good ones and bad ones, signs them, serves them on
// loopback, starts the oldest, and publishes the others one by one, while
// clients ask the program for a page all the time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/update/step"
)

// release is a release of the program, and what is expected of it.
type release struct {
	version string
	what    string
	fault   string // of the program
	within  string // how long it lets its successor take to confirm itself; default: a minute
	forged  bool   // signed by somebody else
	state   string // of the update to it
	lossy   bool   // clients may be lost: the process that has the listener dies
}

var oldest = release{version: "1.0.0", what: "is what is installed"}

var releases = []release{
	{version: "1.1.0", what: "is good", state: "succeeded"},
	{version: "1.2.0", what: "crashes at start", fault: "crash", state: "rolled_back", lossy: true},
	{version: "1.3.0", what: "is signed by somebody else", forged: true, state: "refused"},
	{version: "1.4.0", what: "is good again, and impatient", within: "1s", state: "succeeded"},
	{version: "1.5.0", what: "hangs at start", fault: "hang", state: "rolled_back"},
}

// outcomeTime bounds how long an update may take, also on a busy machine.
const outcomeTime = 5 * time.Minute

func main() {
	dir := flag.String("dir", "", "`folder` to work in; default: one that is removed at the end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *dir); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dir string) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "selfupdate-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	w := &workshop{dir: dir}
	fmt.Println("building the command that signs, and the program")
	if err := w.open(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	w.buildAll(ctx, &work)
	address, err := w.serve(ctx, &work)
	if err != nil {
		return err
	}
	c, err := w.start(ctx, &work, address)
	if err != nil {
		return err
	}
	for _, r := range releases {
		if err := w.publish(ctx, r); err != nil {
			return err
		}
		if err := c.expect(ctx, r); err != nil {
			return fmt.Errorf("release %s: %w", r.version, err)
		}
	}
	return nil
}

// serve serves what is published until ctx ends, and returns the address.
func (w *workshop) serve(ctx context.Context, work *sync.WaitGroup) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: http.FileServer(http.Dir(w.published())), ReadHeaderTimeout: time.Minute}
	work.Go(func() { _ = server.Serve(l) })
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return "http://" + l.Addr().String(), nil
}

// start installs and launches the oldest release, with clients that ask it for
// its page until ctx ends, and waits until it serves.
func (w *workshop) start(ctx context.Context, work *sync.WaitGroup, publisher string) (*clients, error) {
	bin := filepath.Join(w.dir, "bin")
	if err := os.MkdirAll(filepath.Join(bin, "state"), 0o700); err != nil {
		return nil, err
	}
	program := filepath.Join(bin, "app"+exe)
	if err := w.install(ctx, oldest, program); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	work.Go(func() {
		_, err := step.Launch(ctx, program, "-addr", address, "-every", "50ms",
			"-manifest", publisher+"/manifest.json", "-state", filepath.Join(bin, "state"))
		if err != nil && ctx.Err() == nil {
			log.Print(err)
		}
	})
	c := &clients{url: "http://" + address + "/"}
	if err := c.await(ctx, func(s status) bool { return s.Version == "1.0.0" }); err != nil {
		return nil, err
	}
	fmt.Printf("release 1.0.0 serves %s\n\n", c.url)
	for range 4 {
		work.Go(func() { c.ask(ctx) })
	}
	return c, nil
}

// freeAddress returns an address that nobody listens on. Systems do not choose
// its port by themselves, so that nobody has it while the program does not run.
func freeAddress() (address string, err error) {
	for range 1000 {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprint("127.0.0.1:", 10_000+rand.IntN(20_000))); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", err
}
