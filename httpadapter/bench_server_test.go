//go:build unix

package httpadapter_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/storage/sqlite"
	"github.com/upkeep-go/upkeep/update"
)

// serverEnv tells a process of this test that it is the server: where its
// SQLite file is, or "memory".
const serverEnv = "UPKEEP_TEST_PROGRESS_SERVER"

// progressRequest is the documented question, as it stands on the wire.
var progressRequest = func() string {
	body := `{"api_token": "` + reader + `", "itemId": "core"}`
	return request{method: "POST", path: "/api/v1/update/progress", body: body}.with("Content-Type", "application/json").whole()
}()

// BenchmarkProgress asks the documented progress over 32 connections of the
// loopback interface while an update runs: of the adapter, and of the handler
// one would write in a minute, in turns. The server is a process of its own
// with one processor, so that it is the server's time that is measured.
func BenchmarkProgress(b *testing.B) {
	if where := os.Getenv(serverEnv); where != "" {
		serveProgress(b, where)
		return
	}
	for _, engine := range []string{"memory", "sqlite"} {
		b.Run(engine, func(b *testing.B) {
			where := engine
			if engine == "sqlite" {
				where = filepath.Join(b.TempDir(), "state.db")
			}
			server := startServer(b, where)
			for b.Loop() {
				const connections, requests, rounds = 32, 200, 5
				var cpuRatios, tailRatios, cpus []float64
				for round := range rounds + 1 {
					took := map[string]time.Duration{}
					tail := map[string]time.Duration{}
					for _, name := range []string{"plain", "ours"} {
						before := server.cpu(b)
						tail[name] = server.ask(b, name, connections, requests)
						took[name] = server.cpu(b) - before
					}
					if round == 0 {
						continue // to warm up
					}
					cpus = append(cpus, float64(took["ours"].Microseconds())/(connections*requests))
					cpuRatios = append(cpuRatios, float64(took["ours"])/float64(took["plain"]))
					tailRatios = append(tailRatios, float64(tail["ours"])/float64(tail["plain"]))
				}
				b.ReportMetric(suitetest.Median(cpuRatios), "cpu-x-plain")
				b.ReportMetric(suitetest.Median(cpus), "cpu-µs/request")
				b.ReportMetric(suitetest.Median(tailRatios), "p99-x-plain")
			}
		})
	}
}

// progressServer is the other process.
type progressServer struct {
	in        io.Writer
	out       *bufio.Scanner
	addresses map[string]string
}

func startServer(b *testing.B, where string) *progressServer {
	child := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkProgress$", "-test.benchtime=1x")
	child.Env = append(os.Environ(), serverEnv+"="+where)
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	require.NoError(b, err)
	out, err := child.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, child.Start())
	b.Cleanup(func() {
		_ = in.Close()
		_ = child.Wait()
	})
	s := &progressServer{in: in, out: bufio.NewScanner(out), addresses: map[string]string{}}
	var plain, ours string
	_, err = fmt.Sscan(s.line(b, "ready "), &plain, &ours)
	require.NoError(b, err)
	s.addresses["plain"], s.addresses["ours"] = plain, ours
	return s
}

// line returns what follows a prefix on the next line that has it.
func (s *progressServer) line(b *testing.B, prefix string) string {
	for s.out.Scan() {
		if text, ok := strings.CutPrefix(s.out.Text(), prefix); ok {
			return text
		}
	}
	b.Fatal("the server has ended")
	return ""
}

// cpu returns the processor time that the server has used.
func (s *progressServer) cpu(b *testing.B) time.Duration {
	_, err := fmt.Fprintln(s.in, "cpu")
	require.NoError(b, err)
	var used time.Duration
	_, err = fmt.Sscan(s.line(b, "cpu "), (*int64)(&used))
	require.NoError(b, err)
	return used
}

// ask asks over connections at once, one request after another on each, and
// returns the 99th percentile of the time for a reply. Every reply must say
// that an update runs.
func (s *progressServer) ask(b *testing.B, name string, connections, requests int) time.Duration {
	times := make([][]time.Duration, connections)
	errs := make([]error, connections)
	var work sync.WaitGroup
	for i := range connections {
		work.Go(func() { times[i], errs[i] = askOne(s.addresses[name], requests) })
	}
	work.Wait()
	for _, err := range errs {
		require.NoError(b, err)
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	return all[len(all)*99/100]
}

func askOne(address string, requests int) ([]time.Duration, error) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	replies := bufio.NewReader(connection)
	var times []time.Duration
	for range requests {
		begun := time.Now()
		if _, err := io.WriteString(connection, progressRequest); err != nil {
			return nil, err
		}
		reply, err := http.ReadResponse(replies, nil)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(reply.Body)
		if err != nil {
			return nil, err
		}
		times = append(times, time.Since(begun))
		if reply.StatusCode != http.StatusOK || !strings.Contains(string(text), `"progress":1`) {
			return nil, fmt.Errorf("answered %d %s", reply.StatusCode, text)
		}
	}
	return times, nil
}

// serveProgress is the server: an update that tells how far it is twenty times
// a second, and the two handlers. It ends with its standard input.
func serveProgress(b *testing.B, where string) {
	runtime.GOMAXPROCS(1)
	s := &site{install: func(ctx context.Context, task *update.Task) error {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for done := int64(0); ; done++ {
			select {
			case <-tick.C:
				task.Progress(done, 1_000_000, "on its way")
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}}
	if where != "memory" {
		db, err := sqlite.Open(sqlite.Config{Path: where})
		require.NoError(b, err)
		b.Cleanup(func() { _ = db.Close() })
		s.db = db
	}
	s.open(b)
	run, err := s.updater.Start(b.Context(), update.Request{Package: pkg})
	require.NoError(b, err)
	var addresses []any
	for _, handler := range []http.Handler{plainProgress(s), s.mux} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(b, err)
		server := &http.Server{Handler: handler}
		go func() { _ = server.Serve(l) }()
		b.Cleanup(func() { _ = server.Close() })
		addresses = append(addresses, l.Addr())
	}
	fmt.Println("\nready", addresses[0], addresses[1])
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var u syscall.Rusage
		require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		fmt.Println("\ncpu", u.Utime.Nano()+u.Stime.Nano())
	}
	require.NoError(b, s.updater.Cancel(b.Context(), run.ID, update.By{Actor: "the end"}))
}
