package replica_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/lv/replica"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// publishMany publishes so many rows by one release.
func (s *server) publishMany(rows int, content string) {
	var edits []lv.Edit
	var ids []string
	for n := range rows {
		ids = append(ids, fmt.Sprintf("many%05d", n))
		edits = append(edits, lv.Edit{Op: lv.OpSave, Row: ids[n], Content: json.RawMessage(content)})
		if len(edits) == 100 || n == rows-1 {
			_, err := s.table.Edit(s.t.Context(), by, edits...)
			require.NoError(s.t, err)
			edits = nil
		}
	}
	s.publish(lv.Production, ids...)
}

func TestAnEventThatIsTooLongIsReadAsASnapshot(t *testing.T) {
	t.Parallel()
	for _, restarts := range []bool{false, true} {
		t.Run(fmt.Sprint("restarts: ", restarts), func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			s.fill()
			file := filepath.Join(t.TempDir(), "state")
			log := new(lines)
			follower := func() *replica.Replica {
				r, err := replica.New(replica.Config{
					URL: s.http.URL + "/lv", Table: banners, File: file, SaveEvery: 10 * time.Millisecond, Authorize: s.authorize,
					Logger: slog.New(slog.NewTextHandler(log, nil)),
				})
				require.NoError(t, err)
				r.LimitEvents(20_000)
				return r
			}
			r := follower()
			stop := run(t, r)
			s.requireSame(r)
			if restarts {
				stop()
				r = follower()
			}
			s.publishMany(100, `{"text":"`+strings.Repeat("x", 200)+`"}`)
			if restarts {
				run(t, r)
			}
			s.requireSame(r)
			s.save("a", "after")
			s.publish(lv.Production, "a")
			s.requireSame(r)
			require.EqualValues(t, 2, s.snapshots.Load(), "it is read once")
			require.Contains(t, log.String(), "more than 20000 bytes")
			require.NotContains(t, log.String(), "lost its server")
		})
	}
}

func TestAnEventInManyLinesIsNoLongerThanOneInOne(t *testing.T) {
	line := "data: " + strings.Repeat(" ", 60<<10) + "\n"
	err := replica.ReadEventsUpTo(1<<20, strings.NewReader(strings.Repeat(line, 100)+"\n"), func(lv.Event) bool { return true })
	require.ErrorIs(t, err, lv.ErrCompacted)
}
