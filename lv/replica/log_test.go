package replica_test

import (
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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
