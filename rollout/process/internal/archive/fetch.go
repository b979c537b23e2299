package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/fetch"
	"github.com/upkeep-go/upkeep/rollout"
)

// errDigest is the ErrInvalid of bytes that are not those of the archive.
var errDigest = fmt.Errorf("%w: wrong SHA-256", rollout.ErrInvalid)

// fetch makes <digest>.tar, whole and checked, unless it is there and still is.
func (s *Shelf) fetch(ctx context.Context, name string, a rollout.Archive) error {
	err := s.check(ctx, name, a.Digest)
	if err == nil {
		return nil
	}
	if errors.Is(err, errDigest) { // whatever has become of it
		err = durable.Remove(s.path(name + tarPart))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	address, err := addressOf(a.URL)
	if err != nil {
		return err
	}
	t := s.transfer(name, address, a.Digest)
	err = t.Run(ctx)
	if errors.Is(err, fetch.ErrSize) {
		err = fmt.Errorf("%w: %w", rollout.ErrInvalid, err)
	}
	if err == nil {
		err = s.check(ctx, name, a.Digest) // what is on the disk, too
	}
	if err != nil {
		err = fmt.Errorf("fetching %s: %w", fetch.Redacted(address), err)
		if !resumable(ctx, err) || t.Kept.ETag == "" {
			err = errors.Join(err, s.sweep(context.WithoutCancel(ctx), name, func(fs.DirEntry) bool { return true }))
		}
	}
	return err
}

// resumable reports whether another attempt may go on with what has come.
func resumable(ctx context.Context, err error) bool {
	var passing *fetch.Passing
	return ctx.Err() != nil || errors.As(err, &passing)
}

// addressOf reads where an archive is. The digest tells what is good, so http
// will do, as it does for the artifacts of releases.
func addressOf(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: the URL of the archive cannot be parsed", rollout.ErrInvalid)
	}
	if err := fetch.Secure(u, true); err != nil {
		return nil, fmt.Errorf("%w: the URL of the archive: %w", rollout.ErrInvalid, err)
	}
	return u, nil
}

func (s *Shelf) transfer(name string, address *url.URL, digest []byte) *fetch.Transfer {
	passed := sha256.New()
	return &fetch.Transfer{
		Client:  fetch.Client{HTTP: s.Client, AllowHTTP: true},
		URL:     address,
		Dir:     s.root.Name(),
		Name:    name + tarPart,
		MaxSize: s.MaxSize,
		Disk:    durable.OS,
		Sum:     passed,
		Check:   func() error { return checkSum(passed, digest) },
		Kept:    s.kept(name),
		Save: func(_ context.Context, k fetch.Kept) error {
			data, err := json.Marshal(k)
			if err != nil {
				return err
			}
			return durable.Rewrite(s.path(name+keptPart), data, 0o600)
		},
	}
}

// kept is what an earlier fetch has left to go on with, if it can be read.
func (s *Shelf) kept(name string) (k fetch.Kept) {
	data, err := s.root.ReadFile(name + keptPart)
	if err == nil {
		err = json.Unmarshal(data, &k)
	}
	if rest, ok := strings.CutPrefix(k.Part, name+tarPart+"."); err != nil || !ok || strings.ContainsAny(rest, `/\`) {
		return fetch.Kept{}
	}
	return k
}

// check tells whether <digest>.tar has the digest.
func (s *Shelf) check(ctx context.Context, name string, digest []byte) error {
	f, err := s.root.Open(name + tarPart)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{sum}, lasting{ctx, f}, make([]byte, bufferSize)); err != nil {
		return err
	}
	return checkSum(sum, digest)
}

func checkSum(sum hash.Hash, digest []byte) error {
	if got := sum.Sum(nil); !bytes.Equal(got, digest) {
		return fmt.Errorf("%w: the archive has %x, not %x", errDigest, got, digest)
	}
	return nil
}

// lasting is a file that is read as long as a context lasts, which is as long
// as the work of which it is a part.
type lasting struct {
	ctx  context.Context
	file *os.File
}

func (l lasting) Read(p []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	return l.file.Read(p)
}
