// Package syncertest checks what package sync stands on, for who writes one.
package syncertest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// FilesHarness describes the Files under test.
type FilesHarness struct {
	// Open returns an empty tree, and who works in it, and cleans up with
	// t.Cleanup.
	Open func(t testing.TB) (cloudsync.Files, Person)
	// RealTime is set if testing/synctest cannot fake the clock.
	RealTime bool
}

// Person changes files, as programs do. A folder above is made.
type Person interface {
	Write(path, content string) // in place, if the file is there
	Folder(path string)
	Link(path, target string)
	Remove(path string) // and what is below
	Touch(path string, at time.Time)
}

// RunFiles checks that f keeps every promise of sync.Files.
func RunFiles(t *testing.T, h FilesHarness) { suitetest.Run(t, h.RealTime, h.cases()) }

// filesTest is what a case works with.
type filesTest struct {
	testing.TB
	cloudsync.Files
	Person
	caps cloudsync.Caps
}

func (h FilesHarness) cases() []suitetest.Case {
	start := func(t testing.TB) *filesTest {
		f := &filesTest{TB: t}
		f.Files, f.Person = h.Open(t)
		var err error
		f.caps, err = f.Caps(t.Context())
		require.NoError(t, err)
		return f
	}
	return suitetest.On(start, []struct {
		Name string
		Run  func(*filesTest)
	}{
		{"a folder is listed by name", (*filesTest).lists},
		{"an empty tree has nothing", (*filesTest).empty},
		{"only a folder is listed", (*filesTest).listsFolders},
		{"an entry is described", (*filesTest).describes},
		{"a link is not followed", (*filesTest).links},
		{"a file is read", (*filesTest).reads},
		{"an edit shows in the tag", (*filesTest).tags},
		{"what has changed lately is recent", (*filesTest).recent},
		{"a file is staged and placed", (*filesTest).places},
		{"what is staged is replaced", (*filesTest).replaces},
		{"a content that ends in an error stages nothing", (*filesTest).broken},
		{"what is at a path comes out", (*filesTest).exchanges},
		{"a folder does not come out", (*filesTest).folders},
		{"a folder and a link are placed", (*filesTest).kinds},
		{"nothing is placed where there is no folder", (*filesTest).nowhere},
		{"what is not staged is not placed", (*filesTest).nothing},
		{"a file is removed into staging", (*filesTest).removes},
		{"a folder is removed when it is empty", (*filesTest).removesFolders},
		{"what is staged is deleted", (*filesTest).deletes},
		{"no path leads out", (*filesTest).out},
		{"no path leads through a link", (*filesTest).through},
	})
}
