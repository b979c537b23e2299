package lease_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lease"
)

func TestItemsOfPartsThatDifferAreDifferent(t *testing.T) {
	require.Equal(t, "rollout/prod/web", lease.Item("rollout", "prod", "web"))
	require.Equal(t, "update/a b@ü", lease.Item("update", "a b@ü"), "what needs no escape has none")
	seen := map[string][]string{}
	for _, parts := range [][]string{
		{"d"}, {"d", ""}, {"d", "", ""}, {"d", "a", "b"}, {"d", "a/b"}, {"d", "a%2Fb"}, {"d", "a%252Fb"},
		{"d", "a", "", "b"}, {"d", "a//b"}, {"d", "a%b"}, {"d", "a%25b"}, {"d/a", "b"}, {"d", "a/", "b"}, {"d", "a", "/b"},
	} {
		item := lease.Item(parts[0], parts[1:]...)
		require.NotContains(t, seen, item, parts)
		seen[item] = parts
	}
}

func TestWhatNoLockerTakesIsInvalid(t *testing.T) {
	long := strings.Repeat("x", 1024)
	require.NoError(t, lease.Check(long, long, time.Millisecond))
	require.NoError(t, lease.CheckItem("\x00"))
	for what, err := range map[string]error{
		"the item has 0 bytes":     lease.CheckItem(""),
		"the item has 1025 bytes":  lease.Check(long+"x", "me", time.Hour),
		"the owner has 0 bytes":    lease.Check("item", "", time.Hour),
		"the owner has 1025 bytes": lease.Check("item", long+"x", time.Hour),
		"shorter than a mill":      lease.Check("item", "me", time.Millisecond-1),
	} {
		require.ErrorIs(t, err, lease.ErrInvalid, what)
		require.ErrorContains(t, err, what)
	}
}

func TestAHeldErrorSaysByWhomAndUntilWhen(t *testing.T) {
	east := time.FixedZone("east", 3600)
	err := &lease.HeldError{Item: "update/core", Owner: "ann#1", Until: time.Date(2026, 1, 2, 3, 4, 5, 6, east)}
	require.EqualError(t, err, `lease: "update/core" is held by "ann#1" until 2026-01-02T02:04:05Z`)
	require.ErrorIs(t, err, lease.ErrHeld)
}
