package syncertest

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// RemoteHarness describes the Remote under test.
type RemoteHarness struct {
	// Open returns a Remote that has nothing, and cleans up with t.Cleanup.
	Open func(t testing.TB) cloudsync.Remote
	// Again returns another Remote that has what the first one has, as another
	// process would open it. Nil if there is no such thing.
	Again func(t testing.TB, first cloudsync.Remote) cloudsync.Remote
	// Now is the remote's clock. Default: time.Now.
	Now func() time.Time
	// Behind is how long List may not have what was put or deleted.
	Behind time.Duration
	// RealTime is set if testing/synctest cannot fake the clock.
	RealTime bool
}

// RunRemote checks that r keeps every promise of sync.Remote.
func RunRemote(t *testing.T, h RemoteHarness) { suitetest.Run(t, h.RealTime, h.cases()) }

// remoteTest is what a case works with.
type remoteTest struct {
	testing.TB
	RemoteHarness
	cloudsync.Remote
}

func (h RemoteHarness) cases() []suitetest.Case {
	if h.Now == nil {
		h.Now = time.Now
	}
	start := func(t testing.TB) *remoteTest { return &remoteTest{t, h, h.Open(t)} }
	promises := []struct {
		Name string
		Run  func(*remoteTest)
	}{
		{"what is put is read", (*remoteTest).reads},
		{"a name is put once", (*remoteTest).once},
		{"of many puts of a name one wins", (*remoteTest).wins},
		{"what is absent is not found", (*remoteTest).absent},
		{"a part is read", (*remoteTest).parts},
		{"no part begins before the begin", (*remoteTest).before},
		{"a list is in byte order", (*remoteTest).ordered},
		{"a list has a prefix", (*remoteTest).prefixed},
		{"a list begins after a name", (*remoteTest).after},
		{"a long list is whole", (*remoteTest).long},
		{"a list can be left and read again", (*remoteTest).again},
		{"a list has what stays while others write", (*remoteTest).stays},
		{"what is deleted is gone", (*remoteTest).deletes},
		{"a deleted name can be put", (*remoteTest).putsAgain},
		{"what is put and deleted shows in lists", (*remoteTest).shows},
		{"a call whose context has ended does nothing", (*remoteTest).ended},
		{"a put that is cancelled leaves nothing", (*remoteTest).cancelled},
		{"a read ends with its context", (*remoteTest).readEnds},
		{"a body that is too short puts nothing", (*remoteTest).short},
		{"a body that fails puts nothing", (*remoteTest).broken},
		{"every name can be put", (*remoteTest).names},
		{"what is no name is refused", (*remoteTest).noNames},
		{"a name can be the folder of another", (*remoteTest).folders},
		{"an object is described", (*remoteTest).describes},
		{"times do not fall", (*remoteTest).times},
		{"many calls at once do not disturb each other", (*remoteTest).many},
		{"a closed Remote refuses", (*remoteTest).closes},
		// With Again only.
		{"other handles see it at once", (*remoteTest).handles},
		{"of many puts by two handles one wins", (*remoteTest).winsOver},
	}
	if h.Again == nil {
		promises = promises[:len(promises)-2]
	}
	return suitetest.On(start, promises)
}

// put puts an object and returns the error.
func (t *remoteTest) put(name, content string) error {
	return t.PutIfAbsent(t.Context(), name, bytes.NewReader([]byte(content)))
}

// puts puts objects of their own names.
func (t *remoteTest) puts(names ...string) {
	t.Helper()
	for _, name := range names {
		require.NoError(t, t.put(name, name), name)
	}
}

// read reads a part of an object from a Remote.
func read(ctx context.Context, r cloudsync.Remote, name string, off, n int64) (string, error) {
	in, err := r.Get(ctx, name, off, n)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(in)
	if e := in.Close(); err == nil {
		err = e
	}
	return string(data), err
}

// has checks what an object has.
func (t *remoteTest) has(name, content string) {
	t.Helper()
	got, err := read(t.Context(), t.Remote, name, 0, -1)
	require.NoError(t, err, name)
	require.True(t, content == got, "%s has %d bytes, not these %d", name, len(got), len(content))
}

// gone checks that there is no such object, nor a trace of one.
func (t *remoteTest) gone(name string) {
	t.Helper()
	_, err := read(t.Context(), t.Remote, name, 0, -1)
	require.ErrorIs(t, err, cloudsync.ErrNotFound, name)
	t.lists("", "", t.listed("", "", func(o cloudsync.Object) bool { return o.Name != name })...)
}

// listed are the names of a list.
func (t *remoteTest) listed(prefix, after string, keep func(cloudsync.Object) bool) []string {
	t.Helper()
	names := []string{}
	for o, err := range t.List(t.Context(), prefix, after) {
		require.NoError(t, err)
		if keep == nil || keep(o) {
			names = append(names, o.Name)
		}
	}
	return names
}

// lists checks a list, as soon as it has to be right.
func (t *remoteTest) lists(prefix, after string, want ...string) {
	t.Helper()
	for end := time.Now().Add(t.Behind); time.Now().Before(end); time.Sleep(t.Behind / 20) {
		if assert.ObjectsAreEqual(append([]string{}, want...), t.listed(prefix, after, nil)) {
			return
		}
	}
	require.Equal(t, append([]string{}, want...), t.listed(prefix, after, nil), "prefix %q, after %q", prefix, after)
}
