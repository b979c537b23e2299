package step

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/internal/handover"
)

// listenersVariable has what a process hands over to the program that it
// becomes, in JSON.
const listenersVariable = "UPKEEP_LISTENERS"

// expireAgain is when a program that could not go back tries again.
const expireAgain = time.Second

var errTrialOver = errors.New("step: the trial has ended")

// Program is this process as one whose file may be replaced, and which may be
// restarted. It is safe for concurrent use.
type Program struct {
	place place
	dir   string                                // where the process began
	exec  func(path string, env []string) error // becomes another program
	exit  func()                                // of a process that can neither serve nor become one

	mu        sync.Mutex
	trial     *trial      // that this start is counted in, or nil
	deadline  *time.Timer // of the trial
	inherited []inherited // open until Confirm, so that they can be handed back
	listeners []*listener
}

// inherited is a listener that the program before has handed over.
type inherited struct {
	FD      int    `json:"fd"`
	Network string `json:"network"` // as Listen was called
	Address string `json:"address"`
	taken   bool
}

// Begin is to be called first of all in the main of a program that SwapBinary
// replaces, before anything that a bad release could get wrong; path is the
// program's file, "" for that of this process. It is for the process that
// stays, not for each command of a tool: every Begin is a start, and where
// several processes of one file start together Binary.Starts has to be as many
// times greater.
//
// Begin looks whether the program is on trial, and if so counts the start,
// durably. A program that has started Binary.Starts times without a
// [Program.Confirm], or takes longer than Binary.Within for one, goes back: the
// old program takes its place again, and this process becomes the old program,
// with the same arguments, environment and listeners. Then Begin does not
// return. Its update is rolled back when the old program calls
// Updater.Recover, or runs Updater.Run.
//
// A release that dies before main, when packages are initialized, is not
// counted by Begin: Binary.Try keeps most of them out, and [Launch] counts
// them from outside.
//
// What the folder beside the program says is followed only if it is of this user
// or of the owner of the folder that the program is in, and if no others may
// write in it.
//
// Begin also takes the listeners that the program before has handed over. They
// are in the environment variable UPKEEP_LISTENERS, which it removes: a JSON
// list of objects with the members fd, network and address.
//
// The Program is of use also when there is an error, which says why there may
// be no way back.
func Begin(path string) (*Program, error) {
	p := &Program{exec: become, exit: func() { os.Exit(1) }}
	p.inherited = takeInherited()
	p.dir, _ = os.Getwd() // only to become a program where this one began
	own, err := findProgram(path)
	if err != nil {
		return p, err
	}
	p.place = place{disk: durable.OS, path: own, gap: runtime.GOOS == "windows"}
	return p, p.begin()
}

func (p *Program) begin() error {
	if !exists(p.place.beside(trialFile)) {
		return nil
	}
	release, err := p.place.lock(context.Background())
	if err != nil {
		return fmt.Errorf("counting the start: %w", err)
	}
	tr, back, err := p.place.count(context.Background())
	_ = release() // nothing was written to it
	switch {
	case err != nil:
		return fmt.Errorf("counting the start: %w", err)
	case back:
		return p.become(p.handOver())
	case tr != nil:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.trial = tr
		p.deadline = time.AfterFunc(tr.Within, p.expire)
	}
	return nil
}

// expire goes back from a program that was not confirmed in time.
func (p *Program) expire() {
	tr := p.current()
	if tr == nil {
		return
	}
	err := p.retreat(*tr, fmt.Sprintf("it did not confirm itself within %s", tr.Within))
	switch {
	case errors.Is(err, errTrialOver), errors.Is(err, errReplaced):
		return // somebody else has seen to it
	case err != nil: // such as a full disk
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.trial != nil {
			p.deadline.Reset(expireAgain)
		}
		return
	}
	_ = p.become(p.handOver())
	os.Exit(1) // the old program is there for whoever starts it
}

func (p *Program) current() *trial {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trial
}

// retreat puts the old program back, unless the trial tr of the new one has
// ended meanwhile.
func (p *Program) retreat(tr trial, reason string) error {
	return p.place.locked(context.Background(), func(now *trial) error {
		if now != nil && now.Run == tr.Run && now.State != tr.State {
			return fmt.Errorf("%w: that of %s", errTrialOver, tr.Version)
		}
		if err := p.place.expect(context.Background(), tr.New); err != nil {
			return err
		}
		return p.place.goBack(tr, reason)
	})
}

// OnTrial returns the version that this program brings, and whether it has yet
// to be confirmed.
func (p *Program) OnTrial() (version string, yes bool) {
	if tr := p.current(); tr != nil {
		return tr.Version, true
	}
	return "", false
}

// Confirm says that the program is well: it serves, and may stay. It ends the
// trial, if there is one, and closes the listeners that were handed over and
// that nobody asked Listen for. It may be called twice. After an error the
// trial goes on, and Confirm may be tried again.
func (p *Program) Confirm() error {
	if tr := p.current(); tr != nil {
		if err := p.confirm(*tr); err != nil {
			return fmt.Errorf("confirming %s: %w", tr.Version, err)
		}
	}
	p.mu.Lock()
	left := p.inherited
	if p.deadline != nil {
		p.deadline.Stop()
	}
	p.trial, p.inherited = nil, nil
	p.mu.Unlock()
	for _, l := range left {
		closeListener(l.FD)
	}
	return nil
}

func (p *Program) confirm(tr trial) error {
	return p.place.locked(context.Background(), func(now *trial) error {
		switch {
		case now == nil || now.Run != tr.Run || now.State == goneBack:
			return fmt.Errorf("step: its trial has ended")
		case now.State == confirmed:
			return nil // another process of the same file was faster
		}
		now.State = confirmed
		return p.place.writeTrial(*now)
	})
}

// Listen is net.Listen, but takes the listener with this network and address,
// word for word, that the program before has handed over, if there is one:
// who connects while one becomes the other waits. Networks are those of TCP
// and Unix sockets. Restart hands over what Listen has returned.
func (p *Program) Listen(network, address string) (net.Listener, error) {
	var socket net.Listener
	var err error
	if fd, found := p.take(network, address); found {
		socket, err = handover.Open(fd)
	} else {
		socket, err = net.Listen(network, address)
	}
	if err != nil {
		return nil, err
	}
	l := newListener(network, address, socket)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listeners = append(p.listeners, l)
	return l, nil
}

// quiet reports that nothing is left of what the listeners have accepted.
func (p *Program) quiet() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !slices.ContainsFunc(p.listeners, func(l *listener) bool { return !l.quiet() })
}

// stop makes the listeners accept no more.
func (p *Program) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.listeners {
		_ = l.stop() // who connects is accepted by the next program
	}
}

// take returns the inherited listener for an address, once.
func (p *Program) take(network, address string) (fd int, found bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.inherited {
		in := &p.inherited[i]
		if in.Network == network && in.Address == address && !in.taken {
			in.taken = true
			return in.FD, true
		}
	}
	return 0, false
}

// handOver returns the listeners that the next program gets: those that the
// one before has handed over, as long as it may have to have them back, and
// the others of this process.
func (p *Program) handOver() []inherited {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := append([]inherited(nil), p.inherited...)
	known := map[[2]string]bool{}
	for _, in := range all {
		known[[2]string{in.Network, in.Address}] = true
	}
	for _, l := range p.listeners {
		if known[[2]string{l.network, l.address}] {
			continue
		}
		if fd, err := handover.Descriptor(l.Listener); err == nil { // else it is closed
			all = append(all, inherited{FD: fd, Network: l.network, Address: l.address})
		}
	}
	return all
}

// become makes this process the program that is in place, which gets these
// listeners. It returns only an error.
func (p *Program) become(handed []inherited) error {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, listenersVariable+"=") {
			env = append(env, v)
		}
	}
	if len(handed) > 0 {
		text, err := json.Marshal(handed)
		if err != nil {
			return err
		}
		env = append(env, listenersVariable+"="+string(text))
	}
	_ = os.Chdir(p.dir) // it may be gone
	for _, in := range handed {
		if err := inheritable(in.FD, true); err != nil {
			return err
		}
	}
	err := p.exec(p.place.path, env)
	for _, in := range handed {
		_ = inheritable(in.FD, false) // the children of this process do not need them
	}
	return fmt.Errorf("becoming %q: %w", p.place.path, err)
}

// takeInherited reads what the program before has handed over.
func takeInherited() (all []inherited) {
	text := os.Getenv(listenersVariable)
	os.Unsetenv(listenersVariable)
	if json.Unmarshal([]byte(text), &all) != nil {
		return nil
	}
	for _, in := range all {
		_ = inheritable(in.FD, false)
	}
	return all
}
