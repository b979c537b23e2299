//go:build linux

package process_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process"
	"github.com/upkeep-go/upkeep/rollout/traffic"
	"github.com/upkeep-go/upkeep/storage/memory"
)

func TestWhatCanNeverBeStartedFailsARunAtOnce(t *testing.T) {
	t.Parallel()
	var builds, fetches atomic.Int64
	archives := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		fmt.Fprint(w, "of another release")
	}))
	t.Cleanup(archives.Close)
	build := func(_ context.Context, id rollout.RevisionID, _ rollout.Spec, _ string) ([]string, error) {
		builds.Add(1)
		switch id.Version {
		case "unknown":
			return nil, fmt.Errorf("%w: nobody has such an image", rollout.ErrInvalid)
		case "unsupported":
			return nil, fmt.Errorf("an image of another processor: %w", errors.ErrUnsupported)
		}
		return nil, errors.New("the network is down")
	}
	sum := sha256.Sum256(nil)
	for _, tt := range []struct {
		name, want string
		spec       rollout.Spec
		count      *atomic.Int64
		attempts   int64
	}{
		{"unknown", "nobody has such an image", rollout.Spec{Image: &rollout.Image{Repository: "shop"}}, &builds, 1},
		{"unsupported", "an image of another processor", rollout.Spec{Image: &rollout.Image{Repository: "shop"}}, &builds, 1},
		{"down", "the network is down", rollout.Spec{Image: &rollout.Image{Repository: "shop"}}, &builds, 5},
		{"wrong", "wrong SHA-256", rollout.Spec{Archive: &rollout.Archive{URL: archives.URL, Digest: sum[:], Command: []string{"web"}}}, &fetches, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store, quiet := memory.New(), slog.New(slog.DiscardHandler)
			m := open(t, process.Config{Store: store, Build: build, Logger: quiet})
			c, err := rollout.New(rollout.Config{Store: store, Deployer: m.d, Router: traffic.New(traffic.Config{}), Logger: quiet})
			require.NoError(t, err)
			defer c.Close()
			before := tt.count.Load()
			one := 1
			tt.spec.MinReplicas = &one
			run, err := c.Roll(t.Context(), rollout.Request{Service: shop, Version: tt.name, Spec: tt.spec})
			require.ErrorIs(t, err, rollout.ErrFailed)
			require.Contains(t, run.Reason, tt.want)
			require.Equal(t, tt.attempts == 1, strings.Contains(run.Reason, "a replica can never begin: "), run.Reason)
			if made := tt.count.Load() - before; tt.attempts == 1 {
				require.EqualValues(t, 1, made, run.Reason)
			} else { // and others, until the run has seen them
				require.GreaterOrEqual(t, made, tt.attempts, run.Reason)
			}
		})
	}
}

func TestWhatCanNeverBeStartedIsTriedAgainAfterAWhile(t *testing.T) {
	t.Parallel()
	var hopeless, down atomic.Int64
	m := open(t, process.Config{Build: func(_ context.Context, id rollout.RevisionID, _ rollout.Spec, _ string) ([]string, error) {
		if id.Version == "down" {
			down.Add(1)
			return nil, errors.New("the network is down")
		}
		hopeless.Add(1)
		return nil, rollout.ErrInvalid
	}})
	image := rollout.Spec{Image: &rollout.Image{Repository: "shop"}}
	m.ensure(revision("hopeless"), image, 1)
	m.eventually(func() bool { return hopeless.Load() == 1 }, func() any { return m.all() })
	m.ensure(revision("down"), image, 1)
	m.eventually(func() bool { return down.Load() == 3 }, func() any { return m.all() })
	require.EqualValues(t, 1, hopeless.Load())
}

// TestOneHopelessAttemptIsForgotten: it makes one long pause, and those that
// follow are as if it had not been.
func TestOneHopelessAttemptIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		attempts, first := make(chan time.Time, 10), true
		m := open(t, process.Config{Store: memory.New(), Build: func(context.Context, rollout.RevisionID, rollout.Spec, string) ([]string, error) {
			attempts <- time.Now()
			if first {
				first = false
				return nil, rollout.ErrInvalid
			}
			return nil, errors.New("the network is down")
		}})
		m.ensure(revision("v1"), rollout.Spec{Image: &rollout.Image{Repository: "shop"}}, 1)
		at := <-attempts
		for _, pause := range []time.Duration{time.Minute, 100 * time.Millisecond, 200 * time.Millisecond} {
			next := <-attempts
			require.Equal(t, pause, next.Sub(at))
			at = next
		}
	})
}

// TestWhatHasBegunIsNotHopeless is not in fake time, which stands still while a
// process is waited for.
func TestWhatHasBegunIsNotHopeless(t *testing.T) {
	long(t)
	t.Parallel()
	var attempts atomic.Int64
	m := open(t, process.Config{Build: func(context.Context, rollout.RevisionID, rollout.Spec, string) ([]string, error) {
		if attempts.Add(1) == 1 {
			return nil, rollout.ErrInvalid
		}
		return []string{os.Args[0]}, nil
	}})
	s := imaged()
	s.Environment[role] = "silent"
	m.ensure(revision("v1"), s, 1)
	for {
		changed := m.d.Changed(t.Context())
		if r := m.all()[0]; r.State == rollout.ReplicaStarting && r.Restarts == 1 {
			require.False(t, r.Hopeless)
			return
		}
		<-changed
	}
}
