package sqlite_test

import (
	"testing"

	"github.com/upkeep-go/upkeep/internal/proctest"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// roles are what this program does as a child.
var roles = proctest.Roles{}

func TestMain(m *testing.M) { roles.Main(m) }

// openPatiently is for roles: another process writes as well, and the machine
// may be busy.
func openPatiently(path string) (*sqlite.DB, error) {
	return sqlite.Open(sqlite.Config{Path: path, BusyTimeout: proctest.Hangs})
}
