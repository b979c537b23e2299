package proc_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/proc"
)

func TestAnIDIsTheTextThatItIsReadFrom(t *testing.T) {
	for _, id := range []proc.ID{
		{Namespace: "pid:[4026531836],time:[4026531834]", PID: 1, Start: "0", Boot: "2d0aa2c5-e1b8-4b5a-9d0c-1e0a7c4b0a11"},
		{Namespace: "pid:[1]", PID: 4194304, Start: "18446744073709551615"},
	} {
		read, err := proc.ParseID(id.String())
		require.NoError(t, err)
		require.Equal(t, id, read)
	}
	require.Empty(t, proc.ID{}.String())
}

func TestGarbageIsNoID(t *testing.T) {
	for _, text := range []string{
		"", " ", "4242", "pid:[1] 1 2", "pid:[1] 1 2 boot more", "pid:[1]  1 2 boot", "pid:[1] 1 2 ", "pid:[1] 1 2 boot\n", " pid:[1] 1 2 boot",
		"pid:[1] 0 2 boot", "pid:[1] -1 2 boot", "pid:[1] 01 2 boot", "pid:[1] 99999999999 2 boot", "pid:[1] x 2 boot",
		"pid:[1] 1 -2 boot", "pid:[1] 1 x boot", "time:[1] 1 2 boot",
	} {
		_, err := proc.ParseID(text)
		require.ErrorContains(t, err, "proc: not the name of a process", "%q", text)
	}
}

func TestNobodyIsNotKnownToHaveEnded(t *testing.T) {
	require.False(t, proc.ID{}.Ended())
}
