package output_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/rollout"
	"github.com/upkeep-go/upkeep/rollout/process/internal/output"
)

// The replica that comes first may be the one that was rotated last: what was
// written first goes, whoever's it is.
func TestTheRotatedFileThatWasWrittenFirstGoes(t *testing.T) {
	for _, first := range []string{"a", "b"} {
		t.Run(first, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, output.Config{Size: 1000, Files: 6})
			logs := map[string]*output.Log{"a": s.start("a"), "b": s.start("b")}
			second := map[string]string{"a": "b", "b": "a"}[first]
			for i, name := range []string{first, second} {
				write(t, logs[name], lines(0, 110))
				s.Tidy()
				found, err := filepath.Glob(filepath.Join(s.folder(logs[name]), name+"@*.log"))
				require.NoError(t, err)
				require.NotEmpty(t, found)
				for _, path := range found {
					at := time0.Add(time.Duration(i) * time.Hour)
					require.NoError(t, os.Chtimes(path, at, at))
				}
			}
			for _, l := range logs {
				require.NoError(t, l.Close())
			}
			next := open(t, dir, output.Config{Size: 1000, Files: 6})
			l := next.start("c")
			write(t, l, lines(0, 230))
			next.Tidy()
			text := next.read(rollout.LogQuery{Tail: 100_000})
			require.NotContains(t, text, first+" | line 0000")
			require.Contains(t, text, second+" | line 0000")
		})
	}
}
