// The server keeps a small web site and a Go tool up to date, keeps versions of
// the site's banners and pages, simulates a device with firmware and the feed
// that it comes from, rolls new versions of a service (package rollout), which
// is this program in processes of their own, keeps a folder the same on two
// devices (package sync), and serves the APIs for all of that beside the site.
// Its commands ask a server that runs.
//
//	go run ./examples/server
//	go run ./examples/server call GET /lv/status/0
//
// The README beside this file is a walk through all of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/internal/filelock"
	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
)

// options are the flags.
type options struct {
	state string        // folder for everything the server keeps
	addr  string        // where it listens
	pace  time.Duration // how long an update of the site rests, to be looked at
	rows  int           // how many rows the table of items has at least
	sync  int64         // bytes a second that the devices with a folder send and fetch; 0: no limit
	still bool          // begin no service, for tests that are not about one
	deviceOptions
}

func main() {
	var o options
	flag.StringVar(&o.state, "state", defaultState(), "`folder` for everything the server keeps")
	flag.StringVar(&o.addr, "addr", "127.0.0.1:8080", "`address` to listen on; port 0 is any free one")
	flag.DurationVar(&o.pace, "pace", 0, "how long an update of the site rests half-way, so that you can watch it")
	flag.IntVar(&o.rows, "rows", 0, "load so `many` rows into a table of their own, schemaid "+itemsSchema)
	flag.Int64Var(&o.rate, "firmware-rate", 0, "let the device pull so many `bytes` a second, and take its time with all else, so that you can watch it")
	flag.DurationVar(&o.window, "firmware-window", 0, "let the device install only in one hour of the day, which begins so `long` from now")
	flag.Int64Var(&o.sync, "sync-rate", 0, "let the laptop and the phone send and fetch so many `bytes` a second, so that you can watch it")
	stopping := flag.Bool("stop", false, "end the processes of the service, which outlive the server, and exit")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if flag.NArg() > 0 {
		if err := command(ctx, o.state, flag.Args(), os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "server:", err)
			os.Exit(1)
		}
		return
	}
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	do := func() error { return serve(ctx, o, os.Stdout, os.Stderr) }
	if *stopping {
		do = func() error { return stopServices(ctx, o.state, os.Stdout, slog.Default()) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

// defaultState is a folder of the user's, outside the source tree.
func defaultState() string {
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "upkeep-server")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "upkeep-server"
	}
	if runtime.GOOS == "linux" {
		return filepath.Join(home, ".local", "state", "upkeep-server")
	}
	if dir, err := os.UserConfigDir(); err == nil {
		return filepath.Join(dir, "upkeep-server")
	}
	return filepath.Join(home, "upkeep-server")
}

// serve runs the server until ctx ends. What to do with it goes to out.
func serve(ctx context.Context, o options, out, log io.Writer) error {
	release, err := alone(ctx, o.state)
	if err != nil {
		return err
	}
	defer release()
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	db, err := openDatabase(o.state)
	if err != nil {
		return err
	}
	defer db.Close()
	keys, first, err := loadCredentials(o.state, listener.Addr().String()) // after the database is there
	if err != nil {
		return err
	}
	return serveOn(ctx, listener, o, db, keys, first, out, slog.New(slog.NewTextHandler(log, nil)))
}

// serveOn is serve with what all of it needs.
func serveOn(
	ctx context.Context, listener net.Listener, o options, db *sqlite.DB, keys credentials, first bool,
	out io.Writer, logger *slog.Logger,
) error {
	rows, err := lv.New(lv.Config{Store: db, Logger: logger})
	if err != nil {
		return err
	}
	defer rows.Close()
	site, err := openSite(ctx, filepath.Join(o.state, "site"), rows.Table(keys.AppID, keys.SchemaID), logger)
	if err != nil {
		return err
	}
	defer site.Close()
	updates, err := update.New(update.Config{Store: db, Logger: logger, Packages: []update.Package{
		site.updates(keys.Addr, o.pace), tool(filepath.Join(o.state, "tools")),
	}})
	if err != nil {
		return err
	}
	defer updates.Close()
	camera, err := openDevice(ctx, o.state, o.deviceOptions, keys, db, logger)
	if err != nil {
		return err
	}
	services, err := openGreeter(o.state, db, logger)
	if err != nil {
		return err
	}
	defer services.Close()
	diary, err := openFolders(o.state, o.sync, keys, db, logger)
	if err != nil {
		return err
	}
	defer diary.Close()
	routes, err := handler(site, updates, rows, camera, services, diary, keys, logger)
	if err != nil {
		return err
	}
	logger.Info("server: started", "addr", keys.Addr, "state", o.state)
	defer logger.Info("server: stopped")
	live := together(
		func(ctx context.Context) { _ = updates.Run(ctx) }, // ends with ctx
		func(ctx context.Context) { _ = rows.Run(ctx) },    // likewise
		camera.live, diary.live, func(ctx context.Context) { services.live(ctx, !o.still) },
	)
	return run(ctx, listener, routes, updates, live, func() {
		if first { // before anything can go wrong
			keys.reveal(out)
		}
		install(ctx, updates, logger)
		if ctx.Err() != nil {
			return
		}
		keys.print(out, o.state)
		loadItems(ctx, rows.Table(keys.AppID, itemsSchema), o.rows, out, logger)
	})
}

// together does all of it at once, until all has ended.
func together(all ...func(context.Context)) func(context.Context) {
	return func(ctx context.Context) {
		var doing sync.WaitGroup
		for _, f := range all {
			doing.Go(func() { f(ctx) })
		}
		doing.Wait()
	}
}

// alone makes the state folder and keeps other servers out of it, until release
// or the end of the process: its credentials.json says where the one server is.
func alone(ctx context.Context, state string) (release func() error, err error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, time.Second) // for one that is just ending
	defer cancel()
	release, err = filelock.Acquire(wait, filepath.Join(state, "server.lock"))
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("another server uses the folder %q: stop it, or name another folder with -state", state)
	}
	return release, err
}

// openDatabase opens the database of the state folder. A new one is made for a
// new server only: credentials without it say that somebody has taken it away.
func openDatabase(state string) (*sqlite.DB, error) {
	path, keys := filepath.Join(state, "upkeep.db"), filepath.Join(state, "credentials.json")
	if _, err := os.Stat(keys); err == nil {
		if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
			return nil, fmt.Errorf("there is %q but no database %q: put the database back, or remove the credentials too to begin anew", keys, path)
		}
	}
	return sqlite.Open(sqlite.Config{Path: path})
}

// handler serves the site, and the APIs beside it.
func handler(
	site http.Handler, updates *update.Updater, rows *lv.Service, camera *device, services *greeter, diary *folders,
	keys credentials, logger *slog.Logger,
) (http.Handler, error) {
	api, err := httpadapter.New(httpadapter.Config{
		Update: updates, LV: rows, Rollout: services.controller, Folder: diary.laptop, Logger: logger,
		Firmware: camera.now.Load().service, // for openapi.json: what is asked is answered by the program that runs by then
		Tables:   []lv.TableID{{App: keys.AppID, Schema: keys.SchemaID}, {App: keys.AppID, Schema: itemsSchema}},
		Auth:     keys.auth(),
	})
	if err != nil {
		return nil, err
	}
	phone, err := diary.servePhone(keys.auth(), logger)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", api)
	mux.Handle("/phone/", phone)
	for _, path := range []string{"/api/update/", "/upkeep/v1/firmware", "/upkeep/v1/firmware/"} {
		mux.Handle(path, camera)
	}
	mux.Handle("/feed/", camera.shop.serve(camera.pause))
	mux.Handle("/site/", site)
	if services.router != nil {
		mux.Handle("/greeter/", services.router.Handler(greeterID))
	}
	mux.Handle("/{$}", http.RedirectHandler("/site/", http.StatusFound))
	return mux, nil
}

// run serves HTTP and lets all live until ctx ends; ready is called once requests
// are answered.
func run(
	ctx context.Context, l net.Listener, h http.Handler, updates *update.Updater, live func(context.Context), ready func(),
) error {
	ctx, cancel := context.WithCancel(ctx)
	server := newServer(h)
	var background sync.WaitGroup
	background.Go(func() { live(ctx) })
	background.Go(ready)
	background.Go(func() {
		<-ctx.Done()
		stopUpdates(updates) // while the site still answers its health check
		// Event streams have no end of their own: they are cut after a while.
		grace, done := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer done()
		if server.Shutdown(grace) != nil {
			server.Close()
		}
	})
	err := server.Serve(l)
	cancel()
	background.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// newServer returns a server whose clients take bounded time to ask: also those
// who send slowly what nobody reads. The API sees to the time of its replies.
func newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
}

// stopUpdates waits for the step that is under way, for half a minute. One that
// it ended then is begun again by the next server.
func stopUpdates(updates *update.Updater) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	defer time.AfterFunc(time.Second, func() {
		fmt.Fprintln(os.Stderr, "server: stopping once the step that is under way has ended, or in half a minute")
	}).Stop()
	_ = updates.Shutdown(ctx)
}

// install brings the site to its first release when there is none yet, unless
// another server is about to.
func install(ctx context.Context, updates *update.Updater, logger *slog.Logger) {
	status, err := updates.Status(ctx, siteName)
	if err == nil && status.Version == "" && status.Run == nil {
		_, err = updates.Update(ctx, update.Request{Package: siteName, Version: "1.0.0", By: update.By{Actor: "server"}})
	}
	if err != nil && !errors.Is(err, lease.ErrHeld) && ctx.Err() == nil { // else the next server goes on
		logger.Error("server: the site is not installed", "err", err)
	}
}
