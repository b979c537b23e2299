package wiretest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/wiretest"
)

// joined are both ends of a connection.
func joined(t *testing.T) (client, server net.Conn) {
	var n wiretest.Network
	l := n.Listen()
	accepted := make(chan net.Conn)
	go func() {
		c, err := l.Accept()
		if err == nil {
			accepted <- c
		}
	}()
	client, err := n.Dial(context.Background(), "tcp", l.Addr().String())
	require.NoError(t, err)
	server = <-accepted
	require.NoError(t, l.Close())
	_, err = n.Dial(context.Background(), "tcp", l.Addr().String())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	return client, server
}

func TestAHalfClosedConnectionStillReceives(t *testing.T) {
	client, server := joined(t)
	_, err := io.WriteString(client, "question")
	require.NoError(t, err)
	require.NoError(t, client.(interface{ CloseWrite() error }).CloseWrite())
	asked, err := io.ReadAll(server)
	require.NoError(t, err)
	require.Equal(t, "question", string(asked))
	_, err = io.WriteString(server, "answer")
	require.NoError(t, err)
	require.NoError(t, server.Close())
	answered, err := io.ReadAll(client)
	require.NoError(t, err)
	require.Equal(t, "answer", string(answered))
	require.NoError(t, client.Close())
	_, err = client.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestWhoWritesToWhatIsClosedIsTold(t *testing.T) {
	client, server := joined(t)
	require.NoError(t, server.Close())
	_, err := io.WriteString(client, "x")
	require.ErrorIs(t, err, syscall.EPIPE)
}

func TestDeadlinesEndWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := joined(t)
		start := time.Now()
		require.NoError(t, client.SetDeadline(start.Add(time.Minute)))
		_, err := client.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))
		require.NoError(t, client.SetDeadline(time.Now().Add(time.Minute)))
		n, err := client.Write(make([]byte, 1<<20))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 64<<10, n, "what nobody reads")
		require.NoError(t, client.SetDeadline(time.Time{}))
		require.NoError(t, server.Close())
	})
}

// A server ends the read of each request by a time that is past.
func TestManyMaySetADeadlineThatIsPastAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		for range 8 {
			client, server := joined(t)
			all.Go(func() {
				defer client.Close()
				defer server.Close()
				for range 20000 {
					_ = server.SetReadDeadline(time.Unix(1, 0))
				}
				_, err := server.Read(make([]byte, 1))
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}
