//go:build darwin || freebsd || windows

package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/internal/proc"
)

// supported says that no process can be told from another here, nor taken up.
func supported() error { return fmt.Errorf("process: %w: it needs Linux", errors.ErrUnsupported) }

func inherited(int) (net.Listener, error) { return nil, supported() }

// child is a process, of which there is none here.
type child struct {
	id      proc.ID
	settled bool
}

func startChild(context.Context, program) (*child, error) { return nil, supported() }

func take(proc.ID, string) (*child, error) { return nil, supported() }

func (c *child) output(string) *os.File                     { return nil }
func (c *child) wait(context.Context) (string, error)       { return "", supported() }
func (c *child) end(context.Context, time.Time, bool) error { return supported() }
func (c *child) kill(context.Context) error                 { return supported() }
func (c *child) close() error                               { return nil }

// sockets are where a replica may serve.
type sockets struct {
	open            bool
	listening, port int
}

func (s *sockets) make(*int) error      { return supported() }
func (s *sockets) passed() *os.File     { return nil }
func (s *sockets) adopt(*child, string) {}
func (s *sockets) settle(string) error  { return nil }
func (s *sockets) close() error         { return nil }
