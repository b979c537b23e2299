package httpadapter_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestThousandConnectsToTheEventsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(site).open(t)
		ctx, leave := context.WithCancel(t.Context())
		var refused atomic.Int64
		done := make(chan struct{}, 1000)
		for range 1000 {
			go func() {
				r := s.send("GET", events, "", as(admin), func(r *http.Request) { *r = *r.WithContext(ctx) })
				if r.StatusCode == http.StatusTooManyRequests {
					refused.Add(1)
				}
				done <- struct{}{}
			}()
		}
		synctest.Wait()
		require.EqualValues(t, 1000-16, refused.Load())
		require.Equal(t, 16, s.adapter.OpenStreams())
		leave()
		for range 1000 {
			<-done
		}
		require.Zero(t, s.adapter.OpenStreams())
	})
}
