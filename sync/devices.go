package sync

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"strings"
)

// machine returns what tells this device from others, whatever they are called,
// but from one that was copied from it. A fresh beginning draws it anew.
func (f *Folder) machine(ctx context.Context, token int64, fresh bool) (string, error) {
	id, err := f.records.value(ctx, keyMachine)
	if err != nil || id != nil && !fresh {
		return string(id), err
	}
	drawn := strings.ToLower(rand.Text()[:16])
	_, err = f.records.Update(ctx, token, []Entry{{keyMachine, []byte(drawn)}})
	return drawn, err
}

// log are the commits that the newest head lists, itself the first.
func (w *work) log() []entry {
	if w.head.Seq == 0 {
		return nil
	}
	return append([]entry{w.head.entry(w.put)}, w.head.Log...)
}

// recognise looks for commits of this device that it has not made: those of
// another device, with all that this one knew when it was copied. From then on
// this one is cloned, until it is another.
func (w *work) recognise(ctx context.Context) error {
	own := w.own()
	for _, e := range w.log() {
		if w.Machine != "" && e.Machine == w.Machine && e.Seq > own && !w.cloned() {
			return w.book.save(ctx, Entry{keyCloned, []byte(w.Machine)})
		}
	}
	return nil
}

func (w *work) cloned() bool { return w.Machine != "" && string(w.book.notes[keyCloned]) == w.Machine }

// devices are those whose commits the newest head lists.
func (w *work) devices() (all []Device) {
	seen := make(map[string]bool)
	for _, e := range w.log() {
		if !seen[e.Device] {
			seen[e.Device] = true
			all = append(all, Device{Name: e.Device, Commit: e.ID, Cloned: e.Device == w.Device && w.cloned()})
		}
	}
	return all
}

// own is the number of the last head that this device has put, or tried to.
func (w *work) own() int64 {
	n := w.book.notes[keyOwn]
	if len(n) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(n))
}

// owns notes that this device is about to put a head.
func (r *repository) owns(ctx context.Context, h head) error {
	if h.Machine == "" {
		return nil
	}
	return r.notes.save(ctx, Entry{keyOwn, binary.BigEndian.AppendUint64(nil, uint64(h.Seq))})
}
