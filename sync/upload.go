package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// packSize is how many bytes a pack has at most. Each has 14 MiB or so.
const packSize = 15 << 20

// maxIndexes is how many indexes a head names at most that are not half full,
// before they are made one.
const maxIndexes = 32

// upload sends contents that a commit on some head needs, in packs. What is
// there is not sent again: what the indexes of that head tell of, and what this
// device has put itself. An own pack counts only if it was there after the head
// was read, and the head does not say that it goes: a collector may have taken
// it for garbage.
type upload struct {
	r    *repository
	on   head
	live *places
	own  map[string]*index // of packs that are in no commit, by their names

	packer  Packer
	blobs   []Blob            // of packer
	packing map[[32]byte]bool // in packer
	spare   [][]byte          // packs that were put, whose memory is used again
	dry     bool              // nothing is sent
	done    bool              // a commit has all of own
	waiting atomic.Int64      // bytes of contents that were added, and that nobody has read to put them

	err    error     // why not all of it is there: then none of it may be committed
	flying int       // packs that are being put
	landed chan sent // has room for all of them
	ctx    context.Context
	cancel context.CancelFunc // of ctx, by which they are put
}

// sent is a pack that was put, or could not be put.
type sent struct {
	name string
	pack []byte
	err  error
}

// beginUpload prepares what a commit on a head needs.
func (r *repository) beginUpload(ctx context.Context, on head) (*upload, error) {
	live := r.places(on)
	u := &upload{r: r, on: on, live: live, own: make(map[string]*index), packing: make(map[[32]byte]bool), landed: make(chan sent, r.most)}
	gone := make(map[string]bool)
	for _, name := range on.Gone {
		gone[name] = true
	}
	var own []string
	var indexes []*index // nil for a pack that is lost
	for e, err := range r.notes.all(ctx, keyPack) {
		if err != nil {
			return nil, err
		}
		x, _ := decodeIndex(e.Value)
		own, indexes = append(own, strings.TrimPrefix(e.Key, keyPack)), append(indexes, x)
	}
	if len(own) == 0 {
		return u, nil
	}
	if err := live.read(ctx); err != nil {
		return nil, err
	}
	committed := make(map[string]bool)
	for _, name := range live.packs() {
		committed[name] = true
	}
	err := r.each(ctx, len(own), func(ctx context.Context, i int) error {
		x := indexes[i]
		if indexes[i] = nil; x == nil || gone[own[i]] || committed[own[i]] {
			return nil
		}
		there, err := r.there(ctx, own[i])
		if there {
			indexes[i] = x
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var lost []Entry
	for i, name := range own {
		if indexes[i] == nil {
			lost = append(lost, Entry{Key: keyPack + name})
		} else {
			u.own[name] = indexes[i]
		}
	}
	return u, r.notes.save(ctx, lost...)
}

// there reports whether an object exists.
func (r *repository) there(ctx context.Context, name string) (bool, error) {
	err := r.again(ctx, func() error {
		body, err := r.Get(ctx, name, 0, 1)
		if err != nil {
			return err
		}
		return body.Close()
	})
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// has reports whether a commit on the head may refer to a content.
func (u *upload) has(id [32]byte) bool {
	if u.packing[id] {
		return true
	}
	for _, x := range u.own {
		if _, _, ok := x.find(id); ok {
			return true
		}
	}
	_, _, ok := u.live.find(id)
	return ok
}

// lacks reports whether a commit on the head may not refer to all of the contents.
func (u *upload) lacks(ids []tree.ID) bool {
	return slices.ContainsFunc(ids, func(id tree.ID) bool { return !u.has(id) })
}

// add sends a content, unless it is there, sooner or later.
func (u *upload) add(ctx context.Context, id [32]byte, content []byte) error {
	if u.err != nil {
		return u.err
	}
	if err := u.live.read(ctx); err != nil {
		return u.fail(err)
	}
	if u.has(id) {
		return nil
	}
	if u.dry {
		u.packing[id] = true
		return nil
	}
	return u.again(ctx, id, content)
}

// again sends a content though it is there.
func (u *upload) again(ctx context.Context, id [32]byte, content []byte) error {
	const besides = 64 // bytes that a pack has of each content
	const each = 384   // bytes that are in memory of each content, or more: so many are in a pack at most
	if u.packer != nil && (u.packer.Len()+len(content)+besides > u.r.room || len(u.blobs) >= u.r.room/each) {
		if err := u.launch(ctx); err != nil {
			return err
		}
	}
	if u.packer == nil {
		u.packer = u.r.seal.NewPacker(u.room())
	}
	b, err := u.packer.Add(id, content)
	if err != nil {
		return u.fail(err)
	}
	u.blobs, u.packing[id] = append(u.blobs, b), true
	u.waiting.Add(int64(len(content)))
	return nil
}

// room is memory for a pack, so much that it need not grow if there are several.
func (u *upload) room() []byte {
	const little = 1 << 20
	if u.ctx == nil { // most syncs have little to send
		return make([]byte, 0, min(u.r.room, little))
	}
	if n := len(u.spare); n > 0 {
		pack := u.spare[n-1]
		u.spare = u.spare[:n-1]
		return pack
	}
	return make([]byte, 0, u.r.room)
}

// between is called between files and folders: a pack that has folders has few
// files, since who reads one reads all of it.
func (u *upload) between(ctx context.Context) error {
	const few = 1 << 20
	if u.packer == nil || u.packer.Len() < few {
		return nil
	}
	return u.launch(ctx)
}

// launch begins to put the pack that was made, when few enough are being put.
func (u *upload) launch(ctx context.Context) error {
	pack, err := u.packer.Finish()
	if err != nil {
		return u.fail(err)
	}
	name := packName(draw())
	x := new(index)
	x.add(packed{name: name, header: u.packer.Header(), size: int64(len(pack))}, u.blobs)
	size := int64(0)
	for _, b := range u.blobs {
		size += int64(b.Size)
	}
	u.packer, u.blobs = nil, nil
	clear(u.packing)
	if u.ctx == nil {
		u.ctx, u.cancel = context.WithCancel(ctx)
	}
	for u.flying >= u.r.most {
		if err := u.land(ctx); err != nil {
			return err
		}
	}
	u.own[name] = x
	u.flying++
	go func() { u.landed <- sent{name, pack, u.put(name, pack, size)} }() // land and stop wait for it
	if u.r.most == 1 {
		return u.land(ctx)
	}
	return nil
}

// put puts a pack, and tells how much of its contents has gone.
func (u *upload) put(name string, pack []byte, size int64) error {
	b := &counting{Reader: bytes.NewReader(pack), u: u, content: size}
	defer b.end() // the memory is used again
	return u.r.putBody(u.ctx, name, b)
}

// land waits for a pack, and notes that it is there.
func (u *upload) land(ctx context.Context) error {
	s := <-u.landed
	if u.flying--; s.err != nil {
		delete(u.own, s.name)
		return u.fail(fmt.Errorf("%s: %w", s.name, s.err))
	}
	u.spare = append(u.spare, s.pack) // its name is taken: who reads it still puts nothing
	return u.fail(u.r.notes.save(ctx, Entry{keyPack + s.name, u.own[s.name].encode()}))
}

// fail returns the first error there was: all later calls return it too.
func (u *upload) fail(err error) error {
	if u.err == nil {
		u.err = err
	}
	return u.err
}

// last begins to put the pack that has been begun.
func (u *upload) last(ctx context.Context) error {
	if u.err != nil || u.packer == nil {
		return u.err
	}
	return u.launch(ctx)
}

// flush puts the pack that has been begun, and waits for all.
func (u *upload) flush(ctx context.Context) error {
	if err := u.last(ctx); err != nil {
		return err
	}
	for u.flying > 0 {
		if err := u.land(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stop ends what is under way, and waits for that. It is the last call.
func (u *upload) stop() {
	if u.cancel == nil {
		return
	}
	u.cancel()
	for ; u.flying > 0; u.flying-- {
		<-u.landed
	}
}

// finish puts what is left and, in the same time, an index of all packs that are in
// no commit. It returns the indexes that the next head names.
func (u *upload) finish(ctx context.Context) (indexes []string, err error) {
	if err := u.last(ctx); err != nil {
		return nil, err
	}
	if len(u.own) == 0 {
		return u.on.Index, nil
	}
	var small []*index
	for _, name := range u.on.Index {
		if x := u.live.all[name]; x.length() < u.r.part/2 {
			small = append(small, x)
		} else {
			indexes = append(indexes, name)
		}
	}
	if len(small) < maxIndexes {
		small, indexes = nil, slices.Clone(u.on.Index)
	}
	names, err := u.r.putIndex(ctx, append(small, slices.Collect(maps.Values(u.own))...)...)
	if err != nil {
		return nil, err
	}
	if err := u.flush(ctx); err != nil {
		u.r.dropIndex(ctx, names)
		return nil, err
	}
	return append(indexes, names...), nil
}

// putIndex puts what some indexes have, in as many objects as it needs, and returns
// their names.
func (r *repository) putIndex(ctx context.Context, all ...*index) (names []string, err error) {
	for part := range inParts(r.part, all...) {
		name := indexFolder + draw()
		object := r.seal.Seal(ObjectIndex, name, part.encode())
		if err := r.put(ctx, name, object); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := r.notes.save(ctx, Entry{keyIndex + name, object}); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// dropIndex deletes indexes that no head will name, so that a sync that fails again
// and again leaves no more of them. What it cannot delete is garbage, as it is after
// a crash.
func (r *repository) dropIndex(ctx context.Context, names []string) {
	var notes []Entry
	for _, name := range names {
		_ = r.Delete(ctx, name)
		notes = append(notes, Entry{Key: keyIndex + name})
	}
	_ = r.notes.save(ctx, notes...)
}

// committed are the notes of packs that are in a commit now, to be removed.
func (u *upload) committed() (gone []Entry) {
	if !u.done {
		return nil
	}
	for name := range u.own {
		gone = append(gone, Entry{Key: keyPack + name})
	}
	return gone
}
