package httpadapter_test

import (
	"io"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/firmware"
)

func TestAnUploadEndsWithItsRunThoughItsClientSendsNothingMore(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(s *site, run string) error
		says []string
	}{
		{"cancelled", func(s *site, run string) error {
			return s.firmware.Cancel(s.t.Context(), run, firmware.By{Actor: "ann"})
		}, []string{"409 Conflict", "problem:cancelled"}},
		{"closed", func(s *site, _ string) error { return s.firmware.Close() }, []string{"503 Service Unavailable"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := new(site).open(t)
			server := httptest.NewServer(s.mux)
			defer server.Close()
			client, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer client.Close()
			body := formOf(s.gadget.shelf.bundle(s.gadget.newest()))
			beginUpload(t, client, body, len(body)/2)
			run := ""
			for e, err := range s.firmware.Watch(t.Context(), 0) {
				require.NoError(t, err)
				if run = e.Run; e.Device == firmware.DeviceUploading {
					break
				}
			}
			require.NoError(t, tt.end(s, run))
			// Of itself the adapter waits for 30 seconds.
			require.NoError(t, client.SetReadDeadline(time.Now().Add(20*time.Second)))
			text, err := io.ReadAll(client)
			require.NoError(t, err)
			for _, says := range tt.says {
				require.Contains(t, string(text), says)
			}
			s.untouched(t)
		})
	}
}
