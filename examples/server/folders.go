package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/storage/dir"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/vault"
)

// folders are a diary on two devices of one person, and the cloud that keeps
// both the same. Each device knows nothing of the other.
type folders struct {
	laptop, phone *cloudsync.Folder
	closers       []func() error // in the order of their opening
}

// days are how many the diary has at first.
const days = 30

// openFolders opens the devices, and writes the diary for a new laptop.
func openFolders(state string, rate int64, keys credentials, store cloudsync.Store, log *slog.Logger) (f *folders, err error) {
	f = &folders{}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if err := writeDiary(filepath.Join(state, "laptop")); err != nil {
		return f, err
	}
	for _, name := range []string{"cloud", "phone"} {
		if err := os.MkdirAll(filepath.Join(state, name), 0o700); err != nil {
			return f, err
		}
	}
	cloud, err := dir.Open(dir.Config{Path: filepath.Join(state, "cloud")})
	if err != nil {
		return f, err
	}
	f.closers = append(f.closers, cloud.Close)
	for _, d := range []struct {
		name   string
		folder **cloudsync.Folder
	}{{"laptop", &f.laptop}, {"phone", &f.phone}} {
		files := cloudsync.Dir(filepath.Join(state, d.name))
		f.closers = append(f.closers, files.Close)
		*d.folder, err = cloudsync.New(cloudsync.Config{
			Name: d.name, Device: d.name, Files: files, Store: store, Remote: cloud, Vault: vault.New(keys.Passphrase), Logger: log,
			Gate: func(context.Context) error { return errors.New("here a sync is for who asks for it") },
			Rate: func() (up, down int64) { return rate, rate },
		})
		if err != nil {
			return f, err
		}
		f.closers = append(f.closers, (*d.folder).Close)
	}
	return f, nil
}

// writeDiary writes a diary into a folder that is not there yet.
func writeDiary(folder string) error {
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Join(folder, "diary"), 0o700); err != nil {
		return err
	}
	for day := 1; day <= days; day++ {
		text := fmt.Sprintf("Day %d: nothing new.\n", day)
		if err := os.WriteFile(filepath.Join(folder, "diary", fmt.Sprintf("%02d.md", day)), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// live takes up the syncs that a dead server has left, until ctx ends.
func (f *folders) live(ctx context.Context) {
	together(
		func(ctx context.Context) { _ = f.laptop.Run(ctx) }, // ends with ctx
		func(ctx context.Context) { _ = f.phone.Run(ctx) },  // likewise
	)(ctx)
}

// Close leaves the syncs that are under way for the next server.
func (f *folders) Close() (err error) {
	for i := range f.closers {
		err = errors.Join(err, f.closers[len(f.closers)-1-i]())
	}
	return err
}

// servePhone is the phone's own API, below /phone.
func (f *folders) servePhone(auth httpadapter.Authenticator, log *slog.Logger) (http.Handler, error) {
	return httpadapter.New(httpadapter.Config{Folder: f.phone, Prefix: "/phone", Auth: auth, Logger: log})
}
