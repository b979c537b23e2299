//go:build unix

package dir_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/proctest"
	"github.com/upkeep-go/upkeep/internal/tempdirtest"
	"github.com/upkeep-go/upkeep/storage/dir"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

func init() { tempdirtest.InMemory() }

// roles are what this program does as a child.
var roles = proctest.Roles{"putter": putter, "racer": racer}

func TestMain(m *testing.M) { roles.Main(m) }

// sealed is a content that tells for what name it is, and whether it is whole.
func sealed(name string) []byte {
	content := bytes.Repeat([]byte(name+"\n"), 10_000/(len(name)+1)+len(name)*1000)
	sum := sha256.Sum256(content)
	return append(content, sum[:]...)
}

// putter puts objects until it is killed, and says which one before.
func putter(args []string) error {
	r, err := dir.Open(dir.Config{Path: args[0]})
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s/%d/%d", args[1], i/7, i)
		fmt.Println(name)
		if err := r.PutIfAbsent(context.Background(), name, bytes.NewReader(sealed(name))); err != nil {
			return err
		}
	}
}

func TestWhatAKilledProcessHasPutIsWhole(t *testing.T) {
	kills := 30
	if os.Getenv("UPKEEP_FULL") == "1" {
		kills = 200
	}
	path, left := t.TempDir(), 0
	for i := range kills {
		c := roles.Start(t, "putter", path, fmt.Sprint("round", i))
		at := c.Line()
		time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
		put := append([]string{at}, c.Kill()...)

		r := opened(t, path)
		for n, name := range put {
			err := r.PutIfAbsent(t.Context(), name, bytes.NewReader(sealed(name)))
			if n < len(put)-1 || err != nil {
				require.ErrorIs(t, err, cloudsync.ErrExists, "%s was put", name)
			}
		}
		seen := 0
		for o, err := range r.List(t.Context(), fmt.Sprintf("round%d/", i), "") {
			require.NoError(t, err)
			in, err := r.Get(t.Context(), o.Name, 0, -1)
			require.NoError(t, err)
			data, err := io.ReadAll(in)
			require.NoError(t, errors.Join(err, in.Close()))
			require.True(t, bytes.Equal(sealed(o.Name), data), "%s has %d bytes", o.Name, len(data))
			seen++
		}
		require.Equal(t, len(put), seen)
		require.NoError(t, r.Close())
	}
	left = len(fresh(t, path))
	t.Logf("%d kills left %d files", kills, left)
	require.LessOrEqual(t, left, kills)
}

// racer puts names in an order of its own, and says which it has won.
func racer(args []string) error {
	r, err := dir.Open(dir.Config{Path: args[0]})
	if err != nil {
		return err
	}
	for _, i := range rand.Perm(races) {
		name := fmt.Sprintf("d%d/%d", i%7, i)
		err := r.PutIfAbsent(context.Background(), name, strings.NewReader(args[1]))
		switch {
		case err == nil:
			fmt.Println(name)
		case !errors.Is(err, cloudsync.ErrExists):
			return err
		}
	}
	return r.Close()
}

const races = 500

func TestTwoProcessesWinEachNameOnce(t *testing.T) {
	path := t.TempDir()
	racers := []*proctest.Child{roles.Start(t, "racer", path, "first"), roles.Start(t, "racer", path, "the second")}
	winner := map[string]string{}
	for i, c := range racers {
		for _, name := range c.Rest() {
			require.NotContains(t, winner, name, "it was won twice, or: %s", name)
			winner[name] = []string{"first", "the second"}[i]
		}
	}
	require.Len(t, winner, races)
	r := opened(t, path)
	for name, content := range winner {
		in, err := r.Get(t.Context(), name, 0, -1)
		require.NoError(t, err)
		data, err := io.ReadAll(in)
		require.NoError(t, errors.Join(err, in.Close()))
		require.Equal(t, content, string(data), name)
	}
	require.Empty(t, fresh(t, path))
}
