package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/internal/cdc"
	"github.com/upkeep-go/upkeep/internal/ignore"
	"github.com/upkeep-go/upkeep/internal/tree"
)

// engineConfig configures an engine. A zero field means its documented default.
type engineConfig struct {
	Device string      // required: the name of this device
	Files  Files       // required: the local side
	Remote Remote      // required: where the folder is kept
	Name   string      // of the remote, as this device has it
	Store  FolderStore // required: what this device notes
	Token  int64       // of the lease that the caller holds on the folder
	Sealer Sealer      // required: the keys of the repository
	// Machine tells this device from others, as Device does for people. Default: that
	// it was copied is not seen.
	Machine string
	Run     string // whose sync it is: one that goes on after a crash has ended if it has committed
	// Ignore are lines by which paths are masked on this device, as Config.Ignore
	// does, besides those of the folder. Default: none.
	Ignore []string
	// Merge is that of Config.
	Merge map[string]Merge
	// MaxDelete refuses what deletes more, with ErrGuard.
	MaxDelete MaxDelete
	// Rate limits transfers, as Config.Rate does. Default: no limit.
	Rate func() (up, down int64)
	// Parallel is how many calls of the remote are under way at most. If it is 1
	// they are made in one order. Default 4.
	Parallel int
	// Part is how many bytes an index has at most, unless a pack alone needs more.
	// Default 2 MiB.
	Part int
	// Room is how many bytes a pack has before it is put, and by that how much of all
	// that grows with the folder is in memory at once. Default 13 MiB.
	Room int
	// Tell is told when a step begins, how far it has come, and each time before
	// the remote is asked once more, by one call at a time. It must not wait for
	// the sync. Default: nothing.
	Tell func(report)
	// Young spares objects that are in no commit and were put so lately, by the
	// remote's clock, in a compaction: a long upload needs them. It makes nothing
	// safer. Default 7 days; nothing is spared if it is negative.
	Young time.Duration
}

// engineResult is what a sync has done.
type engineResult struct {
	Commit    string // what the folder equals now, "" for nothing at all
	Committed bool   // it is of this sync
	Conflicts []tree.Conflict
	Problems  []Problem
	Copies    int // of conflicts that are in the folder
	Devices   []Device

	Uploaded, Downloaded int64 // files that came or changed in the remote, and here
	Deleted              int64 // files that went on a side, but for renamed ones
}

// engine syncs one folder of one device. Its calls are made one at a time.
type engine struct {
	c      engineConfig
	cutter cdc.Cutter
}

// newEngine returns an engine. It starts nothing.
func newEngine(c engineConfig) *engine {
	if c.Parallel <= 0 {
		c.Parallel = 4
	}
	if c.Part <= 0 {
		c.Part = maxPart
	}
	if c.Room <= 0 {
		c.Room = packSize
	}
	if c.MaxDelete.Share == 0 {
		c.MaxDelete.Share = 0.5
	}
	if c.MaxDelete.Files == 0 {
		c.MaxDelete.Files = 20
	}
	if c.Young == 0 {
		c.Young = 7 * 24 * time.Hour
	}
	return &engine{c, newCutter(c.Sealer)}
}

// maxTries is how often a sync begins anew because others were faster.
const maxTries = 16

// Sync makes the folder and the remote the same. After an error nothing is lost,
// and another call goes on.
func (e *engine) Sync(ctx context.Context, q Request) (engineResult, error) {
	w, err := e.begin(ctx, q)
	if err != nil {
		return engineResult{}, err
	}
	release, err := w.claim(ctx)
	if err != nil {
		return engineResult{}, err
	}
	defer release()
	w.forest.notes = !w.book.dry
	if err := w.obey(ctx); err != nil {
		return engineResult{}, err
	}
	if err := w.recover(ctx); err != nil {
		return engineResult{}, fmt.Errorf("going on with an earlier sync: %w", err)
	}
	if w.finished {
		w.result.Devices = w.devices()
		return w.result, nil
	}
	if err := w.look(ctx); err != nil {
		return engineResult{}, err
	}
	if err := errors.Join(w.agree(ctx), w.recognise(ctx)); err != nil {
		return engineResult{}, err
	}
	for range maxTries {
		var again bool
		again, err = w.try(ctx)
		if isNotFound(err) { // what a compaction has deleted meanwhile
			again, err = w.overtaken(ctx, err)
		}
		if !again {
			break
		}
		err = fmt.Errorf("%w: others commit too often", ErrUnavailable)
	}
	w.result.Devices = w.devices()
	return w.result, err
}

// work is one sync.
type work struct {
	engineConfig
	request Request
	caps    Caps
	r       *repository
	tell    *teller
	book    *book
	forest  *forest
	trees   tree.Trees
	cutter  cdc.Cutter

	known  head // what the folder equalled, or the zero head
	base   tree.ID
	head   head    // the newest, as far as is known
	proven bool    // the remote has the known head as it is noted
	whole  bool    // nothing of the tree is lost any more
	shelf  tree.ID // goes into history beside what is committed
	put    time.Time

	staging  string // how the names begin by which files are staged
	keeps    bool   // what is replaced and nobody has committed stays beside
	recovers bool   // what a sync has begun that did not end
	finished bool   // it was this one
	stranger error  // the folder may not be the one that is known

	buffer   []byte            // of a small file
	rules    ignore.Rules      // of what is masked
	masked   map[string]string // paths that are as in the reference, and why
	merged   map[string]bool   // paths that Merge has made one of
	moved    map[string]string // of conflicts: where the content of a new path is
	out      map[string]late   // what came out, by the name by which it is staged
	placings []placing         // folders in which something was placed, each in the one before
	late     []tree.Conflict   // of edits written into what came out in the sync before
	result   engineResult
}

func (e *engine) begin(ctx context.Context, q Request) (*work, error) {
	b, err := openBook(ctx, e.c.Store, e.c.Token, e.c.Room/12)
	if err != nil {
		return nil, err
	}
	w := &work{engineConfig: e.c, request: q, book: b, tell: newTeller(e.c.Tell), cutter: e.cutter}
	w.r = &repository{Remote: newLimited(e.c.Remote, e.c.Rate), seal: e.c.Sealer, indexes: make(map[string]*index), notes: b, tell: w.tell, most: e.c.Parallel, part: e.c.Part, room: e.c.Room}
	if w.staging = string(b.notes[keyStaging]); w.staging == "" {
		w.staging = w.ownStaging()
	}
	w.forest = &forest{r: w.r, made: make(map[tree.ID][]byte), live: w.r.places(head{})}
	w.trees = tree.Trees{Objects: w.forest}
	if w.caps, err = e.c.Files.Caps(ctx); err != nil {
		return nil, err
	}
	return w, w.remember()
}

// remember reads what this device knew when its last sync was over.
func (w *work) remember() error {
	w.known, w.base = head{}, tree.ID{}
	if w.request.Fresh {
		return nil
	}
	if id, ok := w.book.notes[keyBase]; ok {
		if err := w.base.UnmarshalText(id); err != nil {
			return err
		}
	}
	var err error
	if object, ok := w.book.notes[keyHead]; ok {
		w.known, err = openKnown(w.Sealer, object)
	}
	return err
}

// look finds the newest head. One that has gone back, or is of another history,
// is an ErrForked.
func (w *work) look(ctx context.Context) error {
	seq, put, err := w.r.newest(ctx)
	if err != nil {
		return err
	}
	w.head, w.put = w.known, put
	if seq < w.known.Seq {
		if seq, err = w.behindList(ctx, seq); err != nil {
			return err
		}
	}
	if seq == w.known.Seq {
		return nil
	}
	if w.head, err = w.r.head(ctx, seq); err != nil {
		return err
	}
	return w.sameHistory(ctx)
}

// behindList looks for the newest head where the list does not have the one that
// is known: the list may be behind, and that head forgotten. If there is none, the
// remote has gone back: ErrForked.
func (w *work) behindList(ctx context.Context, listed int64) (int64, error) {
	const further = 32 // commits that a list may lack
	object, err := w.r.get(ctx, headName(w.known.Seq), maxHead)
	switch {
	case err == nil && bytes.Equal(object, w.known.object):
		w.proven = true
		return w.known.Seq, nil
	case err == nil:
		return 0, errOtherHead(w.known.Seq)
	case !isNotFound(err):
		return 0, err
	}
	for seq := w.known.Seq + 1; seq <= w.known.Seq+further; seq++ {
		if there, err := w.r.there(ctx, headName(seq)); err != nil || there {
			return seq, err
		}
	}
	return 0, fmt.Errorf("%w: it had commit %d, and has %d", ErrForked, w.known.Seq, listed)
}

// sameHistory looks that the newest head comes from the one that is known.
func (w *work) sameHistory(ctx context.Context) error {
	if w.known.Seq == 0 {
		return nil
	}
	same := w.head.follows(w.known.Seq, w.known.id)
	if !w.head.reaches(w.known.Seq) {
		object, err := w.r.get(ctx, headName(w.known.Seq), maxHead)
		if isNotFound(err) {
			return nil // it was forgotten
		}
		if err != nil {
			return err
		}
		same = commitID(object) == w.known.id
	}
	if !same {
		return errOtherHead(w.known.Seq)
	}
	return nil
}

// overtaken reports whether there is a newer head, after an object of this one
// was not found. If there is none, it is damage, unless it is the folder that is
// not there any more.
func (w *work) overtaken(ctx context.Context, missing error) (bool, error) {
	seq, put, err := w.r.newest(ctx)
	if err != nil {
		return false, err
	}
	switch {
	case seq > w.head.Seq:
	case w.gone(ctx):
		return false, fmt.Errorf("the folder has gone: %w", missing)
	default:
		return false, fmt.Errorf("%w: %w", ErrCorrupt, missing)
	}
	w.put = put
	w.head, err = w.r.head(ctx, seq)
	return err == nil, err
}

// try merges the folder with the newest head, commits that, and applies it.
// Again is true if somebody else has committed meanwhile.
func (w *work) try(ctx context.Context) (again bool, err error) {
	u, err := w.r.beginUpload(ctx, w.head)
	if err != nil {
		return false, err
	}
	defer u.stop()
	w.forest.live = u.live
	ours, err := w.scan(ctx, u)
	if err != nil {
		return false, err
	}
	w.tell.begin(StepMerge, 0, 0)
	merged, err := w.merge(ctx, u, ours)
	if errors.Is(err, ErrStale) { // a file is not as it was scanned
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if err := w.allowed(ctx, ours, merged); err != nil {
		return false, err
	}
	if err := w.shelve(ctx, ours, merged); err != nil {
		return false, err
	}
	heals, err := w.heal(ctx, u, merged)
	if err != nil {
		return false, err
	}
	if merged == w.head.Root && w.shelf == (tree.ID{}) && !heals {
		return false, w.apply(ctx, ours, merged, u)
	}
	again, err = w.commit(ctx, u, ours, merged)
	if again || err != nil {
		return again, err
	}
	return false, w.apply(ctx, ours, merged, u)
}
