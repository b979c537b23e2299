//go:build !unix && !windows

package step

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
)

var errNoGroups = fmt.Errorf("step: no process groups on this system: %w", errors.ErrUnsupported)

// processGroups tells whether this system can end a program with all that it
// started.
func processGroups() error { return errNoGroups }

type group struct{}

func newGroup(*exec.Cmd) (*group, error) { return nil, errNoGroups }

func (g *group) started() error   { return errNoGroups }
func (g *group) terminate() error { return errNoGroups }
func (g *group) kill()            {}
func (g *group) close()           {}

func endOrphans(context.Context, string) error { return nil }
