package httpadapter_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/memory"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// papers is the Folder of a site, with files and a remote in memory.
type papers struct {
	*cloudsync.Folder
	cloud *memory.DB // has the remotes
	files *memory.Files
	notes cloudsync.FolderStore // of the folder
}

const papersName = "papers"

func newPapers(t testing.TB, db storage.Backend, e *engine) *papers {
	p := openPapers(&engineFolders{db, e})
	p.notes = db.SyncState(papersName)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

func openPapers(store cloudsync.Store) *papers {
	p := &papers{cloud: memory.New()}
	p.files = p.cloud.Files(papersName)
	var err error
	p.Folder, err = cloudsync.New(cloudsync.Config{
		Name: papersName, Device: "desk", Store: store, Files: p.files, Remote: p.cloud.Remote("default"), Remotes: p.cloud.Remotes(),
		Vault: newLatch(), Logger: quiet,
	})
	if err != nil {
		panic(err)
	}
	return p
}

// write makes the files that a site to attack has: one, and a conflict about it.
func (p *papers) write() {
	p.files.Person().Write("diary.md", "of the desk")
	p.files.Person().Write("diary (conflict 01234567).md", "of the phone")
}

// settle waits until no run is under way.
func (p *papers) settle(t testing.TB) {
	for run, err := range p.History(context.Background(), cloudsync.Query{Live: true}) {
		require.NoError(t, err)
		_, _ = p.Wait(context.Background(), run.ID)
	}
	require.Eventually(t, func() bool { // OnFinish is told of each
		for range p.notes.List(context.Background(), "untold/") {
			return false
		}
		return true
	}, 10*time.Second, time.Millisecond)
}

// filed is what a folder and its remote are after a sync. Every site to attack
// begins with the same, which is made once.
type filed struct {
	notes   []cloudsync.Entry
	objects map[string][]byte
	ids     *strings.Replacer // puts real ids in patterns and bodies
}

var filedPapers = sync.OnceValue(func() (made filed) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	ctx, db := context.Background(), memory.New()
	p := openPapers(db)
	p.write()
	run, err := p.Sync(ctx, cloudsync.Request{})
	must(err)
	key, err := p.AddKey(ctx, "phone", "battery staple", cloudsync.By{})
	must(err)
	must(p.Tag(ctx, "nobody", run.Commit, cloudsync.By{}))
	for c, err := range p.Conflicts(ctx) {
		must(err)
		made.ids = strings.NewReplacer(
			"{commit}", run.Commit, "/keys/{id}", "/keys/"+key.ID, "{copy}", c.Copy, "{path_hash}", c.PathHash, "{copy_hash}", c.CopyHash,
		)
	}
	must(p.Close())
	for e, err := range db.SyncState(papersName).List(ctx, "") {
		must(err)
		made.notes = append(made.notes, e)
	}
	made.objects = map[string][]byte{}
	remote := p.cloud.Remote("default")
	for o, err := range remote.List(ctx, "", "") {
		must(err)
		r, err := remote.Get(ctx, o.Name, 0, -1)
		must(err)
		made.objects[o.Name], err = io.ReadAll(r)
		must(err)
	}
	return made
})

// fill makes of new papers what is filed.
func (p *papers) fill(t testing.TB) {
	ctx, made := context.Background(), filedPapers()
	p.write()
	_, err := p.notes.Update(ctx, 0, made.notes)
	require.NoError(t, err)
	remote := p.cloud.Remote("default")
	for name, content := range made.objects {
		require.NoError(t, remote.PutIfAbsent(ctx, name, bytes.NewReader(content)))
	}
}
