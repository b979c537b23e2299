package sync

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
)

// The keys of what is noted in a FolderStore.
const (
	keyHead    = "head"     // the commit that the folder equals
	keyBase    = "base"     // the root of the base
	keyTree    = "tree/"    // folders of the base, by ID
	keyScan    = "scan/"    // what files looked like when they were read, by folder
	keySeen    = "seen"     // something was seen of files, so that not all has to be read
	keyIndex   = "index "   // indexes as they are in the remote, by name
	keyPack    = "pack/"    // packs that were put and are in no commit, by name
	keyDone    = "done"     // the run that has made the folder equal that commit
	keyOwn     = "own"      // the number of the last head that this device has put
	keyCloned  = "cloned"   // what told this device from others when it was seen that there are two
	keyStaging = "staging"  // how the names begin by which this device stages files
	keyOut     = "out/"     // what came out of a path, by the name by which it is staged
	keyJournal = "journal/" // changes of the folder that are under way
)

// few are the keys of the notes that are in memory: there is one of each.
var few = []string{keyHead, keyBase, keySeen, keyDone, keyOwn, keyCloned, keyStaging, keyJournal}

// notes are those of a device that are in memory.
type notes map[string][]byte

// book is where the notes of a device are kept. There may be many of them, which are
// read one by one, when they are needed.
type book struct {
	notes
	store FolderStore
	token int64
	dry   bool // nothing is kept

	waits map[string][]byte // what is not written yet, or never if it is dry; nil is to be removed
	size  int               // bytes of that, nearly
	most  int               // of those
}

func openBook(ctx context.Context, store FolderStore, token int64, most int) (*book, error) {
	_, none := store.(blank)
	b := &book{notes: make(notes), store: store, token: token, dry: none, waits: make(map[string][]byte), most: most}
	for _, key := range few {
		value, err := b.read(ctx, key)
		if err != nil {
			return nil, err
		}
		if value != nil {
			b.notes[key] = value
		}
	}
	return b, nil
}

// read returns a note, or nil.
func (b *book) read(ctx context.Context, key string) ([]byte, error) {
	if value, waits := b.waits[key]; waits {
		return value, nil
	}
	return optional(b.store.Get(ctx, key))
}

// optional is nil in the place of what is not there.
func optional(value []byte, err error) ([]byte, error) {
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return value, err
}

// all yields the notes whose keys begin like this, but for those that wait.
func (b *book) all(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range b.store.List(ctx, prefix) {
			if _, waits := b.waits[e.Key]; err == nil && waits {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// spread yields what all yields, a part after the other, so that little is in memory
// at once: digits of 16 follow the prefix.
func (b *book) spread(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, digit := range "0123456789abcdef" {
			for e, err := range b.all(ctx, prefix+string(digit)) {
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

// later writes entries with the next save, or when there are many. They are such as
// nothing is lost without.
func (b *book) later(ctx context.Context, entries ...Entry) error {
	for _, e := range entries {
		b.waits[e.Key] = e.Value
		b.size += len(e.Key) + len(e.Value)
	}
	if b.size < b.most {
		return nil
	}
	return b.flush(ctx)
}

// flush writes what waits.
func (b *book) flush(ctx context.Context) error { return b.save(ctx) }

// forget leaves out what waits and begins like this, unless it is needed.
func (b *book) forget(prefix string, needed func(key string) bool) {
	maps.DeleteFunc(b.waits, func(key string, _ []byte) bool { return strings.HasPrefix(key, prefix) && !needed(key) })
}

// save writes entries, all or none, and what waits.
func (b *book) save(ctx context.Context, entries ...Entry) error {
	if !b.dry {
		all := make([]Entry, 0, len(b.waits)+len(entries))
		for _, key := range sortedKeys(b.waits) {
			all = append(all, Entry{key, b.waits[key]})
		}
		if all = append(all, entries...); len(all) == 0 {
			return nil
		}
		if _, err := b.store.Update(ctx, b.token, all); err != nil {
			return err
		}
		clear(b.waits)
		b.size = 0
	}
	for _, e := range entries {
		switch {
		case !slices.Contains(few, e.Key):
			if b.dry {
				b.waits[e.Key] = e.Value
			}
		case e.Value == nil:
			delete(b.notes, e.Key)
		default:
			b.notes[e.Key] = e.Value
		}
	}
	return nil
}
