//go:build unix

package postgres_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
	"github.com/upkeep-go/upkeep/storage/postgres"
)

// TestATransactionPoolerMayStandInBetween works through one whose sessions
// change with every transaction.
func TestATransactionPoolerMayStandInBetween(t *testing.T) {
	for _, mode := range []string{"exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) { worksThroughAPooler(t, mode) })
	}
}

func worksThroughAPooler(t *testing.T, mode string) {
	schema := shared.newSchema(t)
	dir := newPooler(t, shared)
	pooled := open(t, postgres.Config{URL: urlAt(dir, schema) + "&default_query_exec_mode=" + mode})
	direct := open(t, postgres.Config{URL: shared.url(schema)})

	held, err := pooled.Locker().Acquire(t.Context(), "core", "pooled", time.Hour)
	require.NoError(t, err)
	_, err = direct.Locker().Acquire(t.Context(), "core", "direct", time.Hour)
	require.ErrorIs(t, err, lease.ErrHeld)
	for range 20 {
		held, err = pooled.Locker().Renew(t.Context(), held, time.Hour)
		require.NoError(t, err)
	}
	require.NoError(t, pooled.Locker().Release(t.Context(), held))
	taken, err := direct.Locker().Acquire(t.Context(), "core", "direct", time.Hour)
	require.NoError(t, err)
	require.Greater(t, taken.Token, held.Token)

	a, b := startWriters(t, pooled.Journal(), "pooled"), startWriters(t, direct.Journal(), "direct")
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	seq := int64(0)
	for e, err := range pooled.Journal().Watch(ctx, 0) {
		require.NoError(t, err)
		require.Equal(t, seq+1, e.Seq)
		if seq = e.Seq; seq == 400 {
			break
		}
	}
	a.end()
	b.end()
	all := append(a.acknowledged, b.acknowledged...)
	require.Empty(t, append(a.failed, b.failed...))
	require.Equal(t, len(all), requireWholeOrAbsent(t, pooled.Journal(), all))
}

// pooler is a pooler in transaction mode: every transaction of its clients
// gets another of a few sessions.
type pooler struct {
	socket string
	mu     sync.Mutex
	pools  map[string]*sessionPool // by what clients ask for when they start
}

type sessionPool struct {
	idle     chan net.Conn
	greeting []byte // what a session says once it is open
	clients  int
}

// newPooler stands before the server until the test ends. It returns its folder.
func newPooler(t testing.TB, s *server) (dir string) {
	p := &pooler{socket: s.socket(), pools: map[string]*sessionPool{}}
	return listen(t, func(client net.Conn) {
		start, err := readFrame(client, true)
		if err != nil || len(start) == 16 { // which asks to cancel
			return
		}
		if sessions, err := p.enter(start); err == nil {
			client.Write(sessions.greeting)
			sessions.serve(client)
			p.leave(start)
		}
	})
}

func (p *pooler) enter(start frame) (*sessionPool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sessions := p.pools[string(start)]
	if sessions == nil {
		sessions = &sessionPool{idle: make(chan net.Conn, 3)}
		for range cap(sessions.idle) {
			if err := sessions.add(p.socket, start); err != nil {
				return nil, err
			}
		}
		p.pools[string(start)] = sessions
	}
	sessions.clients++
	return sessions, nil
}

// leave closes the sessions when the last client has left.
func (p *pooler) leave(start frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sessions := p.pools[string(start)]
	if sessions.clients--; sessions.clients == 0 {
		delete(p.pools, string(start))
		for range cap(sessions.idle) {
			(<-sessions.idle).Close()
		}
	}
}

func (p *sessionPool) add(socket string, start frame) error {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	p.idle <- c
	c.Write(start)
	p.greeting = nil
	for {
		f, err := readFrame(c, false)
		if err != nil {
			return err
		}
		p.greeting = append(p.greeting, f...)
		if f[0] == 'Z' {
			return nil
		}
	}
}

// serve lends the client a session for each of its transactions.
func (p *sessionPool) serve(client net.Conn) {
	var session net.Conn
	defer func() {
		if session != nil {
			exchange(session, append([]byte{'Q', 0, 0, 0, 13}, "ROLLBACK\x00"...), func(frame) {})
			p.idle <- session
		}
	}()
	for {
		request, err := readFrame(client, false)
		if err != nil || request[0] == 'X' {
			return
		}
		if session == nil {
			session = <-p.idle
		}
		status := exchange(session, request, func(reply frame) { client.Write(reply) })
		if status == 'I' {
			p.idle <- session
			session = nil
		}
	}
}

// exchange sends a request and, if it is one that is answered, passes the
// answer on. It returns the state of the transaction, or 0 for no answer.
func exchange(session net.Conn, request frame, reply func(frame)) (status byte) {
	session.Write(request)
	if request[0] != 'Q' && request[0] != 'S' {
		return 0
	}
	for {
		f, err := readFrame(session, false)
		if err != nil {
			return 0
		}
		reply(f)
		if f[0] == 'Z' {
			return f[5]
		}
	}
}
