//go:build linux

package process_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

// role is the variable that makes this test program a service, or whatever a
// test starts.
const role = "UPKEEP_TEST_ROLE"

// atOnce is how many tests run at once, unless -parallel says so: nearly all of
// their time is waiting, for other programs and for pauses.
const atOnce = 12

func TestMain(m *testing.M) {
	play, ok := roles[os.Getenv(role)]
	if !ok {
		_ = flag.Set("test.parallel", strconv.Itoa(max(atOnce, runtime.GOMAXPROCS(0)))) // for want of -parallel
		flag.Parse()
		os.Exit(m.Run())
	}
	if err := play(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

var roles = map[string]func() error{
	"passed":   func() error { return serves(process.Listener) },
	"port":     func() error { return serves(onPort) },
	"sick":     func() error { fmt.Println("I am sick"); return serves(process.Listener) },
	"exits":    func() error { return fmt.Errorf("no such database") },
	"slow end": stubborn,
	"family":   family,
	"child":    child,
	"leaves":   leaves,
	"picky":    picky,
	"busy":     busy,
	"deploys":  deploys,
	"counter":  counter,
	"diverts":  diverts,
	"silent":   func() error { time.Sleep(time.Hour); return nil },

	"closely": closely,
	"unnamed port": func() error {
		return serves(func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:"+os.Getenv("AT")) })
	},
	"passed elsewhere":      func() error { return serves(elsewhere) },
	"late":                  func() error { time.Sleep(300 * time.Millisecond); return serves(process.Listener) },
	"controls":              controls,
	"beats":                 beats,
	"regroups":              regroups,
	"daemon":                daemon,
	"forks twice":           forksTwice,
	"closes stdout":         closesStdout,
	"fills":                 fills,
	"worker holds the port": holds,
	"worker":                worker,
	"child that takes":      takes,
	"takes time":            takesTime,
}

func onPort() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT")) }

// serves is a service that answers with its name, prints what it is told to, and
// ends on SIGTERM once nothing is in flight.
func serves(listen func() (net.Listener, error)) error { return serve(service(), time.Minute, listen) }

// serve serves until SIGTERM, and then answers what it has begun to read.
func serve(h http.Handler, idle time.Duration, listen func() (net.Listener, error)) error {
	l, err := listen()
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h, IdleTimeout: idle} // and it waits for a machine that stands still
	ends, ended := make(chan os.Signal, 1), make(chan error, 1)
	signal.Notify(ends, syscall.SIGTERM)
	go func() {
		<-ends
		ended <- server.Shutdown(context.Background())
	}()
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return <-ended
}

func service() http.Handler {
	var failing atomic.Bool
	failing.Store(os.Getenv(role) == "sick")
	var counted atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		if failing.Load() {
			http.Error(w, "failing", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, os.Getenv("NAME"))
	})
	mux.HandleFunc("GET /pid", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	mux.HandleFunc("GET /environment", func(w http.ResponseWriter, _ *http.Request) {
		for _, e := range os.Environ() {
			fmt.Fprintln(w, e)
		}
	})
	mux.HandleFunc("POST /fail", func(http.ResponseWriter, *http.Request) { failing.Store(true) })
	mux.HandleFunc("POST /exit", func(http.ResponseWriter, *http.Request) { os.Exit(3) })
	mux.HandleFunc("POST /print", func(_ http.ResponseWriter, r *http.Request) {
		line, _ := io.ReadAll(r.Body)
		fmt.Println(string(line))
	})
	mux.HandleFunc("POST /count", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, counted.Add(1))
	})
	return mux
}

// stubborn is a service that does not end on SIGTERM.
func stubborn() error {
	signal.Ignore(syscall.SIGTERM)
	l, err := process.Listener()
	if err != nil {
		return err
	}
	return (&http.Server{Handler: service()}).Serve(l)
}

// family is a service whose child holds on when it ends.
func family() error {
	l, err := process.Listener()
	if err != nil {
		return err
	}
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), role+"=child")
	c.Stdout = os.Stdout
	if err := c.Start(); err != nil {
		return err
	}
	return serves(func() (net.Listener, error) { return l, nil })
}

// child is the process that a family has started, once it ignores SIGTERM.
func (m *machine) child(id rollout.RevisionID) (pid int) {
	m.Helper()
	m.eventually(func() bool {
		_, rest, _ := strings.Cut(m.output(id), "child ")
		_, err := fmt.Sscan(rest, &pid)
		return err == nil
	}, func() any { return m.output(id) })
	return pid
}

// child ignores SIGTERM, and then says so.
func child() error {
	signal.Ignore(syscall.SIGTERM)
	to, _ := os.Readlink("/proc/self/fd/3")
	fmt.Println("child", os.Getpid(), "has", to)
	time.Sleep(time.Hour)
	return nil
}

// leaves starts a service in a session of its own, and ends, as a daemon does.
func leaves() error {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), role+"=silent")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		return err
	}
	fmt.Println("daemon " + strconv.Itoa(c.Process.Pid))
	return nil
}
