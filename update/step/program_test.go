package step_test

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/update"
	"github.com/upkeep-go/upkeep/update/step"
)

// onTrial is a program that was just replaced by release 1.1.0.
func onTrial(t *testing.T, gap bool) (installed, update.Step, *update.Task) {
	t.Helper()
	in := newInstalled(t)
	b := in.binary()
	b.Starts, b.Within = 3, time.Minute
	s, tk := step.SwapOn(durable.OS, gap, b), in.task(t, "one", app("1.1.0"))
	require.NoError(t, s.Do(t.Context(), tk))
	return in, s, tk
}

// start is a start of the program. It reports whether it became another one.
func (in installed) start(disk durable.Disk, gap bool) (p *step.Program, became bool, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		p, err = step.BeginOn(disk, gap, in.path, func(string, []string) error {
			became = true
			runtime.Goexit()
			return nil
		})
	}()
	<-done
	return p, became, err
}

// bubbles runs f with faked time for each way of replacing a program.
func bubbles(t *testing.T, f func(t *testing.T, gap bool)) {
	eachGap(t, func(t *testing.T, gap bool) {
		synctest.Test(t, func(t *testing.T) { f(t, gap) })
	})
}

func TestAProgramThatNeverConfirmsGoesBackAfterSomeStarts(t *testing.T) {
	bubbles(t, func(t *testing.T, gap bool) {
		in, s, tk := onTrial(t, gap)
		for range 3 {
			p, became, err := in.start(durable.OS, gap)
			require.NoError(t, err)
			require.False(t, became)
			version, yes := p.OnTrial()
			require.True(t, yes)
			require.Equal(t, "1.1.0", version)
			require.Equal(t, app("1.1.0"), in.content(t))
		}
		_, became, err := in.start(durable.OS, gap)
		require.NoError(t, err)
		require.True(t, became)
		require.Equal(t, app("1.0.0"), in.content(t))

		p, became, err := in.start(durable.OS, gap)
		require.NoError(t, err)
		require.False(t, became, "the old program is not on trial")
		_, yes := p.OnTrial()
		require.False(t, yes)
		require.NoError(t, s.Undo(t.Context(), tk))
		require.Equal(t, app("1.0.0"), in.content(t))
	})
}

func TestAProgramThatConfirmsStays(t *testing.T) {
	bubbles(t, func(t *testing.T, gap bool) {
		in, _, _ := onTrial(t, gap)
		_, _, err := in.start(durable.OS, gap)
		require.NoError(t, err)
		p, _, err := in.start(durable.OS, gap)
		require.NoError(t, err)
		for range 2 {
			require.NoError(t, p.Confirm())
		}
		_, yes := p.OnTrial()
		require.False(t, yes)
		for range 5 {
			p, became, err := in.start(durable.OS, gap)
			require.NoError(t, err)
			require.False(t, became)
			require.NoError(t, p.Confirm())
		}
		time.Sleep(time.Hour)
		require.Equal(t, app("1.1.0"), in.content(t))
	})
}

func TestAProgramThatHangsGoesBackInTime(t *testing.T) {
	bubbles(t, func(t *testing.T, gap bool) {
		in, _, _ := onTrial(t, gap)
		became := make(chan time.Time, 1)
		_, err := step.BeginOn(durable.OS, gap, in.path, func(string, []string) error {
			became <- time.Now()
			runtime.Goexit()
			return nil
		})
		require.NoError(t, err)
		start := time.Now()
		require.Equal(t, time.Minute, (<-became).Sub(start))
		require.Equal(t, app("1.0.0"), in.content(t))
	})
}

func TestAProgramThatSomebodyElseHasPutThereIsNotOnTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, _, _ := onTrial(t, false)
		in.replaceByHand(t, "program 9.0.0")
		for range 5 {
			p, became, err := in.start(durable.OS, false)
			require.NoError(t, err)
			require.False(t, became)
			_, yes := p.OnTrial()
			require.False(t, yes)
		}
		time.Sleep(time.Hour)
		require.Equal(t, "program 9.0.0", in.content(t))
	})
}

func TestAReleaseMayBePutThereByHandAfterItHasGoneBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, _, _ := onTrial(t, false)
		for range 4 {
			_, _, err := in.start(durable.OS, false)
			require.NoError(t, err)
		}
		require.Equal(t, app("1.0.0"), in.content(t))
		in.replaceByHand(t, app("1.1.0"))
		for range 5 {
			_, became, err := in.start(durable.OS, false)
			require.NoError(t, err)
			require.False(t, became)
		}
		require.Equal(t, app("1.1.0"), in.content(t))
	})
}

func TestAStartThatIsBrokenOffAnywhereCountsOrGoesOn(t *testing.T) {
	bubbles(t, func(t *testing.T, gap bool) {
		for n := 1; ; n++ {
			in, _, _ := onTrial(t, gap)
			for range 3 {
				_, _, err := in.start(durable.OS, gap)
				require.NoError(t, err)
			}
			disk := newFailing(durable.OS, n)
			_, became, err := in.start(disk, gap)
			if *disk.left > 0 {
				require.True(t, became)
				require.Greater(t, n, 5)
				return
			}
			require.Equal(t, became, err == nil, "it says when it cannot go back; where it cannot link it copies")
			if _, err := os.Stat(in.path); gap && err != nil {
				_, err := step.LaunchOn(t.Context(), gap, in.path)
				require.Error(t, err, "what it puts back is nothing that runs")
			}
			_, _, err = in.start(durable.OS, gap)
			require.NoError(t, err)
			require.Equal(t, app("1.0.0"), in.content(t))
		}
	})
}

func TestAProgramWithoutAWayBackStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, _, _ := onTrial(t, false)
		require.NoError(t, os.Remove(filepath.Join(filepath.Dir(in.path), ".app.upkeep", "old-one")))
		for range 3 {
			_, _, err := in.start(durable.OS, false)
			require.NoError(t, err)
		}
		p, became, err := in.start(durable.OS, false)
		require.ErrorIs(t, err, os.ErrNotExist)
		require.False(t, became)
		require.NoError(t, p.Confirm())
		require.Equal(t, app("1.1.0"), in.content(t))
		_, _, err = in.start(durable.OS, false)
		require.NoError(t, err, "there is nothing to be said any more")
	})
}

func TestATrialIsOneOfAllProcessesOfTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, _, _ := onTrial(t, false)
		first, _, err := in.start(durable.OS, false)
		require.NoError(t, err)
		second, _, err := in.start(durable.OS, false)
		require.NoError(t, err)
		_, _, err = in.start(durable.OS, false) // a third, which hangs
		require.NoError(t, err)
		require.NoError(t, first.Confirm())
		require.NoError(t, second.Confirm())
		time.Sleep(time.Hour)
		require.Equal(t, app("1.1.0"), in.content(t))
	})
}

func TestConfirmSaysWhenItIsTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, s, tk := onTrial(t, false)
		p, _, err := in.start(durable.OS, false)
		require.NoError(t, err)
		require.NoError(t, s.Undo(t.Context(), tk))
		require.ErrorContains(t, p.Confirm(), "confirming 1.1.0: step: its trial has ended")
		require.Equal(t, app("1.0.0"), in.content(t))
	})
}

func TestBeginLeavesNothingWhereThereIsNoTrial(t *testing.T) {
	in := newInstalled(t)
	p, err := step.Begin(in.path)
	require.NoError(t, err)
	require.NoError(t, p.Confirm())
	require.Empty(t, in.beside(t))
	_, err = step.Begin("")
	require.NoError(t, err)
}

func TestBeginSaysWhatIsWrongAndGivesAProgramAllTheSame(t *testing.T) {
	in, _, _ := onTrial(t, false)
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(in.path), ".app.upkeep", "trial.json"), []byte("{"), 0o600))
	for _, path := range []string{in.path, in.path + "x"} {
		p, err := step.Begin(path)
		require.Error(t, err)
		l, err := p.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		require.NoError(t, p.Confirm())
	}
}

func TestListenIsThatOfNetWhereNothingWasHandedOver(t *testing.T) {
	for _, text := range []string{"", "nonsense", `[{"fd":1000,"network":"tcp","address":"127.0.0.1:1"}]`} {
		t.Setenv("UPKEEP_LISTENERS", text)
		p, err := step.Begin("")
		require.NoError(t, err)
		require.Empty(t, os.Getenv("UPKEEP_LISTENERS"), "children need not know")
		l, err := p.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		_, err = net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, l.Close())
		_, err = p.Listen("tcp", "256.0.0.1:0")
		require.Error(t, err)
		require.NoError(t, p.Confirm())
	}
}

func TestAProgramHandsItsListenersOver(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("listeners cannot be handed over here")
	}
	in := newInstalled(t)
	socket := filepath.Join(t.TempDir(), "socket")
	var handed string
	exec := func(_ string, env []string) error {
		i := slices.IndexFunc(env, func(v string) bool { return strings.HasPrefix(v, "UPKEEP_LISTENERS=") })
		_, handed, _ = strings.Cut(env[i], "=")
		return os.ErrPermission
	}
	old, err := step.BeginOn(durable.OS, false, in.path, exec)
	require.NoError(t, err)
	tcp, err := old.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	unix, err := old.Listen("unix", socket)
	require.NoError(t, err)
	closed, err := old.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	address := tcp.Addr()
	tk := releaseTask(releaseOf(nil))
	restart := step.Restart(old, nil)
	require.ErrorIs(t, restart.Do(t.Context(), tk), os.ErrPermission)
	require.NoError(t, tcp.Close())
	require.NoError(t, unix.Close())

	// In another process it would be these numbers too.
	waiting := map[string]net.Conn{}
	for network, address := range map[string]string{"tcp": address.String(), "unix": socket} {
		waiting[network], err = net.Dial(network, address)
		require.NoError(t, err, "who connects while one program becomes the other waits")
	}
	t.Setenv("UPKEEP_LISTENERS", handed)
	next, err := step.Begin(in.path)
	require.NoError(t, err)
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": socket} {
		l, err := next.Listen(network, address)
		require.NoError(t, err)
		conn, err := l.Accept()
		require.NoError(t, err)
		_, err = conn.Write([]byte("hello"))
		require.NoError(t, err)
		text := make([]byte, 5)
		_, err = waiting[network].Read(text)
		require.NoError(t, err)
		require.Equal(t, "hello", string(text))
		require.NoError(t, conn.Close())
		require.NoError(t, l.Close())
	}
	_, err = net.Dial("tcp", address.String())
	require.NoError(t, err, "the socket is kept, so that it can be handed back")
	require.NoError(t, next.Confirm())
	_, err = net.Dial("tcp", address.String())
	require.Error(t, err)
}
