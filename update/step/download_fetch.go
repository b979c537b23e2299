package step

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/fetch"
	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/update"
)

const bufferSize = 1 << 20 // bytes read before they are hashed and written

// fetched is what the step keeps.
type fetched struct {
	Part string // name of the file that is being filled
	ETag string // strong validator of what is in it, or ""
}

// download is a Download under way.
type download struct {
	Artifact
	task *update.Task
	disk durable.Disk
	seal seal

	kept      fetched
	file      durable.File // nil until there is something to write
	sums      *sums        // of what is in file
	spliced   bool         // file was filled by several answers
	total     int64        // bytes of the whole, or 0 if not known
	retry     fetch.Retry
	rangeless bool // ranges are not to be asked for any more
	buffer    []byte
}

func (d *download) do(ctx context.Context) (err error) {
	if exists(d.File(d.task)) {
		return d.disk.SyncDir(d.Dir) // it was checked before it got this name
	}
	if d.seal, err = newSeal(d.task.Release, d.Keys); err != nil {
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
	d.sums, d.total, d.buffer = d.seal.newSums(), d.task.Release.Size, make([]byte, bufferSize)
	d.retry = fetch.Retry{
		First: 500 * time.Millisecond, Longest: 30 * time.Second, Patience: 10 * time.Minute,
		Attempts: d.Attempts, Enough: 64 << 10,
	}
	defer func() {
		if d.file != nil {
			err = errors.Join(err, d.file.Close())
		}
	}()
	if err := d.takeUp(ctx); err != nil {
		return err
	}
	if err := d.fill(ctx); err != nil {
		return err
	}
	return d.finish()
}

func (d *download) part() string { return filepath.Join(d.Dir, d.kept.Part) }

// takeUp goes on with the file of an earlier attempt, if there is one whose
// content can be told from another.
func (d *download) takeUp(ctx context.Context) error {
	if err := d.task.Load(&d.kept); err != nil || d.kept.ETag == "" {
		return err
	}
	f, err := os.Open(d.part())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyBuffer(d.sums, steady(ctx, f, d.progress), d.buffer); err != nil {
		return err
	}
	if d.file, err = d.disk.Append(d.part()); err != nil {
		return err
	}
	d.spliced, d.retry.Reached = true, d.sums.size
	if d.sums.size > d.limit() {
		return d.drop()
	}
	return nil
}

// begin makes a file for content that etag is the validator of.
func (d *download) begin(ctx context.Context, etag string) error {
	if err := d.drop(); err != nil {
		return err
	}
	// Known before it is made, so that nothing is ever left unnamed.
	d.kept = fetched{Part: downloadOf(d.task) + "." + rand.Text(), ETag: etag}
	if err := d.task.Save(ctx, d.kept); err != nil {
		return err
	}
	var err error
	d.file, err = d.disk.Create(d.part())
	return err
}

// drop removes the file that is being filled.
func (d *download) drop() error {
	d.sums.reset()
	d.spliced = false
	if d.file != nil {
		file := d.file
		d.file = nil
		if err := file.Close(); err != nil {
			return err
		}
	}
	if d.kept.Part == "" {
		return nil
	}
	return durable.RemoveOn(d.disk, d.part())
}

// limit is how many bytes there may be.
func (d *download) limit() int64 {
	if d.task.Release.Size > 0 {
		return d.task.Release.Size
	}
	return d.MaxSize
}

func (d *download) progress(done int64) { d.task.Progress(done, d.total, "") }

// fill fetches until the file is good.
func (d *download) fill(ctx context.Context) error {
	for {
		if err := d.fetch(ctx); err != nil {
			return err
		}
		bad, spliced := d.seal.check(d.sums), d.spliced
		if bad == nil {
			return nil
		}
		if err := d.drop(); err != nil {
			return errors.Join(bad, err)
		}
		if !spliced {
			return bad
		}
		say(d.task, "fetching it all again, since the parts do not fit together: "+bad.Error())
		d.rangeless = true
	}
}

// fetch fetches until the file is complete.
func (d *download) fetch(ctx context.Context) error {
	for d.retry.Failures = 0; d.task.Release.Size == 0 || d.sums.size != d.task.Release.Size; {
		complete, err := d.attempt(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case complete:
			return nil
		}
		long, end := d.retry.After(err, d.sums.size)
		if end != nil {
			return end
		}
		if err := d.wait(ctx, long, err); err != nil {
			return err
		}
	}
	return nil
}

// wait shows that the step lives until it is time for another attempt.
func (d *download) wait(ctx context.Context, long time.Duration, why error) error {
	there, message := d.sums.size, fmt.Sprintf("%s; another attempt follows", why)
	sign := func() { d.task.Progress(there, d.total, message) }
	sign()
	defer meanwhile(sign)()
	return pause.For(ctx, long)
}

// receive writes what body has to the file, until its end.
func (d *download) receive(body io.Reader) error {
	for ended := error(nil); ended == nil; {
		filled := 0
		for filled < len(d.buffer) && ended == nil {
			var n int
			n, ended = body.Read(d.buffer[filled:])
			filled += n
			if n > 0 {
				d.progress(d.sums.size + int64(filled))
			}
		}
		if d.sums.size+int64(filled) > d.limit() {
			return fmt.Errorf("step: the server sends more than %d bytes", d.limit())
		}
		if _, err := d.file.Write(d.buffer[:filled]); err != nil {
			return fmt.Errorf("writing the download: %w", err)
		}
		d.sums.Write(d.buffer[:filled])
		if ended != nil && ended != io.EOF {
			return ended
		}
	}
	return nil
}

// finish gives the file its name.
func (d *download) finish() error {
	file := d.file
	d.file = nil
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := d.disk.Rename(d.part(), d.File(d.task)); err != nil {
		return err
	}
	return d.disk.SyncDir(d.Dir)
}
