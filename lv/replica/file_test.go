package replica_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv/replica"
)

func TestAFileThatSomebodySpoilsIsWrittenAgain(t *testing.T) {
	spoils := map[string]func(t *testing.T, file string){
		"deleted": func(t *testing.T, file string) { require.NoError(t, os.Remove(file)) },
		"emptied": func(t *testing.T, file string) { require.NoError(t, os.Truncate(file, 0)) },
		"replaced": func(t *testing.T, file string) {
			require.NoError(t, os.WriteFile(file+"2", []byte("something else"), 0o600))
			require.NoError(t, os.Rename(file+"2", file))
		},
		"overwritten": func(t *testing.T, file string) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(file, make([]byte, len(text)), 0o600))
			require.NoError(t, os.Chtimes(file, time.Time{}, time.Unix(1, 0)))
		},
	}
	for what, spoil := range spoils {
		for when, every := range map[string]time.Duration{"while it runs": time.Millisecond, "before it ends": time.Hour} {
			for _, read := range []bool{false, true} {
				t.Run(what+" "+when, func(t *testing.T) {
					s := serve(t)
					s.fill()
					file := filepath.Join(t.TempDir(), "state")
					if read { // the file is there and only read
						first := s.follower(file)
						stop := run(t, first)
						s.requireSame(first)
						stop()
					}
					r, err := replica.New(replica.Config{
						Logger: quiet, URL: s.http.URL + "/lv", Table: banners, File: file, SaveEvery: every, Authorize: s.authorize,
					})
					require.NoError(t, err)
					stop := run(t, r)
					s.requireSame(r)
					require.Eventually(t, func() bool { return r.Status().Connected }, hangs, time.Millisecond)
					if every < time.Hour {
						require.Eventually(t, func() bool { _, err := os.Stat(file); return err == nil }, hangs, time.Millisecond)
					} else if !read {
						stop() // which writes it
						r = s.follower(file)
						stop = run(t, r)
						s.requireSame(r)
						require.Eventually(t, func() bool { return r.Status().Connected }, hangs, time.Millisecond)
					}
					want, err := os.ReadFile(file)
					require.NoError(t, err)
					s.away.Store(true)
					s.http.CloseClientConnections()
					spoil(t, file)
					if every < time.Hour {
						require.Eventually(t, func() bool {
							text, err := os.ReadFile(file)
							return err == nil && string(text) == string(want)
						}, hangs, time.Millisecond)
					}
					stop()
					text, err := os.ReadFile(file)
					require.NoError(t, err)
					require.Equal(t, string(want), string(text))
					second := s.follower(file)
					s.requireSame(second) // though the server is away
				})
			}
		}
	}
}
