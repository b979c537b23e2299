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
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/storage/dir"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/vault"
)

const usage = `syncdir STATE FOLDER CLOUD DEVICE COMMAND [ARGUMENTS]

  sync [PLAN]           make both sides the same; what a guard refuses is done by the id of its plan
  plan                  show what a sync would do
  watch                 sync now and every 10 seconds, until Ctrl-C
  log [PATH]            list the commits, or those that changed a path
  show COMMIT PATH      print a file as a commit has it
  restore COMMIT PATH   bring a file or a folder back as a commit has it, as an edit that the next sync commits
  conflicts             list the files that two devices have edited, and their copies
  keep file|copy|both   end all conflicts in this way
  compact DAYS          forget the commits that are older, and delete what nothing needs
  verify                read everything, and say what is damaged
  repair                commit that what is damaged is gone: a device that has it sends it again
`

func main() {
	debug.SetGCPercent(50) // a program of its own may: memory goes before speed
	ctx, done := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer done()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "syncdir:", err)
		done()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	if len(args) < 5 {
		return fmt.Errorf("STATE FOLDER CLOUD DEVICE COMMAND are needed\n%s", strings.TrimSpace(usage))
	}
	state, path, cloud, device, command := args[0], args[1], args[2], args[3], args[4]
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
		Logger:   slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	return do(ctx, folder, out, command, args[5:])
}

func do(ctx context.Context, folder *cloudsync.Folder, out io.Writer, command string, args []string) error {
	c := commands{folder, out}
	for _, known := range []struct {
		name        string
		least, most int // arguments
		run         func(context.Context, []string) error
	}{
		{"sync", 0, 1, c.sync}, {"plan", 0, 0, c.plan}, {"watch", 0, 0, c.watch}, {"log", 0, 1, c.log}, {"show", 2, 2, c.show},
		{"restore", 2, 2, c.restore}, {"conflicts", 0, 0, c.conflicts}, {"keep", 1, 1, c.keep}, {"compact", 1, 1, c.compact},
		{"verify", 0, 0, c.verify}, {"repair", 0, 0, c.repair},
	} {
		if known.name == command && len(args) >= known.least && len(args) <= known.most {
			return known.run(ctx, args)
		}
	}
	return fmt.Errorf("%s: no such command, or not with %d arguments\n%s", command, len(args), strings.TrimSpace(usage))
}
