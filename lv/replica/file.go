package replica

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/internal/lv/wire"
	"github.com/upkeep-go/upkeep/lv"
)

// save writes what readers see to the file, which is the old or the new one
// whatever happens.
func (r *Replica) save(ctx context.Context) (err error) {
	// What was seen last is worth a moment at the end of Run.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	snapshot, err := r.table.Snapshot(ctx)
	if err != nil {
		return err
	}
	f, err := create(r.config.File + ".tmp")
	if err != nil {
		return err
	}
	sum := sha256.New()
	err = wire.WriteSnapshot(io.MultiWriter(f, sum), r.config.Table, snapshot)
	if err == nil {
		_, err = f.WriteString(seal(sum))
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	var written fs.FileInfo
	if err == nil { // before somebody can spoil it under its name
		written, err = os.Lstat(f.Name())
	}
	if err == nil {
		err = os.Rename(f.Name(), r.config.File)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	r.remember(written)
	return nil
}

// remember notes what the file looks like as it was written, or read.
func (r *Replica) remember(info fs.FileInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = info
}

// intact reports whether the file looks as it was read or written, if it ever
// was. Before, there is nothing to keep.
func (r *Replica) intact() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept == nil {
		return true
	}
	info, err := os.Lstat(r.config.File)
	return err == nil && os.SameFile(info, r.kept) && info.Size() == r.kept.Size() && info.ModTime().Equal(r.kept.ModTime())
}

// create makes a new file in the place of what a process that was killed has
// left there. It writes through no link that somebody else has put there.
func create(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// seal is what the file ends with. What a disk made of a content would be shown
// for as long as nobody publishes that row.
func seal(sum hash.Hash) string { return fmt.Sprintf("\n%x\n", sum.Sum(nil)) }

const sealSize = 2*sha256.Size + 2

// open reads the file.
func (r *Replica) open() (lv.Snapshot, error) {
	read, err := os.Lstat(r.config.File)
	if err != nil {
		return lv.Snapshot{}, err
	}
	info, err := os.Stat(r.config.File)
	if err == nil && !info.Mode().IsRegular() { // to open a pipe would wait
		err = fmt.Errorf("lv/replica: %q is not a file", r.config.File)
	}
	if err != nil {
		return lv.Snapshot{}, err
	}
	f, err := os.Open(r.config.File)
	if err != nil {
		return lv.Snapshot{}, err
	}
	defer f.Close()
	text := io.NewSectionReader(f, 0, info.Size()-sealSize)
	if err := intact(f, text); err != nil {
		return lv.Snapshot{}, err
	}
	table, snapshot, err := wire.ReadSnapshot(text)
	if err == nil && table != r.config.Table {
		err = fmt.Errorf("lv/replica: the file is of table %q of %q", table.Schema, table.App)
	}
	if err == nil {
		r.remember(read)
	}
	return snapshot, err
}

// intact checks that a file is the text and its seal, and rewinds the text.
func intact(f *os.File, text *io.SectionReader) error {
	sum, end := sha256.New(), make([]byte, sealSize)
	if text.Size() > 0 {
		if _, err := io.Copy(sum, text); err != nil {
			return err
		}
		if _, err := f.ReadAt(end, text.Size()); err != nil {
			return err
		}
	}
	if string(end) != seal(sum) {
		return errors.New("lv/replica: the file is not as it was written")
	}
	_, err := text.Seek(0, io.SeekStart)
	return err
}
