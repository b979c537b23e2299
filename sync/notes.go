package sync

import (
	"context"
	"maps"
)

// The keys of what is noted in a FolderStore.
const (
	keyHead    = "head"     // the commit that the folder equals
	keyBase    = "base"     // the root of the base
	keyTree    = "tree/"    // folders of the base, by ID
	keyScan    = "scan/"    // what files looked like when they were read, by folder
	keyIndex   = "index "   // indexes as they are in the remote, by name
	keyPack    = "pack/"    // packs that were put and are in no commit, by name
	keyDone    = "done"     // the run that has made the folder equal that commit
	keyOwn     = "own"      // the number of the last head that this device has put
	keyCloned  = "cloned"   // what told this device from others when it was seen that there are two
	keyStaging = "staging"  // how the names begin by which this device stages files
	keyOut     = "out/"     // what came out of a path, by the name by which it is staged
	keyJournal = "journal/" // changes of the folder that are under way
)

// notes are those of a device, all in memory.
type notes map[string][]byte

// book is where they are kept.
type book struct {
	notes
	store FolderStore
	token int64
	dry   bool // nothing is kept
}

func openBook(ctx context.Context, store FolderStore, token int64) (*book, error) {
	b := &book{notes: make(notes), store: store, token: token}
	for e, err := range store.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		b.notes[e.Key] = e.Value
	}
	return b, nil
}

// save writes entries, all or none.
func (b *book) save(ctx context.Context, entries ...Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if !b.dry {
		if _, err := b.store.Update(ctx, b.token, entries); err != nil {
			return err
		}
	}
	for _, e := range entries {
		b.notes[e.Key] = e.Value
	}
	maps.DeleteFunc(b.notes, func(_ string, value []byte) bool { return value == nil })
	return nil
}
