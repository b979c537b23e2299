package output

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// append is how files are opened that are printed to.
const appending = os.O_RDWR | os.O_APPEND

var errNotRegular = errors.New("output: not a regular file")

// openRegular opens what is a regular file itself, and no link to one.
func openRegular(root *os.Root, name string, flag int) (*os.File, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %q", errNotRegular, name)
	}
	f, err := root.OpenFile(name, flag, 0)
	if err != nil {
		return nil, err
	}
	if after, err := f.Stat(); err != nil || !os.SameFile(before, after) {
		f.Close()
		return nil, fmt.Errorf("%w: %q", errNotRegular, name)
	}
	return f, nil
}

// takeFile opens the file of a log that is there, or makes one. What is no regular
// file is removed.
func takeFile(root *os.Root, name string) (f *os.File, err error) {
	for range 3 { // somebody else may make and remove things
		f, err = openRegular(root, name, appending)
		if err == nil {
			return f, nil
		}
		if errors.Is(err, errNotRegular) {
			if err = root.Remove(name); err != nil {
				return nil, err
			}
		}
		if f, err = createFile(root, name); !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, err
}

// createFile makes a file, which must not be there, and its folder.
func createFile(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, appending|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
			return nil, err
		}
		f, err = root.OpenFile(name, appending|os.O_CREATE|os.O_EXCL, 0o600)
	}
	return f, err
}

func sizeOf(f *os.File) int64 {
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// isAt reports whether f is the file at a path.
func isAt(root *os.Root, name string, f *os.File) bool {
	there, err := root.Lstat(name)
	if err != nil {
		return false
	}
	own, err := f.Stat()
	return err == nil && os.SameFile(there, own)
}

func isRegular(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// same reports whether two readers yield the same bytes.
func same(a, b io.Reader) bool {
	var x, y [block]byte
	for {
		n, errA := io.ReadFull(a, x[:])
		m, errB := io.ReadFull(b, y[:])
		if !bytes.Equal(x[:n], y[:m]) {
			return false
		}
		if errA != nil || errB != nil {
			return errA != nil && errB != nil
		}
	}
}

// copyRange appends what is in a file from a place up to another.
func copyRange(to *os.File, from io.ReaderAt, begin, end int64) error {
	_, err := io.Copy(onlyWriter{to}, onlyReader{io.NewSectionReader(from, begin, end-begin)})
	return err
}

// onlyWriter and onlyReader make io.Copy use a buffer of its own.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

// lineBegin returns where the first line at or after a place begins, or the place
// if that is too far away.
func lineBegin(f io.ReaderAt, at int64) int64 {
	if at == 0 {
		return 0
	}
	var buffer [block]byte
	n, _ := f.ReadAt(buffer[:], at-1)
	if i := bytes.IndexByte(buffer[:n], '\n'); i >= 0 {
		return at + int64(i)
	}
	return at
}
