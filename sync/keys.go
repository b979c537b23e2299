package sync

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// Keys yields the keys of the remote, in the order of their IDs. Each opens all of
// it.
func (f *Folder) Keys(ctx context.Context) iter.Seq2[Key, error] { return listed(ctx, f, f.keysOf) }

func (f *Folder) keysOf(ctx context.Context, e *engine) iter.Seq2[Key, error] {
	keys, r := e.c.Sealer.(Keys), bare(e.c.Remote)
	return func(yield func(Key, error) bool) {
		for o, err := range r.List(ctx, keyFolder, "") {
			if err != nil {
				yield(Key{}, err)
				return
			}
			slot, err := r.get(ctx, o.Name, maxSlot)
			if isNotFound(err) {
				continue // it was removed
			}
			var name string
			if err == nil {
				name, err = f.config.Vault.Name(keys, slot)
			}
			if errors.Is(err, ErrCorrupt) {
				continue // of another repository, or of a device that was too late
			}
			if !yield(Key{ID: strings.TrimPrefix(o.Name, keyFolder), Name: name, Time: o.Time}, err) || err != nil {
				return
			}
		}
	}
}

// AddKey lets a further passphrase open the remote. The name is for people, and
// has at most 255 bytes; both are required. A remote has at most 100 keys.
func (f *Folder) AddKey(ctx context.Context, name, passphrase string, by By) (key Key, err error) {
	if err := fits("name", name, maxDevice); err != nil {
		return Key{}, err
	}
	if name == "" || passphrase == "" {
		return Key{}, fmt.Errorf("%w: name and passphrase are required", ErrInvalid)
	}
	err = f.looking(ctx, func(ctx context.Context, e *engine) error {
		slot, err := f.config.Vault.Lock(e.c.Sealer.(Keys), name, passphrase)
		if err != nil {
			return err
		}
		all := 0
		for _, err := range f.keysOf(ctx, e) {
			if err != nil {
				return err
			}
			if all++; all >= maxSlots {
				return fmt.Errorf("%w: there are %d keys, at most %d are allowed", ErrInvalid, all, maxSlots)
			}
		}
		id := draw()
		r := bare(e.c.Remote)
		if err := r.put(ctx, keyFolder+id, slot); err != nil {
			return err
		}
		key = Key{ID: id, Name: name}
		for o, err := range r.List(ctx, keyFolder+id, "") {
			if err != nil {
				return err
			}
			key.Time = o.Time
			break
		}
		return f.tellOfKey(ctx, "key added", key, by)
	})
	return key, err
}

// RemoveKey makes a passphrase open nothing any more. Devices that have opened
// the remote go on: who has done so by this passphrase can read what comes later,
// too, as far as the remote lets them. The last key is not removed: ErrInvalid. An unknown one is
// ErrNotFound.
func (f *Folder) RemoveKey(ctx context.Context, id string, by By) error {
	return f.looking(ctx, func(ctx context.Context, e *engine) error {
		var key Key
		all := 0
		for k, err := range f.keysOf(ctx, e) {
			if err != nil {
				return err
			}
			if all++; k.ID == id {
				key = k
			}
		}
		switch {
		case key.ID == "":
			return fmt.Errorf("%w: key %q", ErrNotFound, cut(id, maxText))
		case all == 1:
			return fmt.Errorf("%w: key %q is the last one", ErrInvalid, id)
		}
		r := bare(e.c.Remote)
		if err := r.again(ctx, func() error { return r.Delete(ctx, keyFolder+id) }); err != nil {
			return err
		}
		return f.tellOfKey(ctx, "key removed", key, by)
	})
}

// tellOfKey appends an event of no run.
func (f *Folder) tellOfKey(ctx context.Context, what string, key Key, by By) error {
	by = by.bounded()
	_, err := f.records.Update(ctx, 0, nil, Event{
		Kind: EventConfigured, Actor: by.Actor, Message: cut(fmt.Sprintf("%s: %s %q %s", what, key.ID, key.Name, by.Reason), maxReason),
	})
	return err
}
