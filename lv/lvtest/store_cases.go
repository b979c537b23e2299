package lvtest

import (
	"slices"
	"testing"

	"github.com/upkeep-go/upkeep/internal/suitetest"
	"github.com/upkeep-go/upkeep/lv"
)

// storeCase is a promise of lv.VersionStore, in words, and its check.
type storeCase struct {
	Name string
	Run  func(*storeTest)
}

// storeCases are what any VersionStore can be asked.
var storeCases = []storeCase{
	{"a saved row is the working row", savedRow},
	{"ids of versions rise in the whole store", idsRise},
	{"the same content makes no new version", sameContent},
	{"texts and ids come back byte by byte", textsReturn},
	{"contents come back byte by byte", contentsReturn},
	{"edits happen all or none", editsAllOrNone},
	{"edits happen in their order with one event", editsInOrder},
	{"edits that say nothing are invalid", invalidEdits},
	{"an edit that expects another version is a conflict", carefulEdits},
	{"a rollback writes the working row alone", rollbackWorking},
	{"a rollback undeletes", rollbackUndeletes},
	{"a rollback needs a version of the table that has content", rollbackUnknown},
	{"a deleted row stays where it is published", deletedRow},
	{"a repeated write returns the first answer", repeatedWrite},

	{"a release points at the working row of the moment", published},
	{"status compares contents with production", statusByContent},
	{"a release that moves nothing is the one that moved there last", publishedAgain},
	{"a gray follows production where it points nowhere", graysFollow},
	{"a gray moves alone", graysAlone},
	{"a gray can hide a row", grayDeletion},
	{"a published deletion removes the row", deletionPublished},
	{"a deletion is listed while a gray shows the row", deletionInGrays},
	{"a deletion is listed while a strategy shows the row", deletionInStrategies},
	{"a reset row follows production again", resets},
	{"a release moves all or nothing", releasesAllOrNone},
	{"an expectation that does not hold is a conflict", expectations},
	{"a release can be taken back whole", takenBack},
	{"a repeated release returns the first answer", repeatedRelease},
	{"a release has its times", releaseTimes},

	{"a plan comes back as it was written and moves nothing", planReturns},
	{"a plan is replaced by its rev", planReplaced},
	{"the versions of a plan are pinned", planPinned},
	{"a plan that meets a conflict moves nothing", planConflicts},
	{"a plan that moves nothing is applied all the same", planMovesNothing},
	{"what is applied, failed or cancelled is final", planFinal},

	{"rows come by rising id", rowsByID},
	{"rows come as they are asked for", rowsAsked},
	{"rows are selected by status", rowsByStatus},
	{"pages of rows neither repeat nor skip", pagesOfRows},
	{"tables are isolated", isolatedTables},
	{"tables come in the order of their names", tablesListed},
	{"a table has the seq and the time of its last event", tableSeq},
	{"all tables are of one history", oneHistory},
	{"what was as of every event can be read", asOfEvery},
	{"history is newest first and goes on after a version", historyNewest},
	{"pages of history join", historyPages},
	{"history says where a version is live", historyLive},
	{"releases are newest first and selected by row and state", releasesListed},
	{"pages of releases join", releasePages},
	{"a version is found by its id", versionFound},
	{"a release is found by its id", releaseFound},
	{"what a request was answered is found", answerFound},
	{"a request id belongs to one kind of write", requestKinds},

	{"a version that is referred to is not forgotten", forgetsReferred},
	{"what a release that can be taken back has moved is not forgotten", forgetsRevertible},
	{"forgetting a version changes no other read", forgotten},
	{"forgetting a version keeps the same content of others", forgetsSharedContent},
	{"forgetting a source keeps the rollback", forgetsSource},

	{"a strategy comes back as it was written", strategyReturns},
	{"a strategy is replaced by its rev", strategyReplaced},
	{"a strategy needs a version of the table", strategyTargets},
	{"strategies come in the order in which they are tried", strategyOrder},
	{"a deleted strategy is gone", strategyDeleted},
	{"a repeated strategy returns the first answer", repeatedStrategy},

	{"a context that has ended writes and reads nothing", endedContext},
	{"what a call returns is the caller's to change", resultsAreCopies},
	{"what a call was given is the caller's to change", argumentsAreCopied},
	{"a list can be left and read again", listsAgain},
	{"a list may be read slowly and is not disturbed by writes", listsSlowly},
	{"a list that is cut short says why", listContext},

	{"many writers leave one order of versions", manyWriters},
	{"many publishers leave one order of releases", manyPublishers},
	{"one of many who expect the same succeeds", oneOfMany},
	{"one of many does what a request asks", oneOfManyRequests},
	{"readers see a release whole", readersSeeWhole},

	{"events say what has changed", eventsSay},
	{"events after any moment lead from then to now", watchReplays},
}

// cases returns the cases that the engine can be asked. After is called with
// the store of each that has passed and damaged nothing.
func (h Harness) cases(after func(testing.TB, lv.VersionStore)) []suitetest.Case {
	cases := slices.Clone(storeCases)
	if h.Again != nil {
		cases = append(cases,
			storeCase{"two handles see the same rows", twoHandlesRows},
			storeCase{"two handles conflict as one", twoHandlesConflict},
		)
	}
	if h.Damage != nil {
		cases = append(cases, damagedCases...)
	}
	for i, c := range cases {
		cases[i].Run = func(t *storeTest) {
			if c.Run(t); !t.damaged {
				after(t, t.VersionStore)
			}
		}
	}
	all := append(suitetest.On(h.start, cases), h.feed(after).Cases()...)
	return append(all, suitetest.Case{Name: historiesAgree, Run: h.histories})
}
