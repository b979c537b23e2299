// Syncdir keeps a folder the same as a directory that others keep theirs the same
// as: a disk, a mount, a share.
//
//	export UPKEEP_PASSPHRASE='correct horse battery staple'
//	go run ./examples/syncdir STATE FOLDER CLOUD DEVICE sync
//
// STATE is a directory for what this device remembers, FOLDER what is synced,
// CLOUD where it is kept, encrypted, and DEVICE the name of this device. Once a
// device has opened CLOUD, it needs the passphrase no more. The other commands
// are in usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/storage/dir"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/vault"
)

const usage = `Usage: syncdir STATE FOLDER CLOUD DEVICE COMMAND [ARGUMENTS]

  sync [PLAN]           make both sides the same; what a guard refuses is done by the id of its plan
  fresh                 begin anew where CLOUD has gone back, or is another one: both sides are united, nothing is deleted
  plan                  show what a sync would do
  watch                 sync now and every 10 seconds, until Ctrl-C
  log [PATH]            list the commits, or those that changed a path
  show COMMIT PATH      print a file as a commit has it
  restore COMMIT PATH   bring a file or a folder back as a commit has it, as an edit that the next sync commits
  conflicts             list the files that two devices have edited, and their copies
  keep file|copy|both   end all conflicts in this way
  compact DAYS          forget the commits that are older, 0 for none, and delete what nothing needs
  verify                read everything, and say what is damaged
  repair                commit that what is damaged is gone: a device that has it sends it again
`

// errUsage reports what is no command line of this program.
var errUsage = errors.New("see syncdir -h")

func main() {
	debug.SetGCPercent(50) // a program of its own may: memory goes before speed
	ctx, done := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	done()
	if err != nil {
		fmt.Fprintln(os.Stderr, "syncdir:", err)
	}
	os.Exit(exitCode(err))
}

// exitCode is 2 for a wrong command line, 1 for what could not be done, and 0.
func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	return 1
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	if len(args) > 0 && (args[0] == "-h" || args[0] == "--help") {
		_, err := fmt.Fprint(out, usage)
		return err
	}
	if len(args) < 5 {
		return fmt.Errorf("STATE FOLDER CLOUD DEVICE COMMAND are needed: %w", errUsage)
	}
	state, path, cloud, device := args[0], args[1], args[2], args[3]
	do, err := find(args[4], args[5:])
	if err != nil {
		return err
	}
	if err := apart(path, map[string]string{"STATE": state, "CLOUD": cloud}); err != nil {
		return err
	}
	for _, d := range []string{state, path, cloud} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	db, err := sqlite.Open(sqlite.Config{Path: filepath.Join(state, "syncdir.db")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	remote, err := dir.Open(dir.Config{Path: cloud})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remote.Close()) }()
	files := cloudsync.Dir(path)
	defer func() { err = errors.Join(err, files.Close()) }()
	folder, err := cloudsync.New(cloudsync.Config{
		Name: "folder", Device: device, Files: files, Store: db, Remote: remote,
		Vault:    vault.New(os.Getenv("UPKEEP_PASSPHRASE")),
		Merge:    map[string]cloudsync.Merge{".json": cloudsync.MergeJSON},
		Interval: 10 * time.Second,
		Logger:   logger(args[4]),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	return advised(ctx, do(commands{folder, out}, ctx, args[5:]))
}

// apart refuses what is in the folder and changes with every sync of it, which would
// be synced for ever.
func apart(folder string, others map[string]string) error {
	folder, err := resolved(folder)
	if err != nil {
		return err
	}
	for name, path := range others {
		path, err := resolved(path)
		if err != nil {
			return err
		}
		if inside, err := filepath.Rel(folder, path); err == nil && filepath.IsLocal(inside) {
			return fmt.Errorf("%s is in FOLDER: %w", name, errUsage)
		}
	}
	return nil
}

// resolved is a path without links, whether all of it is there yet or not.
func resolved(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if above := filepath.Dir(path); errors.Is(err, fs.ErrNotExist) && above != path {
		above, err = resolved(above)
		return filepath.Join(above, filepath.Base(path)), err
	}
	return real, err
}

// logger tells of what nobody waits for: what is waited for comes back as an
// error.
func logger(command string) *slog.Logger {
	if command == "watch" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	return slog.New(slog.DiscardHandler)
}

// advised says of an error what to do about it.
func advised(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("stopped, and the next sync goes on: %w", err)
	case errors.Is(err, cloudsync.ErrPassphrase):
		return fmt.Errorf("%w\nUPKEEP_PASSPHRASE has to be the one that CLOUD was begun with", err)
	case errors.Is(err, cloudsync.ErrGuard):
		return fmt.Errorf("%w\nsee what it would do with the command plan", err)
	case errors.Is(err, cloudsync.ErrForked):
		return fmt.Errorf("%w\nif CLOUD is the one that is meant, such as after a restore, unite both with the command fresh", err)
	case errors.Is(err, cloudsync.ErrBusy):
		return fmt.Errorf("%w\nthe command sync waits for it, or goes on with it if it was killed", err)
	}
	return err
}

// find finds what a user asks for.
func find(name string, args []string) (func(commands, context.Context, []string) error, error) {
	for _, known := range []struct {
		name        string
		least, most int // arguments
		do          func(commands, context.Context, []string) error
	}{
		{"sync", 0, 1, commands.sync}, {"fresh", 0, 0, commands.fresh}, {"plan", 0, 0, commands.plan}, {"watch", 0, 0, commands.watch}, {"log", 0, 1, commands.log},
		{"show", 2, 2, commands.show}, {"restore", 2, 2, commands.restore}, {"conflicts", 0, 0, commands.conflicts},
		{"keep", 1, 1, commands.keep}, {"compact", 1, 1, commands.compact}, {"verify", 0, 0, commands.verify}, {"repair", 0, 0, commands.repair},
	} {
		switch {
		case known.name != name:
		case len(args) < known.least || len(args) > known.most:
			return nil, fmt.Errorf("%s does not take %d arguments: %w", name, len(args), errUsage)
		default:
			return known.do, nil
		}
	}
	return nil, fmt.Errorf("there is no command %q: %w", name, errUsage)
}
