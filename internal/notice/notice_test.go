package notice_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/notice"
)

// told counts what can be received now.
func told(c <-chan struct{}) (n int) {
	synctest.Wait()
	for {
		select {
		case _, more := <-c:
			if !more {
				return -1
			}
			n++
		default:
			return n
		}
	}
}

func TestEveryListenerIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b notice.Board
		b.Tell() // nobody
		one, two := b.Listen(t.Context()), b.Listen(t.Context())
		require.Equal(t, 0, told(one))
		b.Tell()
		require.Equal(t, []int{1, 1}, []int{told(one), told(two)})
	})
}

func TestWhatComesSoonAfterIsToldOnceAndLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b notice.Board
		c := b.Listen(t.Context())
		for range 5 {
			b.Tell()
		}
		require.Equal(t, 1, told(c))
		time.Sleep(notice.Pause - 1)
		require.Equal(t, 0, told(c))
		time.Sleep(time.Nanosecond)
		require.Equal(t, 1, told(c))
		time.Sleep(time.Hour)
		require.Equal(t, 0, told(c))
	})
}

func TestAListenerLeavesWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b notice.Board
		ctx, cancel := context.WithCancel(t.Context())
		c := b.Listen(ctx)
		b.Tell()
		b.Tell() // which would come later
		require.Equal(t, 1, told(c))
		cancel()
		require.Equal(t, -1, told(c))
		time.Sleep(time.Hour)
		b.Tell()
		require.Equal(t, -1, told(c))
	})
}
