package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// commands are what a user can ask for.
type commands struct {
	folder *cloudsync.Folder
	out    io.Writer
}

func (c commands) sync(ctx context.Context, args []string) error {
	var q cloudsync.Request
	if len(args) > 0 {
		q.Plan = args[0]
	}
	return c.start(ctx, q)
}

func (c commands) fresh(ctx context.Context, _ []string) error {
	return c.start(ctx, cloudsync.Request{Fresh: true})
}

// start syncs, or goes on with a sync that was killed.
func (c commands) start(ctx context.Context, q cloudsync.Request) error {
	q.By.Actor = os.Getenv("USER")
	run, err := c.folder.Start(ctx, q)
	if errors.Is(err, cloudsync.ErrBusy) { // one that was killed: it is taken up
		for live, e := range c.folder.History(ctx, cloudsync.Query{Live: true}) {
			run, err = live, e
			break
		}
	}
	if err != nil {
		return err
	}
	return c.follow(ctx, run)
}

// follow shows how far a run has come, and what it has done. Who gives up waiting
// stops the run: what it has begun is gone on with by the next one.
func (c commands) follow(ctx context.Context, run cloudsync.Run) error {
	if isTerminal(c.out) {
		for e, err := range c.folder.Follow(ctx, run.ID) {
			if err != nil {
				break
			}
			fmt.Fprintf(c.out, "\r\033[K%s %3d%%  %-8s  %d of %d files", bar(e.Percent), e.Percent, e.Step, e.Progress.Files, e.Progress.AllFiles)
		}
		fmt.Fprint(c.out, "\r\033[K")
	}
	run, err := c.folder.Wait(ctx, run.ID)
	if err != nil {
		return err
	}
	if done := run.Compaction; done == nil {
		fmt.Fprintf(c.out, "%d up, %d down, %d deleted, %d conflicts\n", run.Uploaded, run.Downloaded, run.Deleted, run.Conflicts)
	} else {
		less := "less"
		if done.Bytes < 0 { // there was so little to delete
			less, done.Bytes = "more", -done.Bytes
		}
		fmt.Fprintf(c.out, "%d commits forgotten, %d objects deleted, CLOUD has %d bytes %s\n", done.Forgotten, done.Objects, done.Bytes, less)
	}
	status, err := c.folder.Status(ctx)
	for _, p := range status.Problems {
		fmt.Fprintf(c.out, "left alone: %s: %s\n", p.Path, p.Reason)
	}
	return err
}

// bar is a bar of 20 characters.
func bar(percent int) string {
	full := percent / 5
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", 20-full) + "]"
}

// isTerminal reports whether somebody looks at what is written.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (c commands) plan(ctx context.Context, _ []string) error {
	plan, err := c.folder.Plan(ctx, cloudsync.Request{})
	if err != nil {
		return err
	}
	for _, a := range plan.Actions {
		fmt.Fprintln(c.out, a)
	}
	switch {
	case len(plan.Actions) == 0:
		fmt.Fprintln(c.out, "there is nothing to do")
	case plan.Guard != "":
		fmt.Fprintf(c.out, "refused: %s\nto do it all the same: sync %s\n", plan.Guard, plan.ID)
	}
	return nil
}

func (c commands) watch(ctx context.Context, _ []string) error {
	ended := make(chan error, 1)
	running, stop := context.WithCancel(ctx)
	defer func() { stop(); <-ended }()
	go func() { ended <- c.folder.Run(running) }()
	for e, err := range c.folder.Watch(ctx, -1) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if e.Kind == cloudsync.EventEnded && e.State == cloudsync.StateSucceeded { // else it is logged
			fmt.Fprintf(c.out, "%s synced\n", e.Time.Local().Format(time.TimeOnly))
		}
	}
	return nil
}

func (c commands) log(ctx context.Context, args []string) error {
	var q cloudsync.CommitQuery
	if len(args) > 0 {
		q.Path = args[0]
	}
	for commit, err := range c.folder.Commits(ctx, q) {
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "%s %s %-10s %d files, %d bytes\n", commit.ID, commit.Time.Local().Format(time.DateTime), commit.Device, commit.Files, commit.Bytes)
	}
	return nil
}

func (c commands) show(ctx context.Context, args []string) error {
	content, err := c.folder.Open(ctx, args[0], args[1])
	if err != nil {
		return err
	}
	_, err = io.Copy(c.out, content)
	return errors.Join(err, content.Close())
}

func (c commands) restore(ctx context.Context, args []string) error {
	run, err := c.folder.Restore(ctx, cloudsync.RestoreRequest{Commit: args[0], Paths: args[1:]})
	if err != nil {
		return err
	}
	return c.follow(ctx, run)
}

func (c commands) conflicts(ctx context.Context, _ []string) error {
	for conflict, err := range c.folder.Conflicts(ctx) {
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "%s | %s\n", conflict.Path, conflict.Copy)
	}
	return nil
}

func (c commands) keep(ctx context.Context, args []string) error {
	var all []cloudsync.Conflict
	for conflict, err := range c.folder.Conflicts(ctx) {
		if err != nil {
			return err
		}
		all = append(all, conflict)
	}
	for _, conflict := range all {
		if err := c.folder.Resolve(ctx, conflict, cloudsync.Keep(args[0]), cloudsync.By{}); err != nil {
			return err
		}
	}
	return nil
}

func (c commands) compact(ctx context.Context, args []string) error {
	days, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("%q is no number of days", args[0])
	}
	run, err := c.folder.Compact(ctx, cloudsync.Retention{Age: time.Duration(days) * 24 * time.Hour}, cloudsync.By{})
	if err != nil {
		return err
	}
	return c.follow(ctx, run)
}

func (c commands) verify(ctx context.Context, _ []string) error {
	found := 0
	for damage, err := range c.folder.Verify(ctx, cloudsync.DepthContents) {
		if err != nil {
			return err
		}
		found++
		fmt.Fprintf(c.out, "%s: %s: %s\n", damage.Object, damage.Reason, strings.Join(damage.Paths, ", "))
	}
	if found > 0 {
		return fmt.Errorf("%d objects are damaged: see the command repair", found)
	}
	fmt.Fprintln(c.out, "all is well")
	return nil
}

func (c commands) repair(ctx context.Context, _ []string) error {
	run, err := c.folder.Repair(ctx, cloudsync.By{})
	if err != nil {
		return err
	}
	return c.follow(ctx, run)
}
