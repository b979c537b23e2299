package sync_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// errCrash is the end of a process.
var errCrash = errors.New("crashed")

// process counts the calls that a device makes of the world. Before or after
// the one of a number it dies, and whatever it does then has no effect.
type process struct {
	calls  int
	dies   int // at this call; 0 for never
	after  bool
	dead   bool
	during map[int]func() // what happens at calls
	turn   func()         // waits until it is its turn
}

// call makes an effect, unless the process is dead.
func (p *process) call(effect func() error) error {
	if p.dead {
		return errCrash
	}
	if p.turn != nil {
		p.turn()
	}
	p.calls++
	if f := p.during[p.calls]; f != nil {
		f()
	}
	if p.calls != p.dies {
		return effect()
	}
	p.dead = true
	if p.after {
		_ = effect()
	}
	return errCrash
}

// interleave runs work of two processes, call by call as the bits of a random
// number say: those of both go on by turns.
func interleave(random *rand.Rand, works ...func(p *process)) {
	type state struct{ ready, goes, done chan struct{} }
	states := make([]state, len(works))
	for i, work := range works {
		s := state{make(chan struct{}), make(chan struct{}), make(chan struct{})}
		states[i] = s
		go func() {
			defer close(s.done)
			p := &process{turn: func() { s.ready <- struct{}{}; <-s.goes }}
			p.turn()
			work(p)
		}()
	}
	waits := make([]bool, len(works))
	for live := len(works); live > 0; {
		for i, s := range states {
			if s.done == nil || waits[i] {
				continue
			}
			select {
			case <-s.ready:
				waits[i] = true
			case <-s.done:
				states[i].done = nil
				live--
			}
		}
		if next := random.IntN(len(works)); waits[next] {
			for range 1 + random.IntN(12) { // steps in a row
				waits[next] = false
				states[next].goes <- struct{}{}
				select {
				case <-states[next].ready:
					waits[next] = true
					continue
				case <-states[next].done:
					states[next].done = nil
					live--
				}
				break
			}
		}
	}
}

// cloud is a remote that all devices use.
type cloud struct {
	objects map[string]cloudsync.Object
	content map[string][]byte
	now     time.Time
	puts    int
	hidden  int            // so many lists lack the newest head
	fails   map[string]int // the next so many calls of a kind fail, after their effect if the kind ends in +
}

func newCloud() *cloud {
	return &cloud{
		objects: make(map[string]cloudsync.Object), content: make(map[string][]byte), fails: make(map[string]int),
		now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

var errWeather = errors.New("the connection was reset")

func (c *cloud) failing(kind string) error {
	if c.fails[kind] > 0 {
		c.fails[kind]--
		return errWeather
	}
	return nil
}

// use is a cloud as a process sees it.
type use struct {
	*cloud
	p *process
}

func (u use) PutIfAbsent(_ context.Context, name string, body cloudsync.Body) error {
	return u.p.call(func() error {
		if err := u.failing("put"); err != nil {
			return err
		}
		u.now = u.now.Add(time.Second)
		if _, taken := u.objects[name]; taken {
			return cloudsync.ErrExists
		}
		data, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size()))
		if err != nil {
			return err
		}
		u.objects[name] = cloudsync.Object{Name: name, Size: body.Size(), Time: u.now}
		u.content[name] = data
		u.puts++
		return u.failing("put+")
	})
}

func (u use) Get(_ context.Context, name string, off, n int64) (r io.ReadCloser, err error) {
	err = u.p.call(func() error {
		if err := u.failing("get"); err != nil {
			return err
		}
		data, ok := u.content[name]
		if !ok {
			return fmt.Errorf("%w: %s", cloudsync.ErrNotFound, name)
		}
		data = data[min(off, int64(len(data))):]
		if n >= 0 {
			data = data[:min(n, int64(len(data)))]
		}
		r = io.NopCloser(bytes.NewReader(data))
		return nil
	})
	return r, err
}

func (u use) List(_ context.Context, prefix, after string) iter.Seq2[cloudsync.Object, error] {
	return func(yield func(cloudsync.Object, error) bool) {
		var names []string
		err := u.p.call(func() error {
			for name := range u.objects {
				if strings.HasPrefix(name, prefix) && name > after {
					names = append(names, name)
				}
			}
			slices.Sort(names)
			if u.hidden > 0 && len(names) > 0 {
				u.hidden--
				names = names[1:]
			}
			return u.failing("list")
		})
		if err != nil {
			yield(cloudsync.Object{}, err)
			return
		}
		for _, name := range names {
			if !yield(u.objects[name], nil) {
				return
			}
		}
	}
}

func (u use) Delete(_ context.Context, name string) error {
	return u.p.call(func() error {
		delete(u.objects, name)
		delete(u.content, name)
		return nil
	})
}

func (u use) Close() error { return nil }

// notes is a FolderStore.
type notes struct {
	all map[string][]byte
	p   *process
}

func (n *notes) Update(_ context.Context, _ int64, entries []cloudsync.Entry, _ ...cloudsync.Event) (int64, error) {
	return 0, n.p.call(func() error {
		for _, e := range entries {
			if e.Value == nil {
				delete(n.all, e.Key)
			} else {
				n.all[e.Key] = bytes.Clone(e.Value)
			}
		}
		return nil
	})
}

func (n *notes) Get(_ context.Context, key string) ([]byte, error) {
	value, there := n.all[key]
	if !there {
		return nil, cloudsync.ErrNotFound
	}
	return bytes.Clone(value), nil
}

func (n *notes) List(_ context.Context, prefix string) iter.Seq2[cloudsync.Entry, error] {
	return func(yield func(cloudsync.Entry, error) bool) {
		var keys []string
		for key := range n.all {
			if strings.HasPrefix(key, prefix) {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		for _, key := range keys {
			if !yield(cloudsync.Entry{Key: key, Value: bytes.Clone(n.all[key])}, nil) {
				return
			}
		}
	}
}

// plain is a Sealer that hides nothing, and sees damage.
type plain struct{}

func (plain) Repository() string { return "plain" }

func (plain) ChunkSeed() [32]byte { return [32]byte{1, 2, 3} }

func (plain) ID(content []byte) [32]byte { return sha256.Sum256(content) }

func (plain) Seal(kind cloudsync.ObjectKind, name string, content []byte) []byte {
	sum := sha256.Sum256(slices.Concat([]byte(kind), []byte(name), content))
	return slices.Concat(sum[:8], content)
}

func (p plain) Open(kind cloudsync.ObjectKind, name string, object []byte, most int) ([]byte, error) {
	if len(object) < 8 || len(object) > most {
		return nil, cloudsync.ErrCorrupt
	}
	content := object[8:]
	if !bytes.Equal(p.Seal(kind, name, content), object) {
		return nil, fmt.Errorf("%w: %s", cloudsync.ErrCorrupt, name)
	}
	return content, nil
}

func (plain) NewPacker(spare []byte) cloudsync.Packer {
	clear(spare) // whoever uses it still finds out
	return &plainPack{bytes: spare[:0]}
}

func (plain) OpenBlob(dst []byte, _ [32]byte, b cloudsync.Blob, sealed []byte) ([]byte, error) {
	if len(sealed) != b.Size || sha256.Sum256(sealed) != b.ID {
		return nil, cloudsync.ErrCorrupt
	}
	return append(dst, sealed...), nil
}

type plainPack struct {
	bytes []byte
	n     int
}

func (p *plainPack) Add(id [32]byte, content []byte) (cloudsync.Blob, error) {
	b := cloudsync.Blob{ID: id, Offset: int64(len(p.bytes)), Length: len(content), Size: len(content)}
	p.n++
	p.bytes = append(p.bytes, content...)
	return b, nil
}

func (p *plainPack) Header() [32]byte { return [32]byte{1} }

func (p *plainPack) Len() int { return len(p.bytes) }

func (p *plainPack) Finish() ([]byte, error) {
	return binary.BigEndian.AppendUint32(p.bytes, uint32(p.n)), nil
}

// Watch has nothing: an engine knows no events.
func (n *notes) Watch(context.Context, int64) iter.Seq2[cloudsync.Event, error] {
	return func(func(cloudsync.Event, error) bool) {}
}
