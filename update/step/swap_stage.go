package step

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/pause"
	"github.com/upkeep-go/upkeep/update"
)

// tryTime is how long a new program may take to show that it starts.
const tryTime = 10 * time.Second

const bufferSize = 1 << 20 // bytes that are copied at once

// stage writes the new program, durably, beside the old one, and returns what
// it is. What an earlier attempt has left is written anew.
func (s *swapper) stage(ctx context.Context, t *update.Task, p place) (fileID, error) {
	seal, err := newSeal(t.Release, s.Artifact.Keys)
	if err != nil {
		return fileID{}, err
	}
	from, err := os.Open(s.Artifact.File(t))
	if err != nil {
		return fileID{}, err
	}
	defer from.Close()
	size, err := from.Seek(0, io.SeekEnd)
	if err != nil {
		return fileID{}, err
	}
	alive := func(r io.Reader) io.Reader {
		return steady(ctx, r, func(n int64) { t.Progress(min(n, size), size, "") })
	}
	if err := seal.checkAll(alive(io.NewSectionReader(from, 0, size))); err != nil {
		return fileID{}, err
	}
	old, err := os.Stat(p.path)
	if err != nil {
		return fileID{}, err
	}
	name := p.beside(p.newName(t))
	if err := durable.RemoveOn(s.disk, name); err != nil {
		return fileID{}, err
	}
	f, err := s.disk.Create(name)
	if err != nil {
		return fileID{}, err
	}
	to := &staged{file: f, sum: sha256.New(), limit: s.MaxSize}
	err = unpack(to, artifactReader{from, size, alive}, s.member(t))
	if err = errors.Join(err, adopt(f, old), f.Sync(), f.Close()); err != nil {
		return fileID{}, err
	}
	return fileID{Size: to.size, SHA256: hex.EncodeToString(to.sum.Sum(nil))}, p.disk.SyncDir(p.beside(""))
}

// staged is a program that is being written.
type staged struct {
	file  durable.File
	sum   hash.Hash
	size  int64
	limit int64
}

func (s *staged) Write(p []byte) (int, error) {
	if s.size += int64(len(p)); s.size > s.limit {
		return 0, fmt.Errorf("step: the program has more than %d bytes", s.limit)
	}
	s.sum.Write(p)
	return s.file.Write(p)
}

// artifactReader reads an artifact. What alive returns shows that the step
// lives.
type artifactReader struct {
	file  io.ReaderAt
	size  int64
	alive func(io.Reader) io.Reader
}

func (a artifactReader) all() io.Reader { return a.alive(io.NewSectionReader(a.file, 0, a.size)) }

// ReadAt implements io.ReaderAt for zip archives, whose parts are read.
func (a artifactReader) ReadAt(p []byte, at int64) (int, error) {
	return io.ReadFull(a.alive(io.NewSectionReader(a.file, at, int64(len(p)))), p)
}

// unpack writes the program in an artifact, or the artifact itself if member
// is "".
func unpack(to *staged, from artifactReader, member string) error {
	if member == "" {
		_, err := io.CopyBuffer(to, from.all(), make([]byte, bufferSize))
		return err
	}
	var magic [4]byte
	if _, err := from.file.ReadAt(magic[:], 0); err != nil {
		return fmt.Errorf("reading the archive: %w", err)
	}
	err := errors.New("step: the artifact is neither a tar.gz nor a zip archive")
	switch {
	case bytes.HasPrefix(magic[:], []byte{0x1f, 0x8b}):
		err = untar(to, from, member)
	case bytes.Equal(magic[:], []byte("PK\x03\x04")):
		err = unzip(to, from, member)
	}
	if err != nil {
		return fmt.Errorf("unpacking %q: %w", member, err)
	}
	return nil
}

var (
	errNoMember   = errors.New("step: it is not in the archive")
	errTwoMembers = errors.New("step: it is in the archive twice")
	errNoFile     = errors.New("step: it is not a regular file")
)

func untar(to *staged, from artifactReader, member string) error {
	unzipped, err := gzip.NewReader(bufio.NewReader(from.all()))
	if err != nil {
		return err
	}
	// All that comes before and after the member counts: a few bytes can be
	// unpacked to more than anybody wants to wait for.
	left := to.limit
	bounded := readFunc(func(p []byte) (int, error) {
		n, err := unzipped.Read(p)
		if left -= int64(n); left < 0 {
			return 0, fmt.Errorf("step: the archive has more than %d bytes", to.limit)
		}
		return n, err
	})
	archive := tar.NewReader(bounded)
	for found := false; ; {
		header, err := archive.Next()
		switch {
		case err == io.EOF && !found:
			return errNoMember
		case err == io.EOF:
			_, err := io.Copy(io.Discard, bounded) // to where the checksum is
			return err
		case err != nil:
			return err
		case path.Clean(header.Name) != member:
			continue
		case found:
			return errTwoMembers
		case header.Typeflag != tar.TypeReg:
			return errNoFile
		}
		found = true
		if _, err := io.Copy(to, archive); err != nil {
			return err
		}
	}
}

func unzip(to *staged, from artifactReader, member string) error {
	archive, err := zip.NewReader(from, from.size)
	if err != nil {
		return err
	}
	var found *zip.File
	for _, f := range archive.File {
		switch {
		case path.Clean(f.Name) != member:
		case found != nil:
			return errTwoMembers
		case !f.Mode().IsRegular() || f.Name != path.Clean(f.Name) && f.FileInfo().IsDir():
			return errNoFile
		default:
			found = f
		}
	}
	if found == nil {
		return errNoMember
	}
	r, err := found.Open()
	if err != nil {
		return err
	}
	_, err = io.Copy(to, r)
	return errors.Join(err, r.Close())
}

// try runs the new program where it is, to see whether it starts.
func (s *swapper) try(ctx context.Context, t *update.Task, p place) error {
	if len(s.Try) == 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	args := append([]string{p.beside(p.newName(t))}, s.Try...)
	for i := 0; ; i++ {
		out := &output{to: t.Output()}
		err := Exec{Dir: p.dir(), Grace: time.Second}.start(limited, t, args, rand.Text(), out)
		switch {
		case err == nil, ctx.Err() != nil:
			return errors.Join(err, ctx.Err())
		case limited.Err() != nil:
			return fmt.Errorf("step: the new program does not end within %s%s", tryTime, out.quote())
		case !errors.Is(err, syscall.ETXTBSY) || i == 50:
			return fmt.Errorf("step: the new program does not run: %w%s", err, out.quote())
		}
		// A program that is being started elsewhere in this process still has
		// the file open that was written.
		if err := pause.For(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}
