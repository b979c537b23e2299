package syncertest

import "github.com/upkeep-go/upkeep/internal/suitetest"

// Cases returns the cases of RunFiles.
func (h FilesHarness) Cases() []suitetest.Case { return h.cases() }

// Cases returns the cases of RunRemote.
func (h RemoteHarness) Cases() []suitetest.Case { return h.cases() }

// Cases returns the cases of RunStore.
func (h StoreHarness) Cases() []suitetest.Case { return h.cases() }

// Cases returns the cases of RunRemotes.
func (h RemotesHarness) Cases() []suitetest.Case { return h.cases() }
