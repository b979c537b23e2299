package sync

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

const (
	configName = "config" // of the object that says which repository a remote has
	keyFolder  = "keys/"  // of the slots, each of which opens the repository

	formatVersion = 1
	maxConfig     = 4 << 10  // bytes
	maxSlot       = 16 << 10 // bytes
	maxSlots      = 100
)

// repositoryConfig is the first object of a repository. It is not sealed: it says
// what the keys are of.
type repositoryConfig struct {
	Version    int    `json:"version"`
	Repository string `json:"repository"`
	Key        string `json:"key"` // the first slot
}

// opening is how the keys of a repository are come by.
type opening struct {
	*repository
	vault  Vault
	device string
	store  FolderStore
	token  int64 // 0: nothing is noted, and no repository is made
	fresh  bool  // what the store keeps counts only if the remote has that repository, or none
	dry    bool  // the remote stays as it is
}

// errNever is the ErrNotFound of a remote that is empty.
var errNever = fmt.Errorf("%w: nothing was ever synced with this remote", ErrNotFound)

// unlock returns the keys of the repository of a remote: those that the store
// keeps, once a sync has succeeded with them, or else those that the passphrase
// opens. An empty remote gets its repository, once it has shown that it overwrites
// nothing. Who only looks, with no token, makes none: ErrNotFound.
func (o opening) unlock(ctx context.Context) (Keys, error) {
	keys, err := o.kept(ctx, keyKeys)
	if err != nil {
		return nil, err
	}
	synced, err := records{o.store}.value(ctx, keyHead)
	if err != nil || keys != nil && synced != nil && !o.fresh {
		return keys, err
	}
	was := keys
	c, err := o.config(ctx)
	if isNotFound(err) && o.token > 0 {
		if keys == nil {
			keys, err = o.drawn(ctx)
		} else {
			err = nil
		}
		if err != nil || o.dry {
			return keys, err
		}
		c, err = o.found(ctx, keys)
	}
	if isNotFound(err) {
		return nil, errNever
	}
	if err != nil {
		return nil, err
	}
	if keys == nil || keys.Repository() != c.Repository {
		if keys, err = o.openSlots(ctx, c); err != nil {
			return nil, err
		}
	}
	if o.dry || was != nil && bytes.Equal(was.Bytes(), keys.Bytes()) {
		return keys, nil
	}
	return keys, o.keep(ctx, keys)
}

// kept returns keys that are noted, or nil.
func (o opening) kept(ctx context.Context, key string) (Keys, error) {
	text, err := records{o.store}.value(ctx, key)
	if err != nil || text == nil {
		return nil, err
	}
	keys, err := o.vault.Load(text)
	if err != nil {
		return nil, fmt.Errorf("the keys that are noted: %w", err)
	}
	return keys, nil
}

// drawn returns the keys for a repository that is to be made, the same ones each
// time: a plan is of them.
func (o opening) drawn(ctx context.Context) (Keys, error) {
	keys, err := o.kept(ctx, keyDrawn)
	if err != nil || keys != nil {
		return keys, err
	}
	keys = o.vault.Draw()
	_, err = o.store.Update(ctx, o.token, []Entry{{keyDrawn, keys.Bytes()}})
	return keys, err
}

// keep notes the keys, in the place of all that was known of another repository.
func (o opening) keep(ctx context.Context, keys Keys) error {
	var entries []Entry
	for e, err := range o.store.List(ctx, "") {
		if err != nil {
			return err
		}
		entries = append(entries, Entry{Key: e.Key})
	}
	_, err := o.store.Update(ctx, o.token, append(entries, Entry{keyKeys, keys.Bytes()}))
	return err
}

// config reads which repository the remote has. ErrNotFound.
func (r *repository) config(ctx context.Context) (repositoryConfig, error) {
	text, err := r.get(ctx, configName, maxConfig)
	if err != nil {
		return repositoryConfig{}, err
	}
	var c repositoryConfig
	if err := json.Unmarshal(text, &c); err != nil || c.Repository == "" || c.Version < 1 || !strings.HasPrefix(c.Key, keyFolder) || CheckName(c.Key) != nil {
		return repositoryConfig{}, fmt.Errorf("%w: %s", ErrCorrupt, configName)
	}
	if c.Version > formatVersion {
		return repositoryConfig{}, fmt.Errorf("%w: the repository has format %d, and this program knows %d", ErrInvalid, c.Version, formatVersion)
	}
	return c, nil
}

// found makes a repository of these keys. If somebody else has made one meanwhile,
// it is that.
func (o opening) found(ctx context.Context, keys Keys) (repositoryConfig, error) {
	if err := o.mayHave(ctx, keys); err != nil {
		return repositoryConfig{}, err
	}
	if err := o.probe(ctx); err != nil {
		return repositoryConfig{}, err
	}
	slot, err := o.vault.Lock(keys, o.device, "")
	if err != nil {
		return repositoryConfig{}, err
	}
	c := repositoryConfig{Version: formatVersion, Repository: keys.Repository(), Key: keyFolder + draw()}
	if err := o.put(ctx, c.Key, slot); err != nil {
		return repositoryConfig{}, err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return repositoryConfig{}, err
	}
	err = o.again(ctx, func() error { return o.PutIfAbsent(ctx, configName, body{bytes.NewReader(text)}) })
	if !errors.Is(err, ErrExists) {
		return c, err
	}
	there, err := o.config(ctx)
	if err == nil && there.Repository != c.Repository {
		err = o.Delete(ctx, c.Key)
	}
	return there, err
}

// mayHave is an error if the remote has commits of other keys than these. Those of
// these keys get their config again.
func (o opening) mayHave(ctx context.Context, keys Keys) error {
	seq, _, err := o.newest(ctx)
	if err != nil || seq == 0 {
		return err
	}
	object, err := o.get(ctx, headName(seq), maxHead)
	if err != nil {
		return err
	}
	if _, err = openHead(keys, seq, object); errors.Is(err, ErrCorrupt) {
		return fmt.Errorf("%w: there are commits of other keys, and no %s", ErrForked, configName)
	}
	return err
}

// probe looks that the remote overwrites nothing. ErrUnsafe.
func (r *repository) probe(ctx context.Context) (err error) {
	name := "probe/" + draw()
	first, second := []byte("first"), []byte("second")
	if err := r.again(ctx, func() error { return r.PutIfAbsent(ctx, name, body{bytes.NewReader(first)}) }); err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	defer func() { err = errors.Join(err, r.again(ctx, func() error { return r.Delete(ctx, name) })) }()
	err = r.again(ctx, func() error { return r.PutIfAbsent(ctx, name, body{bytes.NewReader(second)}) })
	if err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	there, readErr := r.get(ctx, name, maxConfig)
	if readErr != nil {
		return readErr
	}
	if err == nil || !bytes.Equal(there, first) {
		return fmt.Errorf("%w: a second object took the place of the first", ErrUnsafe)
	}
	return nil
}

// openSlots tries the passphrase on one slot after the other, the first one first.
func (o opening) openSlots(ctx context.Context, c repositoryConfig) (Keys, error) {
	names, tried := []string{c.Key}, make(map[string]bool)
	for slot, err := range o.List(ctx, keyFolder, "") {
		if err != nil {
			return nil, err
		}
		if names = append(names, slot.Name); len(names) > maxSlots {
			break
		}
	}
	refused := ErrPassphrase
	for _, name := range names {
		if tried[name] {
			continue
		}
		tried[name] = true
		slot, err := o.get(ctx, name, maxSlot)
		if isNotFound(err) {
			continue // it was removed
		}
		if err != nil {
			return nil, err
		}
		keys, err := o.vault.Unlock(slot)
		switch {
		case errors.Is(err, ErrPassphrase):
			refused = err // the vault says why
		case errors.Is(err, ErrCorrupt), err == nil && keys.Repository() != c.Repository:
		case err != nil:
			return nil, err
		default:
			return keys, nil
		}
	}
	return nil, fmt.Errorf("%w: none of %d keys opens", refused, len(tried))
}

// bare is a remote of which nobody has the keys yet.
func bare(remote Remote) *repository {
	return &repository{Remote: remote, tell: newTeller(nil), most: 1}
}
