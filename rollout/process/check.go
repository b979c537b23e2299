package process

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process/internal/output"
)

// reserved are the variables that say what a replica is.
var reserved = []string{"PORT", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", markName}

// Check implements rollout.Deployer. It looks for the program of a Command, and
// changes nothing.
func (d *Deployer) Check(ctx context.Context, id rollout.RevisionID, s rollout.Spec) (notEnforced []string, err error) {
	if err := d.check(s); err != nil {
		return nil, err
	}
	if len(s.Command) > 0 {
		if _, err := lookPath(s.Command[0]); err != nil {
			return nil, fmt.Errorf("process: %w: Command: %w", rollout.ErrInvalid, err)
		}
	}
	if err := d.lock(ctx); err != nil {
		return nil, err
	}
	d.mu.Unlock()
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"CPU", s.CPU != nil && !d.cgroups.cpu},
		{"Memory", s.Memory != nil && !d.cgroups.memory},
		{"Volumes", len(s.Volumes) > 0},
	} {
		if f.set {
			notEnforced = append(notEnforced, f.name)
		}
	}
	return notEnforced, nil
}

// check refuses what can never run here.
func (d *Deployer) check(s rollout.Spec) error {
	switch {
	case len(s.Addresses) > 0:
		return fmt.Errorf("process: %w: Addresses: it starts programs; package static takes what runs elsewhere", errors.ErrUnsupported)
	case s.Archive != nil:
		if err := checkArchive(s.Archive); err != nil {
			return err
		}
	case len(s.Command) > 0:
	case s.Image != nil || s.Package != nil || s.Source != nil:
		if d.config.Build == nil {
			return fmt.Errorf("process: %w: an image, a package or a source needs Config.Build", errors.ErrUnsupported)
		}
	default:
		return fmt.Errorf("process: %w: Command", rollout.ErrMissing)
	}
	for name := range s.Environment {
		for _, r := range reserved {
			if name == r {
				return fmt.Errorf("process: %w: Environment: %s is set by the Deployer", rollout.ErrInvalid, name)
			}
		}
	}
	if s.Port != nil && s.MaxReplicas != nil && *s.MaxReplicas > 1 {
		return fmt.Errorf("process: %w: MaxReplicas: %d replicas cannot all listen on Port %d", rollout.ErrInvalid, *s.MaxReplicas, *s.Port)
	}
	if folder := logFolder(s); folder != "" && !output.Valid(folder) {
		return fmt.Errorf("process: %w: Logs: %q is not below the Deployer's folder", rollout.ErrInvalid, *s.Logs)
	}
	return nil
}

func checkArchive(a *rollout.Archive) error {
	switch {
	case a.URL == "":
		return fmt.Errorf("process: %w: Archive.URL", rollout.ErrMissing)
	case len(a.Digest) != sha256.Size:
		return fmt.Errorf("process: %w: Archive.Digest has %d bytes, not the %d of SHA-256", rollout.ErrInvalid, len(a.Digest), sha256.Size)
	case len(a.Command) == 0:
		return fmt.Errorf("process: %w: Archive.Command", rollout.ErrMissing)
	case strings.Contains(a.Command[0], "/") && !filepath.IsLocal(filepath.FromSlash(a.Command[0])):
		return fmt.Errorf("process: %w: Archive.Command: %q is not in the archive", rollout.ErrInvalid, a.Command[0])
	}
	return nil
}

// lookPath returns the absolute path of a program, which is looked for in PATH if
// it has no slash.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return "", err
	}
	return filepath.Abs(path)
}
