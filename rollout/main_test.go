package rollout_test

import (
	"os"
	"testing"

	"github.com/upkeep-go/upkeep/internal/proctest"
)

func TestMain(m *testing.M) { os.Exit(proctest.Run(m)) }
