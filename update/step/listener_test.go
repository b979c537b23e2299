package step_test

import (
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/update/step"
)

func TestAProgramIsQuietOnceAllItAcceptedIsClosed(t *testing.T) {
	for network, address := range map[string]string{
		"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "socket"),
	} {
		t.Run(network, func(t *testing.T) {
			p, err := step.Begin("")
			require.NoError(t, err)
			l, err := p.Listen(network, address)
			require.NoError(t, err)
			client, err := net.Dial(network, l.Addr().String())
			require.NoError(t, err)
			defer client.Close()
			served, err := l.Accept()
			require.NoError(t, err)
			require.True(t, step.Quiet(p), "a listener that is open means nothing")

			waiting := make(chan error)
			go func() {
				_, err := l.Accept()
				waiting <- err
			}()
			require.NoError(t, l.Close())
			require.ErrorIs(t, <-waiting, net.ErrClosed)
			require.False(t, step.Quiet(p), "a connection is open")

			_, err = served.Write([]byte("bye"))
			require.NoError(t, err)
			require.Implements(t, (*interface{ CloseWrite() error })(nil), served, "servers look for it")
			require.NoError(t, served.Close())
			require.Error(t, served.Close(), "which may be closed again")
			require.True(t, step.Quiet(p))
			said, err := io.ReadAll(client)
			require.NoError(t, err)
			require.Equal(t, "bye", string(said))
		})
	}
}
