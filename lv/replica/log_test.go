package replica_test

import (
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv/replica"
)

func TestAnOutageIsLoggedFromItsBeginToItsEnd(t *testing.T) {
	s := serve(t)
	s.fill()
	log := new(lines)
	r, err := replica.New(replica.Config{
		Logger: slog.New(slog.NewTextHandler(log, nil)), URL: s.http.URL + "/lv", Table: banners, File: filepath.Join(t.TempDir(), "state"),
		Authorize: s.authorize,
	})
	require.NoError(t, err)
	stop := run(t, r)
	connected := func(is bool) {
		t.Helper()
		require.Eventually(t, func() bool { return r.Status().Connected == is }, hangs, time.Millisecond)
	}
	connected(true)
	s.away.Store(true)
	s.http.CloseClientConnections()
	connected(false)
	s.away.Store(false)
	connected(true)
	stop()
	var told []string
	for _, line := range regexp.MustCompile(`level=(\S+) msg="([^"]*)" app=app schema=banners`).FindAllStringSubmatch(log.String(), -1) {
		if now := line[1] + " " + line[2]; len(told) == 0 || told[len(told)-1] != now {
			told = append(told, now)
		}
	}
	require.Equal(t, []string{
		"INFO lv: replica follows its server", "WARN lv: replica lost its server", "INFO lv: replica follows its server",
	}, told, log.String())
	require.NotContains(t, log.String(), "secret")
	require.Equal(t, strings.Count(log.String(), "\n"), strings.Count(log.String(), `msg="lv: `), log.String())
}

// answers answers requests for a route.
type answers map[string]func() (*http.Response, error)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	return a[path.Base(r.URL.Path)]()
}

func TestAnOutageThatLastsIsLoggedOnce(t *testing.T) {
	for name, c := range map[string]struct{ file, told string }{
		"there is no file":      {"", "ERROR lv: following failed"},
		"the file is no good":   {"rubbish", "WARN lv: replica cannot use its file|ERROR lv: following failed"},
		"the server had a feed": {"kept", "WARN lv: replica lost its server"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "state")
			if c.file == "kept" {
				s := serve(t)
				s.fill()
				r := s.follower(file)
				stop := run(t, r)
				s.requireSame(r)
				stop()
			} else if c.file != "" {
				require.NoError(t, os.WriteFile(file, []byte(c.file), 0o600))
			}
			synctest.Test(t, func(t *testing.T) {
				var why atomic.Value
				why.Store(errors.New("no route to host"))
				var asked atomic.Int32
				away := func() (*http.Response, error) {
					asked.Add(1)
					return nil, why.Load().(error)
				}
				log := new(lines)
				r, err := replica.New(replica.Config{
					Logger: slog.New(slog.NewTextHandler(log, nil)), URL: "http://server.invalid", Table: banners, File: file,
					Client: &http.Client{Transport: answers{"snapshot": away, "changes": away}},
				})
				require.NoError(t, err)
				go r.Run(t.Context())
				said := func() string {
					time.Sleep(time.Hour)
					synctest.Wait()
					var told []string
					for _, line := range regexp.MustCompile(`level=(\S+) msg="([^"]*)"`).FindAllStringSubmatch(log.String(), -1) {
						told = append(told, line[1]+" "+line[2])
					}
					return strings.Join(told, "|")
				}
				require.Equal(t, c.told, said())
				require.Greater(t, asked.Load(), int32(100), "it is asked again and again")
				why.Store(errors.New("host is down"))
				all := strings.Split(c.told, "|")
				require.Equal(t, c.told+"|"+all[len(all)-1], said(), "the reason is another one")
			})
		})
	}
}
