package slot

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
)

// SystemReboot is a Config.Reboot of firmware that restarts this machine: by
// systemctl, which ends services in order, else by reboot, and where there is
// neither by the system call, after what was written is durable. What a command
// refuses, as for somebody who inhibits it, is an error: it is not forced.
func SystemReboot(ctx context.Context) error {
	return firstOf(ctx, []string{"systemctl", "reboot"}, []string{"reboot"})
}

// firstOf runs commands until one succeeds. Only where there is none is the system
// call made.
func firstOf(ctx context.Context, commands ...[]string) error {
	var all []error
	for _, c := range commands {
		_, err := output(ctx, c, nil)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !errors.Is(err, exec.ErrNotFound) {
			all = append(all, err)
		}
	}
	if len(all) > 0 {
		return errors.Join(all...)
	}
	if err := reboot(); err != nil {
		return fmt.Errorf("restarting the machine: %w", err)
	}
	return nil
}
