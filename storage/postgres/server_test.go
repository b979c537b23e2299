//go:build unix

package postgres_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestMain runs one server for all tests of the process, or the part of a
// child process that a test has started.
func TestMain(m *testing.M) {
	// The servers are told to end with the thread that started them.
	runtime.LockOSThread()
	if part := os.Getenv("UPKEEP_TEST_CHILD"); part != "" {
		os.Exit(child(part))
	}
	os.Exit(runTests(m))
}

// home is where the servers have their files: in memory, if that has room for the
// tables of all tests, since no test cuts the power. Benchmarks are for disks.
func home() string {
	const memory, room = "/dev/shm", 8 << 30 // bytes
	var s unix.Statfs_t
	if unix.Statfs(memory, &s) != nil || uint64(s.Bavail)*uint64(s.Bsize) < room || flag.Lookup("test.bench").Value.String() != "" {
		return "/tmp"
	}
	return memory
}

func runTests(m *testing.M) int {
	flag.Parse()
	s, err := newServer()
	if err == nil {
		err = s.start()
	}
	switch {
	case errors.Is(err, errMissing) && !needsAll():
		fmt.Fprintf(os.Stderr, "skipped: these tests need PostgreSQL: %v\n", err)
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "these tests need PostgreSQL: %v\n", err)
		return 1
	}
	defer s.remove()
	shared = s
	return m.Run()
}

// errMissing reports what this machine has not.
var errMissing = errors.New("not on this machine")

// needsAll reports that no test may be skipped for want of something.
func needsAll() bool { return os.Getenv("UPKEEP_NEEDS") == "all" }

// shared is the server of most tests.
var shared *server

// server is a temporary cluster that listens on a Unix socket only.
type server struct {
	dir  string // socket and, in "data", the cluster
	bin  string
	user *syscall.Credential // whose server it is: root may not run one

	process *os.Process
	exited  chan struct{} // closed when it has; nil when it does not run
}

func newServer() (*server, error) {
	bin, err := serverPrograms()
	if err != nil {
		return nil, err
	}
	owner, err := serverUser()
	if err != nil {
		return nil, err
	}
	// Not the test's own folder: a socket's path has room for 107 bytes.
	dir, err := os.MkdirTemp(home(), "upkeep-pg")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, bin: bin, user: owner}
	if owner != nil {
		err = os.Chown(dir, int(owner.Uid), int(owner.Gid))
	}
	if err == nil {
		initdb := s.command("initdb", "-D", s.data(), "-U", "upkeep", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
		var out []byte
		if out, err = initdb.CombinedOutput(); err != nil {
			err = fmt.Errorf("initdb: %w: %s", err, out)
		}
	}
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

// serverPrograms finds the folder of initdb and postgres.
func serverPrograms() (string, error) {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	versions, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Reverse(versions)
	for _, dir := range append(dirs, versions...) {
		_, noInit := os.Stat(filepath.Join(dir, "initdb"))
		_, noServer := os.Stat(filepath.Join(dir, "postgres"))
		if noInit == nil && noServer == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("%w: initdb and postgres, in PATH or in /usr/lib/postgresql/*/bin", errMissing)
}

func serverUser() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w: a user for the server, which root may not run: %w", errMissing, err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

func (s *server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = dieWithParent()
	cmd.SysProcAttr.Credential = s.user
	return cmd
}

// start starts the server and waits until it answers.
func (s *server) start() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if s.exited == nil { // or it has, while sessions of a killed one lived on
			if err := s.launch(log); err != nil {
				return err
			}
		}
		c, err := pgx.Connect(context.Background(), s.url(""))
		if err == nil {
			return c.Close(context.Background())
		}
		if time.Now().After(deadline) {
			s.end(syscall.SIGQUIT)
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("the server does not answer: %w\n%s", err, text)
		}
		select {
		case <-s.exited:
			s.exited = nil
		default:
		}
	}
}

func (s *server) launch(log *os.File) error {
	cmd := s.command("postgres", "-D", s.data(), "-k", s.dir, "-c", "listen_addresses=",
		"-c", "fsync=on", "-c", "shared_buffers=16MB", "-c", "max_connections=100")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait()
		close(exited)
	}()
	s.process, s.exited = cmd.Process, exited
	return nil
}

// end ends the server by a signal: SIGQUIT and SIGKILL are crashes.
func (s *server) end(signal syscall.Signal) {
	if s.exited != nil {
		s.process.Signal(signal)
		<-s.exited
		s.exited = nil
	}
}

func (s *server) remove() {
	s.end(syscall.SIGQUIT)
	os.RemoveAll(s.dir)
}

func (s *server) socket() string { return filepath.Join(s.dir, ".s.PGSQL.5432") }

// url names the database, with a schema of its own unless that is "".
func (s *server) url(schema string) string { return urlAt(s.dir, schema) }

func urlAt(dir, schema string) string {
	q := url.Values{"host": {dir}, "port": {"5432"}, "user": {"upkeep"}, "sslmode": {"disable"}}
	if schema != "" {
		q.Set("search_path", schema)
	}
	return "postgres:///postgres?" + q.Encode()
}

var schemas atomic.Int64

// newSchema makes an empty schema for one test.
func (s *server) newSchema(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("t%d_%d", os.Getpid(), schemas.Add(1))
	s.exec(t, "CREATE SCHEMA "+name)
	return name
}

// exec runs a statement beside the tests' own connections.
func (s *server) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	c, err := pgx.Connect(context.Background(), s.url(""))
	require.NoError(t, err)
	defer c.Close(context.Background())
	_, err = c.Exec(context.Background(), sql, args...)
	require.NoError(t, err)
}
