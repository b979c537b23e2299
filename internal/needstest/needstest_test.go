package needstest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/needstest"
)

// recorder is a test that goes on when it is told to end.
type recorder struct {
	testing.TB
	did string
}

func (r *recorder) Helper()                        {}
func (r *recorder) Skipf(format string, a ...any)  { r.did = "skip: " + fmt.Sprintf(format, a...) }
func (r *recorder) Fatalf(format string, a ...any) { r.did = "fail: " + fmt.Sprintf(format, a...) }

func TestATestIsSkippedUnlessEverythingHasToBeThere(t *testing.T) {
	for _, tt := range []struct {
		env  string
		ok   bool
		want string
	}{
		{"", true, ""},
		{"", false, "skip: this test needs root"},
		{"some", false, "skip: this test needs root"},
		{"all", true, ""},
		{"all", false, "fail: this test needs root, and UPKEEP_NEEDS=all does not let it be skipped"},
	} {
		t.Setenv("UPKEEP_NEEDS", tt.env)
		r := &recorder{TB: t}
		needstest.Tool(r, "root", tt.ok)
		require.Equal(t, tt.want, r.did, "UPKEEP_NEEDS=%q", tt.env)
	}
}

func TestATestThatIsInAHurryIsGivenMoreTime(t *testing.T) {
	var paces []time.Duration
	r := &recorder{TB: t}
	needstest.Pace(r, time.Second, func(pace time.Duration) bool {
		paces = append(paces, pace)
		return pace > 3*time.Second
	})
	require.Equal(t, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}, paces)
	require.Empty(t, r.did)
}

func TestATestThatFailsAtEveryPaceFails(t *testing.T) {
	r := &recorder{TB: t}
	needstest.Pace(r, 10*time.Second, func(pace time.Duration) bool { return pace > time.Minute })
	require.Equal(t, "fail: no pace is slow enough", r.did)
}
