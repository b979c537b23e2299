package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/remove"
	"github.com/upkeep-go/upkeep/rollout"
)

const (
	bufferSize = 256 << 10 // bytes that are copied at once
	// maxWindow is the most memory that an archive by zstd may ask for, which is
	// what the zstd program allows too.
	maxWindow = 128 << 20
)

// unpack makes the folder of <digest>.tar.
func (s *Shelf) unpack(ctx context.Context, name string) (err error) {
	packed, err := s.root.Open(name + tarPart)
	if err != nil {
		return err
	}
	defer packed.Close()
	fresh := name + "." + rand.Text()
	if err := s.root.Mkdir(fresh, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove.All(context.WithoutCancel(ctx), s.path(fresh), func() {}))
		}
	}()
	if err := s.fill(ctx, fresh, packed); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	if err := s.root.Rename(fresh, name); err != nil {
		return err
	}
	return durable.SyncDir(s.root.Name())
}

// fill unpacks into a folder, which it has closed then.
func (s *Shelf) fill(ctx context.Context, fresh string, packed *os.File) (err error) {
	root, err := s.root.OpenRoot(fresh)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return unpack(root, lasting{ctx, packed}, s.Config)
}

// unpacker makes files of an archive in a folder that nobody else uses.
type unpacker struct {
	Config
	root    *os.Root
	stream  *stream
	archive *tar.Reader
	buffer  []byte

	made    map[string]kind
	folders []string // in the order in which they were made
	files   int      // and links, but no folders
}

// unpack makes of an archive, durably, what is in it. After an error some of it
// may be there.
func unpack(root *os.Root, packed io.Reader, c Config) error {
	plain, end, err := unpacked(packed)
	if err != nil {
		return sure(err)
	}
	defer end()
	u := &unpacker{
		Config: c, root: root, stream: &stream{from: plain, limit: c.MaxUnpacked}, buffer: make([]byte, bufferSize),
		made: map[string]kind{".": implied}, folders: []string{"."},
	}
	u.archive = tar.NewReader(u.stream)
	if err := u.all(); err != nil {
		return sure(err)
	}
	if u.files == 0 {
		return fmt.Errorf("%w: the archive is empty", rollout.ErrInvalid)
	}
	return u.sync()
}

// sure makes an ErrInvalid of what is wrong with an archive, and not with a
// disk or a context.
func sure(err error) error {
	_, path := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	if path || link || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, rollout.ErrInvalid) {
		return err
	}
	return fmt.Errorf("%w: the archive is damaged, or none: %w", rollout.ErrInvalid, err)
}

// unpacked is what an archive has, without its compression. end frees what that
// needs.
func unpacked(packed io.Reader) (plain io.Reader, end func(), err error) {
	from := bufio.NewReaderSize(packed, bufferSize)
	magic, err := from.Peek(4)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		plain, err = gzip.NewReader(from)
		return plain, func() {}, err
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		d, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		return d, d.Close, nil
	}
	return from, func() {}, nil
}

// stream bounds how much of an archive there is, whatever it is.
type stream struct {
	from  io.Reader
	limit int64
	read  int64
	zeros int64 // that were read last
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if s.read += int64(n); s.read > s.limit {
		return 0, fmt.Errorf("%w: the archive has more than %d bytes unpacked", rollout.ErrInvalid, s.limit)
	}
	used := len(bytes.TrimRight(p[:n], "\x00"))
	if used > 0 {
		s.zeros = 0
	}
	s.zeros += int64(n - used)
	return n, err
}

// ending is what a tar archive ends with: two blocks of zeros.
const ending = 2 * 512

// all unpacks every entry.
func (u *unpacker) all() error {
	for {
		before := u.stream.read
		header, err := u.archive.Next()
		if err == io.EOF {
			return u.end(u.stream.read - before)
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) { // entry sees to that
			return err
		}
		if header.Typeflag == tar.TypeXGlobalHeader { // a comment
			continue
		}
		if err := u.entry(header); err != nil {
			return err
		}
	}
}

// end looks whether an archive ends where it should. Next has read so many
// bytes to find that out: what an entry is filled up with, which is less than a
// block, and the two blocks of the end unless they are missing.
func (u *unpacker) end(read int64) error {
	if read < ending || u.stream.zeros < ending {
		return fmt.Errorf("%w: the archive is cut short", rollout.ErrInvalid)
	}
	u.stream.zeros = 0
	before := u.stream.read
	if _, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{u.stream}, u.buffer); err != nil {
		return err // also where a checksum comes last
	}
	if u.stream.zeros != u.stream.read-before {
		return fmt.Errorf("%w: something follows the end of the archive", rollout.ErrInvalid)
	}
	return nil
}

// sync makes the names in all folders durable. The files are.
func (u *unpacker) sync() error {
	for _, name := range slices.Backward(u.folders) {
		if err := u.root.Chmod(name, 0o755); err != nil { // whatever the umask
			return err
		}
		if err := syncFolder(u.root, name); err != nil {
			return err
		}
	}
	return nil
}
