package feed_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/feed"
)

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestSetWakesEverybodyWhoWaitsAndNobodyWhoComesLater(t *testing.T) {
	var n feed.Notice
	n.Set() // nobody waits
	first, second := n.Wait(), n.Wait()
	require.False(t, closed(first), "woken by a Set before Wait")

	n.Set()
	require.True(t, closed(first))
	require.True(t, closed(second))
	require.False(t, closed(n.Wait()), "woken by a Set before Wait")
}

func TestAReaderThatWaitsBeforeItLooksMissesNothing(t *testing.T) {
	var n feed.Notice
	const last = 1000
	values := make(chan int, 1) // a mailbox with the newest value
	go func() {
		for i := range last + 1 {
			select {
			case <-values:
			default:
			}
			values <- i
			n.Set()
		}
	}()
	for {
		news := n.Wait()
		select {
		case v := <-values:
			if v == last {
				return
			}
		default:
			<-news
		}
	}
}
