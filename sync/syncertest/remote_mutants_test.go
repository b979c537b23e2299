package syncertest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"math"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/internal/provetest"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/syncertest"
)

func TestRemoteInMemory(t *testing.T) { syncertest.RunRemote(t, heaps(nil)) }

// heaps are Remotes in memory, bent.
func heaps(bend func(b *bentRemote)) syncertest.RemoteHarness {
	bent := func(h *heap) cloudsync.Remote {
		b := &bentRemote{heap: h, deleted: make(map[string]bool)}
		if bend != nil {
			bend(b)
		}
		return b
	}
	return syncertest.RemoteHarness{
		Open: func(testing.TB) cloudsync.Remote { return bent(newHeap()) },
		Again: func(_ testing.TB, first cloudsync.Remote) cloudsync.Remote {
			b := first.(*bentRemote)
			switch b.bent {
			case "another handle has another store":
				return bent(newHeap())
			case "a handle knows only what it has put":
				return &alone{bentRemote: bent(b.again()).(*bentRemote), own: make(map[string]bool)}
			}
			return bent(b.again())
		},
	}
}

// alone is a handle that knows only what it has put itself.
type alone struct {
	*bentRemote
	mu  sync.Mutex
	own map[string]bool
}

func (a *alone) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	a.mu.Lock()
	known := a.own[name]
	a.own[name] = true
	a.mu.Unlock()
	if known {
		return cloudsync.ErrExists
	}
	for range 1000 { // until another handle has put it too
		if _, err := a.heap.Get(ctx, name, 0, 0); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	a.drop(name)
	return a.heap.PutIfAbsent(ctx, name, body)
}

// bentRemote is a Remote that keeps all promises but one.
type bentRemote struct {
	*heap
	bent string
	list func(iter.Seq2[cloudsync.Object, error]) iter.Seq2[cloudsync.Object, error]
	ask  func(prefix, after *string)
	name func(name string) error // nil: it is accepted, or refused with this error
	read func(off, n *int64)

	deleted map[string]bool
	busy    atomic.Int64
	looked  atomic.Int64
}

func (b *bentRemote) race(ctx context.Context, name string, body cloudsync.Body) error {
	if _, err := b.heap.Get(ctx, name, 0, 0); err == nil {
		return cloudsync.ErrExists
	}
	b.looked.Add(1)
	for i := 0; i < 1000 && b.looked.Load() < 2; i++ { // until another one has looked too
		time.Sleep(time.Millisecond)
	}
	b.drop(name)
	return b.heap.PutIfAbsent(ctx, name, body)
}

func (b *bentRemote) drop(name string) {
	b.objects.mu.Lock()
	defer b.objects.mu.Unlock()
	delete(b.all, name)
}

func content(body cloudsync.Body) string {
	data, _ := io.ReadAll(io.NewSectionReader(body, 0, body.Size()))
	return string(data)
}

func (b *bentRemote) PutIfAbsent(ctx context.Context, name string, body cloudsync.Body) error {
	if b.name != nil {
		if err := b.name(name); err != nil {
			return err
		}
		if cloudsync.CheckName(name) != nil {
			return b.put(name, content(body))
		}
	}
	switch b.bent {
	case "it overwrites":
		b.drop(name)
	case "the same again is no error":
		if r, err := b.heap.Get(ctx, name, 0, -1); err == nil {
			if got, _ := io.ReadAll(r); string(got) == content(body) {
				return nil
			}
		}
	case "it looks and writes":
		return b.race(ctx, name, body)
	case "big ones lose a byte":
		if data := content(body); len(data) > 1<<20 {
			return b.put(name, data[1:])
		}
	case "a name is gone for ever":
		if b.deleted[name] {
			return cloudsync.ErrExists
		}
	case "it does not look at contexts":
		ctx = context.WithoutCancel(ctx)
	case "a part stays when it is cancelled":
		if err := b.heap.PutIfAbsent(ctx, name, body); errors.Is(err, context.Canceled) {
			return errors.Join(err, b.put(name, "half"))
		} else {
			return err
		}
	case "short bodies are padded":
		if data := content(body); int64(len(data)) < body.Size() {
			return b.put(name, data)
		}
	case "a part stays when the body fails":
		err := b.heap.PutIfAbsent(ctx, name, body)
		if err != nil && !errors.Is(err, cloudsync.ErrExists) {
			_ = b.put("new-"+name, content(body))
		}
		return err
	case "of two at once one is lost":
		defer b.busy.Add(-1)
		if b.busy.Add(1) > 1 {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return b.heap.PutIfAbsent(ctx, name, body)
}

func (b *bentRemote) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if b.read != nil {
		b.read(&off, &n)
	}
	switch b.bent {
	case "what is absent is empty":
		if r, err := b.heap.Get(ctx, name, off, n); !errors.Is(err, cloudsync.ErrNotFound) {
			return r, err
		}
		return io.NopCloser(bytes.NewReader(nil)), nil
	case "a read does not end":
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ctx = context.WithoutCancel(ctx)
	case "it is never closed":
		return b.again().Get(ctx, name, off, n)
	}
	return b.heap.Get(ctx, name, off, n)
}

func (b *bentRemote) List(ctx context.Context, prefix, after string) iter.Seq2[cloudsync.Object, error] {
	if b.bent == "a page begins where the last one had so many" {
		return b.paged(prefix, after)
	}
	if b.ask != nil {
		b.ask(&prefix, &after)
	}
	list := b.heap.List(ctx, prefix, after)
	if b.list != nil {
		return b.list(list)
	}
	return list
}

// paged reads pages of 8 objects by their numbers.
func (b *bentRemote) paged(prefix, after string) iter.Seq2[cloudsync.Object, error] {
	return func(yield func(cloudsync.Object, error) bool) {
		for from := 0; ; from += 8 {
			all := slices.DeleteFunc(b.sorted(), func(o cloudsync.Object) bool { return !strings.HasPrefix(o.Name, prefix) || o.Name <= after })
			if from >= len(all) {
				return
			}
			for _, o := range all[from:min(from+8, len(all))] {
				if !yield(o, nil) {
					return
				}
			}
		}
	}
}

func (b *bentRemote) Delete(ctx context.Context, name string) error {
	if b.bent == "a name is gone for ever" {
		b.deleted[name] = true
	}
	if _, err := b.heap.Get(ctx, name, 0, 0); err != nil && b.bent == "what is absent cannot be deleted" {
		return err
	}
	if b.bent == "a folder goes as a whole" {
		for _, o := range b.sorted() {
			if strings.HasPrefix(o.Name, name+"/") {
				b.drop(o.Name)
			}
		}
	}
	return b.heap.Delete(ctx, name)
}

func TestTheSuiteOfRemotesIsProved(t *testing.T) {
	var mutants []provetest.Mutant
	add := func(what, caught string, bend func(b *bentRemote)) {
		mutants = append(mutants, provetest.Mutant{What: what, Caught: caught, Cases: heaps(bend).Cases()})
	}
	how := func(what, caught string) { add(what, caught, func(b *bentRemote) { b.bent = what }) }
	list := func(what, caught string, f func(iter.Seq2[cloudsync.Object, error]) iter.Seq2[cloudsync.Object, error]) {
		add(what, caught, func(b *bentRemote) { b.list = f })
	}
	each := func(what, caught string, f func(n int, o *cloudsync.Object) bool) {
		list(what, caught, func(l iter.Seq2[cloudsync.Object, error]) iter.Seq2[cloudsync.Object, error] {
			return provetest.Each(l, f)
		})
	}
	ask := func(what, caught string, f func(prefix, after *string)) {
		add(what, caught, func(b *bentRemote) { b.ask = f })
	}
	part := func(what, caught string, f func(off, n *int64)) {
		add(what, caught, func(b *bentRemote) { b.read = f })
	}
	name := func(what, caught string, f func(name string) error) {
		add(what, caught, func(b *bentRemote) { b.name = f })
	}

	how("big ones lose a byte", "what is put is read")
	how("it overwrites", "a name is put once")
	how("the same again is no error", "a name is put once")
	how("it looks and writes", "of many puts of a name one wins")
	how("a handle knows only what it has put", "of many puts by two handles one wins")
	how("another handle has another store", "other handles see it at once")
	how("what is absent is empty", "what is absent is not found")
	part("nothing means everything", "a part is read", func(_, n *int64) {
		if *n == 0 {
			*n = -1
		}
	})
	part("the end is the begin", "a part is read", func(_, n *int64) { *n = max(*n, 0) })
	part("the begin is the begin", "no part begins before the begin", func(off, _ *int64) { *off = max(*off, 0) })
	list("it is in the order of folders", "a list is in byte order", byFolders)
	ask("a prefix is a folder", "a list has a prefix", func(prefix, _ *string) {
		if *prefix != "" && !strings.HasSuffix(*prefix, "/") {
			*prefix += "/"
		}
	})
	ask("a path is cleaned", "a list has a prefix", func(prefix, _ *string) {
		if strings.HasSuffix(*prefix, "/../a") {
			*prefix = path.Clean(*prefix)
		}
	})
	ask("after is from", "a list begins after a name", func(_, after *string) {
		if n := len(*after) - 1; n >= 0 {
			*after = (*after)[:n] + string((*after)[n]-1) + "~"
		}
	})
	each("it has a thousand at most", "a long list is whole", func(n int, _ *cloudsync.Object) bool { return n <= 1000 })
	list("it can be read once", "a list can be left and read again", provetest.Once[cloudsync.Object])
	how("a page begins where the last one had so many", "a list has what stays while others write")
	how("what is absent cannot be deleted", "what is deleted is gone")
	how("a folder goes as a whole", "what is deleted is gone")
	how("a name is gone for ever", "a deleted name can be put")
	each("folders in folders are not listed", "what is put and deleted shows in lists", func(_ int, o *cloudsync.Object) bool {
		return strings.Count(o.Name, "/") < 2
	})
	how("it does not look at contexts", "a call whose context has ended does nothing")
	list("an error ends it silently", "a call whose context has ended does nothing", provetest.Cut[cloudsync.Object])
	how("a part stays when it is cancelled", "a put that is cancelled leaves nothing")
	how("a read does not end", "a read ends with its context")
	how("short bodies are padded", "a body that is too short puts nothing")
	how("a part stays when the body fails", "a body that fails puts nothing")
	name("a name is that of a file", "every name can be put", func(name string) error {
		if len(path.Base(name)) > 255 {
			return cloudsync.ErrInvalid
		}
		return nil
	})
	name("any name will do", "what is no name is refused", func(string) error { return nil })
	add("a name is that of a file or of a folder", "a name can be the folder of another", func(b *bentRemote) {
		b.name = func(name string) error {
			for _, o := range b.sorted() {
				if strings.HasPrefix(o.Name, name+"/") || strings.HasPrefix(name, o.Name+"/") {
					return cloudsync.ErrInvalid
				}
			}
			return nil
		}
	})
	each("sizes are told in blocks", "an object is described", func(_ int, o *cloudsync.Object) bool { o.Size = (o.Size + 511) / 512 * 512; return true })
	each("times are in another zone", "an object is described", func(_ int, o *cloudsync.Object) bool { o.Time = o.Time.Add(time.Hour); return true })
	each("times fall", "times do not fall", func(_ int, o *cloudsync.Object) bool {
		o.Time = o.Time.Add(-time.Duration(math.MaxUint8-o.Name[1]) * 10 * time.Millisecond)
		return true
	})
	how("of two at once one is lost", "many calls at once do not disturb each other")
	how("it is never closed", "a closed Remote refuses")
	provetest.Prove(t, heaps(nil).Cases(), mutants)
}

// byFolders orders a list as a walk of a folder does.
func byFolders(list iter.Seq2[cloudsync.Object, error]) iter.Seq2[cloudsync.Object, error] {
	return func(yield func(cloudsync.Object, error) bool) {
		var all []cloudsync.Object
		for o, err := range list {
			if err != nil {
				yield(o, err)
				return
			}
			all = append(all, o)
		}
		slices.SortFunc(all, func(a, b cloudsync.Object) int {
			return slices.Compare(strings.Split(a.Name, "/"), strings.Split(b.Name, "/"))
		})
		for _, o := range all {
			if !yield(o, nil) {
				return
			}
		}
	}
}
