package lvtest

import "testing"

func runHistories(t *testing.T, h Harness) {}
