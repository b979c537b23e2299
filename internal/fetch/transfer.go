package fetch

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/pause"
)

// ErrSize reports a file that is larger than allowed, or not as large as it
// should be.
var ErrSize = errors.New("wrong size")

const (
	bufferSize = 1 << 20  // bytes read before they are hashed and written
	enough     = 64 << 10 // bytes that an attempt has to bring to be no failure
)

// Kept is what a Transfer keeps, so that another one can go on.
type Kept struct {
	Part string // name of the file that is being filled
	ETag string // strong validator of what is in it, or ""
}

// Sum is computed of what passes: a hash, or several.
type Sum interface {
	io.Writer // which does not fail
	Reset()
}

// Transfer fetches a whole file, which gets its name when it is good. A zero
// field means its documented default; what says nothing of that is required.
//
// A transfer that is cut, stalls, or is answered by what may pass is tried
// again, and goes on where it was cut, also by another Transfer, if the server
// gave a strong ETag. If parts of several answers are not good together, all is
// fetched again once. What is fetched and not good is removed; what could be
// gone on with stays when Run fails.
type Transfer struct {
	Client Client
	URL    *url.URL // http, https or file
	// Dir is the folder, of this user alone, in which the file gets its Name.
	// Meanwhile it is another one there, whose name begins with that and a dot.
	Dir, Name string
	Size      int64 // in bytes. Default: any up to MaxSize
	MaxSize   int64
	Attempts  int // in a row that may bring nothing, or less than 64 KiB. Default 8
	Disk      durable.Disk
	// Sum takes all that the file has. Check then says whether it is good.
	Sum   Sum
	Check func() error
	// Kept is what Save was called with last, before anything is written.
	Kept Kept
	Save func(context.Context, Kept) error
	// Progress is called with each piece that has come, of total bytes, which
	// is 0 if that is not known. Default: nobody is told.
	Progress func(done, total int64)
	// Waiting is called before a pause with the reason for it, and what it
	// returns after. Default: nobody is told.
	Waiting func(done, total int64, why error) (over func())
	// Again is called before all is fetched again, since the parts do not fit
	// together. Default: nobody is told.
	Again func(why error)

	file      durable.File // nil until there is something to write
	size      int64        // of what is in file
	spliced   bool         // file was filled by several answers
	total     int64        // bytes of the whole, or 0 if not known
	retry     Retry
	rangeless bool // ranges are not to be asked for any more
	buffer    []byte
}

// Run fetches the file. It is called once.
func (t *Transfer) Run(ctx context.Context) (err error) {
	t.total, t.buffer = t.Size, make([]byte, bufferSize)
	t.retry = Retry{
		First: 500 * time.Millisecond, Longest: 30 * time.Second, Patience: 10 * time.Minute,
		Attempts: cmp.Or(t.Attempts, 8), Enough: enough,
	}
	defer func() {
		if t.file != nil {
			err = errors.Join(err, t.file.Close())
		}
	}()
	if err := t.takeUp(ctx); err != nil {
		return err
	}
	if err := t.fill(ctx); err != nil {
		return err
	}
	return t.finish()
}

func (t *Transfer) part() string { return filepath.Join(t.Dir, t.Kept.Part) }

// takeUp goes on with the file of an earlier attempt, if there is one whose
// content can be told from another.
func (t *Transfer) takeUp(ctx context.Context) error {
	if t.Kept.ETag == "" {
		return nil
	}
	f, err := os.Open(t.part())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	count := readFunc(func(p []byte) (int, error) {
		n, err := until(ctx, f).Read(p)
		t.size += int64(n)
		t.progress(t.size)
		return n, err
	})
	if _, err := io.CopyBuffer(t.Sum, count, t.buffer); err != nil {
		return err
	}
	if t.file, err = t.Disk.Append(t.part()); err != nil {
		return err
	}
	t.spliced, t.retry.Reached = true, t.size
	if t.size > t.limit() {
		return t.drop()
	}
	return nil
}

// begin makes a file for content that etag is the validator of.
func (t *Transfer) begin(ctx context.Context, etag string) error {
	if err := t.drop(); err != nil {
		return err
	}
	// Known before it is made, so that nothing is ever left unnamed.
	t.Kept = Kept{Part: t.Name + "." + rand.Text(), ETag: etag}
	if err := t.Save(ctx, t.Kept); err != nil {
		return err
	}
	var err error
	t.file, err = t.Disk.Create(t.part())
	return err
}

// drop removes the file that is being filled.
func (t *Transfer) drop() error {
	t.Sum.Reset()
	t.size, t.spliced = 0, false
	if t.file != nil {
		file := t.file
		t.file = nil
		if err := file.Close(); err != nil {
			return err
		}
	}
	if t.Kept.Part == "" {
		return nil
	}
	return durable.RemoveOn(t.Disk, t.part())
}

// limit is how many bytes there may be.
func (t *Transfer) limit() int64 {
	if t.Size > 0 {
		return t.Size
	}
	return t.MaxSize
}

func (t *Transfer) progress(done int64) {
	if t.Progress != nil {
		t.Progress(done, t.total)
	}
}

// fill fetches until the file is good.
func (t *Transfer) fill(ctx context.Context) error {
	for {
		if err := t.fetch(ctx); err != nil {
			return err
		}
		bad, spliced := t.Check(), t.spliced
		if bad == nil {
			return nil
		}
		if err := t.drop(); err != nil {
			return errors.Join(bad, err)
		}
		if !spliced {
			return bad
		}
		if t.Again != nil {
			t.Again(bad)
		}
		t.rangeless = true
	}
}

// fetch fetches until the file is complete.
func (t *Transfer) fetch(ctx context.Context) error {
	for t.retry.Failures = 0; t.Size == 0 || t.size != t.Size; {
		complete, err := t.attempt(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case complete:
			return nil
		}
		long, end := t.retry.After(err, t.size)
		if end != nil {
			return end
		}
		if err := t.wait(ctx, long, err); err != nil {
			return err
		}
	}
	return nil
}

// wait waits until it is time for another attempt.
func (t *Transfer) wait(ctx context.Context, long time.Duration, why error) error {
	if t.Waiting != nil {
		defer t.Waiting(t.size, t.total, why)()
	}
	return pause.For(ctx, long)
}

// receive writes what body has to the file, until its end.
func (t *Transfer) receive(body io.Reader) error {
	for ended := error(nil); ended == nil; {
		filled := 0
		for filled < len(t.buffer) && ended == nil {
			var n int
			n, ended = body.Read(t.buffer[filled:])
			filled += n
			if n > 0 {
				t.progress(t.size + int64(filled))
			}
		}
		if t.size+int64(filled) > t.limit() {
			return fmt.Errorf("%w: the server sends more than %d bytes", ErrSize, t.limit())
		}
		if _, err := t.file.Write(t.buffer[:filled]); err != nil {
			return fmt.Errorf("writing the download: %w", err)
		}
		_, _ = t.Sum.Write(t.buffer[:filled])
		t.size += int64(filled)
		if ended != nil && ended != io.EOF {
			return ended
		}
	}
	return nil
}

// finish gives the file its name.
func (t *Transfer) finish() error {
	file := t.file
	t.file = nil
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := t.Disk.Rename(t.part(), filepath.Join(t.Dir, t.Name)); err != nil {
		return err
	}
	return t.Disk.SyncDir(t.Dir)
}
