package httpadapter_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/httpadapter"
	"github.com/upkeep-go/upkeep/update"
)

// BenchmarkStreams sends 20 events a second to each of 256 streams over the
// loopback interface, in turns without and with one more reader that does not
// read. It reports the median and the 99th percentile of the time from before
// an event is written to when its reader has it, of the best of five rounds,
// since other programs only make them worse; and the longest time until every
// goroutine had ended after the readers left.
func BenchmarkStreams(b *testing.B) {
	const streams, perSecond, rounds = 256, 20, 5
	s := (&site{configure: func(c *httpadapter.Config) {
		c.Limits.Streams, c.Limits.PrincipalStreams = streams+1, streams+1
	}}).open(b)
	l := newNarrowListener(b)
	server := &http.Server{Handler: s.mux}
	go func() { _ = server.Serve(l) }()
	b.Cleanup(func() { _ = server.Close() })
	for b.Loop() {
		middle, tail := map[bool][]float64{}, map[bool][]float64{}
		var ends []float64
		for round := range rounds {
			first := round%2 == 1
			for _, stalled := range []bool{first, !first} {
				delays, end := s.fanOut(b, l, streams, 2*perSecond, time.Second/perSecond, stalled)
				middle[stalled] = append(middle[stalled], milliseconds(delays[len(delays)/2]))
				tail[stalled] = append(tail[stalled], milliseconds(delays[len(delays)*99/100]))
				ends = append(ends, milliseconds(end))
			}
		}
		b.ReportMetric(slices.Min(tail[false]), "p99-ms")
		b.ReportMetric(slices.Min(tail[true]), "p99-ms-with-stalled")
		b.ReportMetric(slices.Min(tail[true])/slices.Min(tail[false]), "p99-x-without")
		b.ReportMetric(slices.Min(middle[true])/slices.Min(middle[false]), "p50-x-without")
		b.ReportMetric(slices.Max(ends), "ms-to-end")
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// fanOut opens the streams, makes the events, and returns their delays, sorted,
// and the time to the end of all goroutines.
func (s *site) fanOut(
	b *testing.B, l *narrowListener, streams, events int, pause time.Duration, stalled bool,
) (delays []time.Duration, end time.Duration) {
	goroutines := runtime.NumGoroutine()
	l.narrow.Store(stalled)
	var connections []net.Conn
	open := func() net.Conn {
		connection, err := net.Dial("tcp", l.Addr().String())
		require.NoError(b, err)
		connections = append(connections, connection)
		return connection
	}
	if stalled {
		connection := open()
		require.NoError(b, connection.(*net.TCPConn).SetReadBuffer(1))
		_, err := io.WriteString(connection, eventsRequest)
		require.NoError(b, err)
		for s.adapter.OpenStreams() == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	written := make([]atomic.Int64, events)
	each := make([][]time.Duration, streams)
	var ready, readers sync.WaitGroup
	for i := range streams {
		connection := open()
		ready.Add(1)
		readers.Go(func() { each[i] = readEvents(b, connection, written, ready.Done) })
	}
	ready.Wait()
	run := update.Run{ID: fmt.Sprint("run ", time.Now().UnixNano()), Package: pkg, Item: "of no lock", State: update.StateRunning}
	run, err := s.db.Journal().Create(b.Context(), run)
	require.NoError(b, err)
	text := strings.Repeat("x", 1<<10)
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for i := range events {
		<-tick.C
		written[i].Store(time.Now().UnixNano())
		run, err = s.db.Journal().Save(b.Context(), run, update.Event{Kind: update.EventLog, Actor: strconv.Itoa(i), Message: text})
		require.NoError(b, err)
	}
	readers.Wait()
	if stalled {
		require.Less(b, l.sent.Load(), int64(events<<10), "the one that does not read got part of it")
		require.Equal(b, streams+1, s.adapter.OpenStreams(), "and is still there")
	}
	for _, connection := range connections {
		require.NoError(b, connection.Close())
	}
	closed := time.Now()
	for runtime.NumGoroutine() > goroutines {
		require.Less(b, time.Since(closed), 2*time.Second, "every goroutine ends")
		time.Sleep(time.Millisecond)
	}
	end = time.Since(closed)
	delays = slices.Concat(each...)
	require.Len(b, delays, streams*events, "every event for everybody")
	slices.Sort(delays)
	return delays, end
}

var eventsRequest = request{method: "GET", path: events}.with("Authorization", "Bearer "+admin).whole()

// readEvents asks for the events, and returns the delays of those that are
// written, by the numbers that they have as their actors.
func readEvents(b *testing.B, connection net.Conn, written []atomic.Int64, ready func()) (delays []time.Duration) {
	_, err := io.WriteString(connection, eventsRequest)
	require.NoError(b, err)
	text := bufio.NewReader(connection)
	reply, err := http.ReadResponse(text, nil)
	if err != nil || reply.StatusCode != http.StatusOK {
		b.Errorf("no stream: %v %v", reply, err)
		ready()
		return nil
	}
	lines := bufio.NewReader(reply.Body)
	for len(delays) < len(written) {
		line, err := lines.ReadString('\n')
		if err != nil {
			b.Errorf("the stream has ended: %v", err)
			return nil
		}
		if strings.HasPrefix(line, "retry: ") {
			ready()
		}
		_, rest, found := strings.Cut(line, `"actor":"`)
		if !found {
			continue
		}
		now := time.Now().UnixNano()
		number, _, _ := strings.Cut(rest, `"`)
		i, err := strconv.Atoi(number)
		if err != nil || i != len(delays) {
			b.Errorf("event %s after %d others", number, len(delays))
			return nil
		}
		delays = append(delays, time.Duration(now-written[i].Load()))
	}
	return delays
}

// narrowListener gives a connection that should be narrow next to no buffer,
// so that the one who does not read is noticed at once.
type narrowListener struct {
	net.Listener
	narrow atomic.Bool  // the next connection
	sent   atomic.Int64 // what has been sent over narrow connections
}

func newNarrowListener(b *testing.B) *narrowListener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	return &narrowListener{Listener: l}
}

func (l *narrowListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil || !l.narrow.Swap(false) {
		return connection, err
	}
	l.sent.Store(0)
	return &narrowConn{connection, l}, connection.(*net.TCPConn).SetWriteBuffer(1)
}

type narrowConn struct {
	net.Conn
	listener *narrowListener
}

func (c *narrowConn) Write(text []byte) (int, error) {
	n, err := c.Conn.Write(text)
	c.listener.sent.Add(int64(n))
	return n, err
}
