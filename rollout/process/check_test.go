//go:build linux

package process_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
)

func TestWhatCannotRunIsRefused(t *testing.T) {
	t.Parallel()
	m, two, port, outside := open(t, process.Config{}), 2, 8080, "../outside"
	for _, tt := range []struct {
		spec  rollout.Spec
		is    error
		field string
	}{
		{rollout.Spec{}, rollout.ErrMissing, "Command"},
		{rollout.Spec{Addresses: []string{"http://127.0.0.1:1"}}, errors.ErrUnsupported, "Addresses"},
		{rollout.Spec{Image: &rollout.Image{Repository: "shop"}}, errors.ErrUnsupported, "Config.Build"},
		{rollout.Spec{Command: []string{"/no/such/program"}}, rollout.ErrInvalid, "Command"},
		{rollout.Spec{Command: []string{"sh"}, Environment: map[string]string{"PORT": "1"}}, rollout.ErrInvalid, "PORT"},
		{rollout.Spec{Command: []string{"sh"}, Port: &port, MaxReplicas: &two}, rollout.ErrInvalid, "Port 8080"},
		{rollout.Spec{Command: []string{"sh"}, Logs: &outside}, rollout.ErrInvalid, "Logs"},
		{rollout.Spec{Archive: &rollout.Archive{Digest: make([]byte, 32), Command: []string{"x"}}}, rollout.ErrMissing, "Archive.URL"},
		{rollout.Spec{Archive: &rollout.Archive{URL: "http://x", Command: []string{"x"}}}, rollout.ErrInvalid, "Archive.Digest"},
		{rollout.Spec{Archive: &rollout.Archive{URL: "http://x", Digest: make([]byte, 32)}}, rollout.ErrMissing, "Archive.Command"},
		{rollout.Spec{Archive: &rollout.Archive{URL: "http://x", Digest: make([]byte, 32), Command: []string{"../x"}}}, rollout.ErrInvalid, "Archive.Command"},
	} {
		_, err := m.d.Check(t.Context(), revision("v1"), tt.spec)
		require.ErrorIs(t, err, tt.is)
		require.ErrorContains(t, err, tt.field)
	}
	cpu := 1.0
	left, err := m.d.Check(t.Context(), revision("v1"), rollout.Spec{Command: []string{"sh"}, CPU: &cpu, Volumes: []rollout.Volume{{Name: "v"}}})
	require.NoError(t, err)
	require.True(t, slices.Contains(left, "Volumes"))
}
