package process

import (
	"context"
	"syscall"
)

// Start starts a program without arguments, as a replica's is.
func Start(ctx context.Context, path string) error {
	_, err := forkExec(ctx, []string{path}, &syscall.ProcAttr{})
	return err
}
