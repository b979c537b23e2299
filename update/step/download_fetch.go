package step

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/fetch"
	"github.com/upkeep-go/upkeep/update"
)

// download is a Download under way.
type download struct {
	Artifact
	task *update.Task
	disk durable.Disk
}

func (d *download) do(ctx context.Context) error {
	if exists(d.File(d.task)) {
		return d.disk.SyncDir(d.Dir) // it was checked before it got this name
	}
	seal, err := newSeal(d.task.Release, d.Keys)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.Dir, 0o700); err != nil {
		return err
	}
	if err := checkPrivateFolder(d.Dir); err != nil {
		return err
	}
	err = sweepDownloads(d.disk, d.Dir, func(name string) bool {
		return strings.HasPrefix(name, downloadsOf(d.task)) && !isDownloadOf(d.task, name)
	})
	if err != nil {
		return err
	}
	transfer, err := d.transfer(seal)
	if err != nil {
		return err
	}
	return transfer.Run(ctx)
}

// transfer is what is to be fetched, and what is there of it.
func (d *download) transfer(s seal) (*fetch.Transfer, error) {
	address, err := artifactURL(d.task.Release.URL)
	if err != nil {
		return nil, err
	}
	var kept fetch.Kept
	if err := d.task.Load(&kept); err != nil {
		return nil, err
	}
	passed := s.newSums()
	return &fetch.Transfer{
		Client: fetch.Client{HTTP: d.Client, Header: d.Header, Stall: d.Stall, AllowHTTP: true},
		URL:    address,
		Dir:    d.Dir, Name: downloadOf(d.task),
		Size: d.task.Release.Size, MaxSize: d.MaxSize,
		Attempts: d.Attempts,
		Disk:     d.disk,
		Sum:      passed,
		Check:    func() error { return s.check(passed) },
		Kept:     kept,
		Save:     func(ctx context.Context, k fetch.Kept) error { return d.task.Save(ctx, k) },
		Progress: func(done, total int64) { d.task.Progress(done, total, "") },
		Waiting:  d.waiting,
		Again: func(why error) {
			say(d.task, "fetching it all again, since the parts do not fit together: "+why.Error())
		},
	}, nil
}

// waiting shows that the step lives until it is time for another attempt.
func (d *download) waiting(done, total int64, why error) (over func()) {
	message := fmt.Sprintf("%s; another attempt follows", why)
	sign := func() { d.task.Progress(done, total, message) }
	sign()
	return meanwhile(sign)
}
