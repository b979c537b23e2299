package step_test

import (
	"errors"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/update/step"
)

// fullUntil is a disk that is full for some time.
type fullUntil struct {
	durable.Disk
	room time.Time
}

func (d fullUntil) Rename(from, to string) error {
	if time.Now().Before(d.room) {
		return syscall.ENOSPC
	}
	return d.Disk.Rename(from, to)
}

func TestAProgramThatHangsGoesBackOnceThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, _, _ := onTrial(t, false)
		start := time.Now()
		became := make(chan time.Time, 1)
		_, _ = step.BeginOn(fullAfter(start, 2*time.Minute), false, in.path, func(string, []string) error {
			became <- time.Now()
			runtime.Goexit()
			return nil
		})
		require.InDelta(t, (2 * time.Minute).Seconds(), (<-became).Sub(start).Seconds(), 2)
		require.Equal(t, app("1.0.0"), in.content(t))
	})
}

// fullAfter is a disk that becomes full as soon as the first start is counted.
func fullAfter(start time.Time, room time.Duration) durable.Disk {
	return &countsOne{fullUntil{durable.OS, start.Add(room)}, false}
}

type countsOne struct {
	fullUntil
	counted bool
}

func (d *countsOne) Rename(from, to string) error {
	if !d.counted {
		d.counted = true
		return d.Disk.Rename(from, to)
	}
	return d.fullUntil.Rename(from, to)
}

func TestAProcessThatCanNeitherServeNorBecomeAnotherEnds(t *testing.T) {
	in, _, tk := onTrial(t, false)
	bad := errors.New("exec format error")
	p, err := step.BeginOn(durable.OS, false, in.path, func(string, []string) error { return bad })
	require.NoError(t, err)
	ended := 0
	step.OnExit(p, func() { ended++ })
	require.ErrorIs(t, step.Restart(p, nil).Do(t.Context(), tk), bad)
	require.Equal(t, 1, ended)
	require.Equal(t, app("1.0.0"), in.content(t), "whoever starts it finds the old program")
}
