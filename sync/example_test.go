package sync_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/storage/dir"
	"github.com/upkeep-go/upkeep/storage/memory"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	cloudsync "github.com/upkeep-go/upkeep/sync"
	"github.com/upkeep-go/upkeep/sync/vault"
)

var ann = cloudsync.By{Actor: "ann"}

// A folder of notes, the same on every device. The folder notes and /mnt/cloud have
// to be there; the first device begins what is kept there, by the passphrase that
// all have.
func Example() {
	ctx := context.Background()
	db := must(sqlite.Open(sqlite.Config{Path: "laptop.db"}))
	defer db.Close()
	cloud := must(dir.Open(dir.Config{Path: "/mnt/cloud/notes"}))
	defer cloud.Close()
	notes := must(cloudsync.New(cloudsync.Config{
		Name: "notes", Files: cloudsync.Dir("notes"), Store: db, Remote: cloud, Vault: vault.New("correct horse battery staple"),
	}))
	defer notes.Close()
	run := must(notes.Sync(ctx, cloudsync.Request{}))
	fmt.Println(run.Uploaded, "up,", run.Downloaded, "down,", run.Conflicts, "conflicts")

	go notes.Run(ctx) // from now on at every Interval, and soon after each
	notes.Nudge()
}

// A test of an application: two devices that need no file and no server.
func Example_inATest() {
	ctx, cloud := context.Background(), memory.New().Remote("notes")
	for _, device := range []string{"laptop", "phone"} {
		db := memory.New()
		files := db.Files("notes")
		notes := must(cloudsync.New(cloudsync.Config{
			Name: "notes", Device: device, Files: files, Store: db, Remote: cloud, Vault: vault.New("test"),
		}))
		files.Person().Write("of the "+device+".md", "some text")
		run := must(notes.Sync(ctx, cloudsync.Request{}))
		fmt.Println(device, run.Uploaded, "up,", run.Downloaded, "down")
		check(notes.Close())
	}
	// Output:
	// laptop 1 up, 0 down
	// phone 1 up, 1 down
}

// Look at what a guard refused, and do exactly that.
func ExampleFolder_Plan() {
	ctx := context.Background()
	notes, files := folderOf("laptop", memory.New().Remote("notes"))
	for i := range 30 {
		files.Write(fmt.Sprintf("2019/%d.md", i), "a day")
	}
	must(notes.Sync(ctx, cloudsync.Request{}))
	files.Remove("2019")

	_, err := notes.Sync(ctx, cloudsync.Request{})
	fmt.Println(errors.Is(err, cloudsync.ErrGuard))
	plan := must(notes.Plan(ctx, cloudsync.Request{}))
	fmt.Println(plan.Guard)
	fmt.Println(plan.Actions[0])
	run := must(notes.Sync(ctx, cloudsync.Request{Plan: plan.ID, By: ann})) // cloudsync.ErrStale: a side has moved
	fmt.Println(run.Deleted)
	// Output:
	// true
	// it would delete 30 of 30 files in the remote
	// delete_remote 2019/0.md (5 bytes)
	// 30
}

// Two people have edited a file.
func ExampleFolder_Resolve() {
	ctx, cloud := context.Background(), memory.New().Remote("notes")
	laptop, here := folderOf("laptop", cloud)
	phone, there := folderOf("phone", cloud)
	here.Write("diary.md", "a rainy day")
	must(laptop.Sync(ctx, cloudsync.Request{}))
	there.Write("diary.md", "a sunny day")
	must(phone.Sync(ctx, cloudsync.Request{}))

	for c, err := range phone.Conflicts(ctx) {
		check(err)
		fmt.Println(c.Path) // its copy is "diary (conflict 6a6ad57d).md"
		check(phone.Resolve(ctx, c, cloudsync.KeepCopy, ann))
	}
	must(phone.Sync(ctx, cloudsync.Request{}))
	must(laptop.Sync(ctx, cloudsync.Request{}))
	fmt.Println(here.Read("diary.md"))
	// Output:
	// diary.md
	// a sunny day true
}

// The diary as the phone last had it.
func ExampleFolder_Restore() {
	ctx, cloud := context.Background(), memory.New().Remote("notes")
	phone, there := folderOf("phone", cloud)
	there.Write("diary.md", "a sunny day")
	must(phone.Sync(ctx, cloudsync.Request{}))
	laptop, here := folderOf("laptop", cloud)
	must(laptop.Sync(ctx, cloudsync.Request{}))
	here.Write("diary.md", "nothing")
	must(laptop.Sync(ctx, cloudsync.Request{}))

	for c, err := range laptop.Commits(ctx, cloudsync.CommitQuery{Path: "diary.md", Device: "phone"}) {
		check(err)
		content := must(laptop.Open(ctx, c.ID, "diary.md"))
		_, err = io.Copy(os.Stdout, content)
		check(errors.Join(err, content.Close()))
		run := must(laptop.Restore(ctx, cloudsync.RestoreRequest{Commit: c.ID, Paths: []string{"diary.md"}, By: ann}))
		must(laptop.Wait(ctx, run.ID))
		break
	}
	must(laptop.Sync(ctx, cloudsync.Request{}))
	must(phone.Sync(ctx, cloudsync.Request{}))
	fmt.Println()
	fmt.Println(there.Read("diary.md"))
	// Output:
	// a sunny day
	// a sunny day true
}

// A progress bar.
func ExampleFolder_Follow() {
	ctx := context.Background()
	notes, files := folderOf("laptop", memory.New().Remote("notes"))
	files.Write("diary.md", "a sunny day")
	run := must(notes.Start(ctx, cloudsync.Request{By: ann}))
	for e, err := range notes.Follow(ctx, run.ID) {
		check(err)
		if e.Kind == cloudsync.EventStep || e.Kind == cloudsync.EventEnded {
			fmt.Printf("%s %s %d%%\n", e.Kind, e.Step, e.Percent)
		}
	}
	// Output:
	// step scan 0%
	// step merge 40%
	// step upload 40%
	// ended upload 100%
}

// A year of history, less space.
func ExampleFolder_Compact() {
	ctx := context.Background()
	notes, files := folderOf("laptop", memory.New().Remote("notes"))
	files.Write("diary.md", "a sunny day")
	must(notes.Sync(ctx, cloudsync.Request{}))

	keep := cloudsync.Retention{Age: 30 * 24 * time.Hour, Weekly: 52}
	fmt.Println(must(notes.PlanCompact(ctx, keep)).Bytes, "bytes would go")
	run := must(notes.Compact(ctx, keep, ann))
	must(notes.Wait(ctx, run.ID))
	// Output: 0 bytes would go
}

// A new passphrase; no content is encrypted anew.
func ExampleFolder_AddKey() {
	ctx := context.Background()
	notes, _ := folderOf("laptop", memory.New().Remote("notes"))
	must(notes.Sync(ctx, cloudsync.Request{}))

	added := must(notes.AddKey(ctx, "2026", "a much longer passphrase", ann))
	for key, err := range notes.Keys(ctx) {
		check(err)
		if key.ID != added.ID {
			check(notes.RemoveKey(ctx, key.ID, ann))
		}
	}
	for key, err := range notes.Keys(ctx) {
		check(err)
		fmt.Println(key.Name)
	}
	// Output: 2026
}

// folderOf is the folder of a device in memory, and who works in it.
func folderOf(name string, cloud cloudsync.Remote) (*cloudsync.Folder, memory.Person) {
	db := memory.New()
	files := db.Files("notes")
	return must(cloudsync.New(cloudsync.Config{
		Name: "notes", Device: name, Files: files, Store: db, Remote: cloud, Vault: vault.New("test"),
		Logger: slog.New(slog.DiscardHandler),
	})), files.Person()
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
