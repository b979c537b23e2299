package step

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/pause"
)

const (
	launchLook  = 250 * time.Millisecond
	launchPause = 200 * time.Millisecond // between two starts of a program on trial
	// launchSlack is what a program gets beyond Binary.Within to go back by
	// itself, which keeps its listeners.
	launchSlack = 5 * time.Second
)

// Launch runs the program at path as a child with these arguments, with this
// process's environment and standard streams, waits for its end and returns
// its exit status, -1 if a signal ended it. When ctx ends the child gets
// SIGTERM, and is waited for.
//
// Launch is for the main of a small program that updates do not replace, as
// what a supervisor starts:
//
//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//	defer stop()
//	status, err := step.Launch(ctx, "/opt/app/app", os.Args[1:]...)
//
// A program on trial that ends is started again, so that one which dies, or
// hangs, before it can call [Begin] goes back too: Launch counts the starts
// that the program did not count itself. What ends when it is not on trial is
// left to the supervisor. Without Launch, a supervisor that starts the program
// again does the same for all but the releases that never get to Begin.
func Launch(ctx context.Context, path string, args ...string) (status int, err error) {
	own, err := filepath.Abs(path)
	if err != nil || path == "" {
		return 0, errors.Join(errors.New("step: no program to launch"), err)
	}
	// It need not be there: a process may have died in the gap.
	if real, err := filepath.EvalSymlinks(own); err == nil {
		own = real
	}
	return launcher{place{disk: durable.OS, path: own, gap: runtime.GOOS == "windows"}}.launch(ctx, args)
}

type launcher struct{ place }

func (l launcher) launch(ctx context.Context, args []string) (status int, err error) {
	for {
		before, err := l.onTrial(ctx)
		if err != nil {
			return 0, err
		}
		status, hung, err := l.run(ctx, args)
		if err != nil {
			return 0, err
		}
		after, err := l.onTrial(ctx)
		if err != nil || after == nil || ctx.Err() != nil {
			return status, err
		}
		if err := l.judge(before, hung); err != nil {
			return status, err
		}
		if pause.For(ctx, launchPause) != nil {
			return status, nil
		}
	}
}

// onTrial returns the trial of the program that is in place, or nil. It puts
// one in place where there is none.
func (l launcher) onTrial(ctx context.Context) (*trial, error) {
	if err := l.repair(); err != nil {
		return nil, err
	}
	tr, err := l.readTrial()
	if err != nil || tr == nil || tr.State != onTrial {
		return nil, err
	}
	// The end of ctx ends the child, not this look.
	there, err := l.is(context.WithoutCancel(ctx), tr.New)
	if err != nil || !there {
		return nil, err
	}
	return tr, nil
}

// run runs the program to its end. hung tells that it was ended because its
// trial lasted too long.
func (l launcher) run(ctx context.Context, args []string) (status int, hung bool, err error) {
	cmd := exec.CommandContext(ctx, l.path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return askToEnd(cmd.Process) }
	if err := cmd.Start(); err != nil {
		tr, e := l.onTrial(ctx)
		if e != nil || tr == nil {
			return 0, false, errors.Join(err, e)
		}
		return 1, false, nil // a program on trial that cannot be started at all
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the state of the process says it all
	}()
	ticker := time.NewTicker(launchLook)
	defer ticker.Stop()
	var since time.Time // when the program was first seen on trial
	for {
		select {
		case <-ended:
			return cmd.ProcessState.ExitCode(), hung, nil
		case <-ticker.C:
		}
		tr, err := l.readTrial()
		switch {
		case err != nil || tr == nil || tr.State != onTrial:
			since = time.Time{} // an error is met again once it has ended
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > tr.Within+launchSlack:
			if tr, err := l.onTrial(ctx); err == nil && tr != nil {
				hung = true
				_ = cmd.Process.Kill()
			}
			since = time.Time{}
		}
	}
}

// judge counts a start of a program on trial that has ended, unless it did so
// itself, and puts the old one back when it is time.
func (l launcher) judge(before *trial, hung bool) error {
	return l.locked(context.Background(), func(tr *trial) error {
		if tr == nil || tr.State != onTrial {
			return nil // another process of the same file has ended it
		}
		counted := 0
		if before != nil && before.Run == tr.Run {
			counted = before.Starts
		}
		if tr.Starts == counted {
			tr.Starts++
		}
		switch {
		case hung:
			return l.goBack(*tr, fmt.Sprintf("it did not confirm itself within %s", tr.Within))
		case tr.Starts >= tr.Limit:
			return l.goBack(*tr, tooOften(*tr))
		}
		return l.writeTrial(*tr)
	})
}
