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
	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/update"
)

// BenchmarkStreams sends 20 events a second to each of 256 streams over the
// loopback interface, and as many to 256 others of another server, which has
// one more reader that does not read. Both happen at the same time, so that
// other programs disturb the two alike. It reports the time from before an
// event is written to when its reader has it, and the longest time until every
// goroutine had ended after the readers left.
func BenchmarkStreams(b *testing.B) {
	const streams, events, pause, rounds = 256, 40, time.Second / 20, 5
	fans := [2]*fan{newFan(b, streams), newFan(b, streams)}
	for b.Loop() {
		var tails, middles, tailRatios, middleRatios, ends []float64
		for round := range rounds {
			goroutines := runtime.NumGoroutine()
			without, with := fans[round%2], fans[1-round%2]
			without.open(b, events, false)
			with.open(b, events, true)
			tick := time.NewTicker(pause / 2)
			for i := range events {
				<-tick.C
				fans[0].write(b, i)
				<-tick.C
				fans[1].write(b, i)
			}
			tick.Stop()
			middle, tail := without.delays(b)
			middleWith, tailWith := with.delays(b)
			tails, middles = append(tails, milliseconds(tail)), append(middles, milliseconds(middle))
			tailRatios = append(tailRatios, float64(tailWith)/float64(tail))
			middleRatios = append(middleRatios, float64(middleWith)/float64(middle))

			without.close(b)
			with.close(b)
			closed := time.Now()
			for runtime.NumGoroutine() > goroutines {
				require.Less(b, time.Since(closed), 2*time.Second, "every goroutine ends")
				time.Sleep(time.Millisecond)
			}
			ends = append(ends, milliseconds(time.Since(closed)))
		}
		b.ReportMetric(suitetest.Median(middles), "p50-ms")
		b.ReportMetric(suitetest.Median(tails), "p99-ms")
		b.ReportMetric(suitetest.Median(middleRatios), "p50-x-without")
		b.ReportMetric(suitetest.Median(tailRatios), "p99-x-without")
		b.ReportMetric(slices.Max(ends), "ms-to-end")
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// fan is a server and those who follow its events.
type fan struct {
	site     *site
	listener *narrowListener
	streams  int

	run         update.Run // whose events they are
	stalled     bool       // one more does not read
	connections []net.Conn
	readers     sync.WaitGroup
	written     []atomic.Int64    // when each event was, Unix ns
	each        [][]time.Duration // the delays of each reader
}

func newFan(b *testing.B, streams int) *fan {
	s := (&site{configure: func(c *httpadapter.Config) {
		c.Limits.Streams, c.Limits.PrincipalStreams = streams+1, streams+1
	}}).open(b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	f := &fan{site: s, listener: &narrowListener{Listener: l}, streams: streams}
	server := &http.Server{Handler: s.mux}
	go func() { _ = server.Serve(f.listener) }()
	b.Cleanup(func() { _ = server.Close() })
	return f
}

// open opens the streams.
func (f *fan) open(b *testing.B, events int, stalled bool) {
	run := update.Run{ID: fmt.Sprint("run ", time.Now().UnixNano()), Package: pkg, Item: "of no lock", State: update.StateRunning}
	var err error
	f.run, err = f.site.db.Journal().Create(b.Context(), run)
	require.NoError(b, err)
	f.stalled, f.written, f.each = stalled, make([]atomic.Int64, events), make([][]time.Duration, f.streams)
	if f.listener.narrow.Store(stalled); stalled {
		connection := f.dial(b)
		require.NoError(b, connection.(*net.TCPConn).SetReadBuffer(1))
		_, err := io.WriteString(connection, eventsRequest)
		require.NoError(b, err)
		for f.site.adapter.OpenStreams() == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	var ready sync.WaitGroup
	for i := range f.streams {
		connection := f.dial(b)
		ready.Add(1)
		f.readers.Go(func() { f.each[i] = readEvents(b, connection, f.written, ready.Done) })
	}
	ready.Wait()
}

func (f *fan) dial(b *testing.B) net.Conn {
	connection, err := net.Dial("tcp", f.listener.Addr().String())
	require.NoError(b, err)
	f.connections = append(f.connections, connection)
	return connection
}

var eventText = strings.Repeat("x", 1<<10)

// write writes event i.
func (f *fan) write(b *testing.B, i int) {
	f.written[i].Store(time.Now().UnixNano())
	var err error
	f.run, err = f.site.db.Journal().Save(b.Context(), f.run,
		update.Event{Kind: update.EventLog, Actor: strconv.Itoa(i), Message: eventText})
	require.NoError(b, err)
}

// delays waits until everybody has every event, and returns the median and the
// 99th percentile of the time that took.
func (f *fan) delays(b *testing.B) (middle, tail time.Duration) {
	f.readers.Wait()
	all := slices.Concat(f.each...)
	require.Len(b, all, f.streams*len(f.written), "every event for everybody")
	if f.stalled {
		require.Less(b, f.listener.sent.Load(), int64(len(f.written)*len(eventText)), "the one that does not read got part of it")
		require.Equal(b, f.streams+1, f.site.adapter.OpenStreams(), "and is still there")
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100]
}

// close makes the readers leave.
func (f *fan) close(b *testing.B) {
	for _, connection := range f.connections {
		require.NoError(b, connection.Close())
	}
	f.connections = nil
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
