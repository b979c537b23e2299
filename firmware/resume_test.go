package firmware_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/firmware/feed"
	"github.com/upkeep-go/upkeep/firmware/slot"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// The image of TestAKilledProcessLosesASegmentAtMost, and the byte of it at
// which the process is killed: in segment 12, when 11 are in the slot and 8 are
// durable.
const (
	resumeSize = 40 * segment
	resumeKill = 11*segment + segment/2
)

func init() { roles["pull"] = pullUntilKilled }

// pullUntilKilled updates the device in a folder, until it has read so many
// bytes of the image.
func pullUntilKilled(args []string) error {
	read := &tally{end: func() {
		p, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = p.Kill()
		}
		panic(err)
	}}
	fw, closing, err := resumable(args[0], read)
	if err != nil {
		return err
	}
	defer closing()
	_, err = fw.Update(context.Background(), firmware.Request{})
	return err
}

// tally is a feed that counts the bytes of the image that were read, and slots
// that count the bytes of the other one that were, until it is read back.
type tally struct {
	firmware.Feed
	firmware.Slots
	end    func() // called at resumeKill; nil: nothing ends
	pulled int64
	seen   int64
	opened int
}

func (f *tally) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	body, err := f.Feed.Get(ctx, name, off, n)
	if err != nil || !strings.HasPrefix(name, "raw-") {
		return body, err
	}
	return &tallied{body, f}, nil
}

type tallied struct {
	io.ReadCloser
	t *tally
}

func (b *tallied) Read(p []byte) (int, error) {
	if b.t.end != nil {
		p = p[:min(int64(len(p)), resumeKill-b.t.pulled)]
	}
	n, err := b.ReadCloser.Read(p)
	if b.t.pulled += int64(n); b.t.end != nil && b.t.pulled == resumeKill {
		b.t.end()
	}
	return n, err
}

func (f *tally) Open(ctx context.Context, r firmware.Release) (firmware.File, error) {
	file, err := f.Slots.Open(ctx, r)
	if f.opened++; err != nil || f.opened > 1 {
		return file, err
	}
	return &talliedFile{file, f}, nil
}

type talliedFile struct {
	firmware.File
	t *tally
}

func (f *talliedFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.t.seen += int64(n)
	return n, err
}

// resumable is a device whose record and slots are in a folder, as is its feed.
func resumable(dir string, t *tally) (*firmware.Service, func() error, error) {
	db, err := sqlite.Open(sqlite.Config{Path: filepath.Join(dir, "device.db")})
	if err != nil {
		return nil, nil, err
	}
	t.Slots, err = slot.Open(slot.Config{
		A: filepath.Join(dir, "a"), B: filepath.Join(dir, "b"), Boot: slot.File{Path: filepath.Join(dir, "boot")},
		Running: func() (string, error) { return slot.SlotA, nil },
	})
	if err != nil {
		return nil, nil, err
	}
	t.Feed = feed.Dir(filepath.Join(dir, "feed"))
	fw, err := firmware.New(firmware.Config{
		Product: "encoder", Device: "4711", Store: db, Slots: t, Feed: t, Verifier: newShop(), LockTTL: time.Second,
		Interval: -1, Reboot: func(context.Context) error { return nil }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, nil, err
	}
	return fw, func() error { fw.Close(); return db.Close() }, nil
}

// TestAKilledProcessLosesASegmentAtMost kills a process in a pull. The next one
// fetches again what was under way, and reads of the slot no more than what was
// not durable.
func TestAKilledProcessLosesASegmentAtMost(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "feed"), 0o700))
	image, shop := noise(1, resumeSize), newShop()
	shop.add("1.3.0", image)
	shop.objects[firmware.CatalogName] = must(json.Marshal(shop.catalog))
	for name, data := range shop.objects {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "feed", name), data, 0o600))
	}
	c := roles.Start(t, "pull", dir)
	c.Rest()
	require.False(t, c.ProcessState.Success())

	var again tally
	fw, closing, err := resumable(dir, &again)
	require.NoError(t, err)
	defer func() { assert.NoError(t, closing()) }()
	st, err := fw.Status(t.Context())
	require.NoError(t, err)
	require.NotNil(t, st.Run)
	assert.GreaterOrEqual(t, st.Run.Percent, 20, "8 of 40 segments are durable, and more where they took 2 seconds")
	running, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { _ = fw.Run(running) }() // once the lease of the dead process has ended
	_, err = fw.Wait(t.Context(), st.Run.ID)
	require.ErrorIs(t, err, firmware.ErrRestarting)
	written, err := os.ReadFile(filepath.Join(dir, "b"))
	require.NoError(t, err)
	assert.Equal(t, sha256.Sum256(image), sha256.Sum256(written))
	assert.EqualValues(t, resumeSize-11*segment, again.pulled, "half a segment comes twice")
	assert.LessOrEqual(t, again.seen, int64(3*segment), "what was not durable is hashed in place")
}
