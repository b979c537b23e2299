package sync_test

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// wish does what somebody asks for.
func (m *model) wish(d *device, s historytest.Step) {
	p := new(process)
	if s[2]%16 >= 12 {
		p.dies = 1 + int(s[1])/2
	}
	switch s[2] % 12 {
	case 0:
		m.pull(d, p)
	case 1, 2:
		m.bringBack(d, p, s)
	case 3:
		m.tag(d, p, int(s[0]/16))
	case 4:
		m.resolve(d, p, s)
	default:
		m.planned(d)
	}
}

// taken checks what an engine takes out of a folder: it is in history, unless
// it was forgotten. What was asked for, and did not happen, may happen later.
func (m *model) taken(d *device, does func() error) {
	for i := range m.edits { // which of them it brings back, and when, is not told
		m.touched[nth(i)] = true
	}
	before := make(map[string]string)
	for path, n := range d.disk.visible() {
		if !n.mode.IsDir() {
			before[path] = n.content
		}
	}
	var late []string // that programs wrote into what came out, and nobody has seen
	for path, n := range d.disk.all {
		if strings.HasPrefix(path, cloudsync.Staging+"/") && m.at[n.content] != "" && !m.gone[n.content] {
			late = append(late, n.content)
		}
	}
	_, begun := d.notes["journal/"]
	err := does()
	there := make(map[string]bool)
	for _, n := range d.disk.visible() {
		there[n.content] = true
	}
	for path, content := range before {
		if m.gone[content] = m.gone[content] || !there[content] || err != nil; there[content] || err != nil || begun || m.forgets {
			continue
		}
		m.calm()
		found := slices.ContainsFunc(m.commits(d, cloudsync.CommitQuery{}), func(c cloudsync.Commit) bool {
			text, err := m.inCommit(d, c.ID, path)
			return err == nil && text == content
		})
		require.True(m, found, "content %s of %s is in no commit\n%s", content, path, m)
	}
	for _, content := range late {
		if m.gone[content] = !there[content] || err != nil; there[content] || err != nil || begun || m.forgets {
			continue
		}
		m.calm()
		require.True(m, m.isShelved(d, content), "content %s, written late on %s, is in no commit\n%s", content, d.name, m)
	}
}

// isShelved reports whether some commit has a content that the folder has not.
func (m *model) isShelved(d *device, content string) bool {
	for _, c := range m.commits(d, cloudsync.CommitQuery{}) {
		for diff, err := range m.engine(d, new(process), false).Diff(m.Context(), "", c.ID) {
			require.NoError(m, err)
			if text, err := m.inCommit(d, c.ID, diff.Path); err == nil && text == content {
				return true
			}
		}
	}
	return false
}

// inCommit is what a file has in a commit.
func (m *model) inCommit(d *device, commit, path string) (string, error) {
	r, err := m.engine(d, new(process), false).Open(m.Context(), commit, path)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), errors.Join(err, r.Close())
}

func (m *model) pull(d *device, p *process) {
	m.taken(d, func() error {
		r, err := m.world.sync(d, p, cloudsync.Request{Mode: cloudsync.ModeForcePull})
		m.tell("%s has pulled (dies at %d): commit %.4s, %v", d.name, p.dies, r.Commit, err)
		return err
	})
}

// some is one of the commits, as far as the weather lets it be known.
func (m *model) some(d *device, which int) string {
	var all []string
	for c, err := range m.engine(d, new(process), false).Commits(m.Context(), cloudsync.CommitQuery{}) {
		if err != nil {
			return ""
		}
		all = append(all, c.ID)
	}
	if len(all) == 0 {
		return ""
	}
	return all[which%len(all)]
}

func (m *model) bringBack(d *device, p *process, s historytest.Step) {
	r := cloudsync.RestoreRequest{Commit: m.some(d, int(s[0]/16)+int(s[1]))}
	if s[2]%12 == 1 {
		r.Paths = []string{paths[int(s[2]/12)%len(paths)]}
	}
	if r.Commit == "" {
		return
	}
	m.taken(d, func() error {
		done, err := m.world.restore(d, p, r)
		m.tell("%s has restored %.4s %v (dies at %d): conflicts %v, problems %v, %v", d.name, r.Commit, r.Paths, p.dies, done.Conflicts, done.Problems, err)
		return err
	})
}

func (m *model) tag(d *device, p *process, which int) {
	commit := m.some(d, which)
	if commit == "" || m.tagged != "" {
		return
	}
	err := m.engine(d, p, false).Tag(m.Context(), "it", commit, cloudsync.By{})
	m.tell("%s has tagged %.4s: %v", d.name, commit, err)
	if err == nil {
		m.tagged = commit
	}
}

func (m *model) resolve(d *device, p *process, s historytest.Step) {
	if _, begun := d.notes["journal/"]; begun {
		return
	}
	all := m.world.conflicts(d)
	if len(all) == 0 {
		return
	}
	c := all[int(s[1])%len(all)]
	keep := []cloudsync.Keep{cloudsync.KeepFile, cloudsync.KeepCopy, cloudsync.KeepBoth}[int(s[0]/16)%3]
	beside := d.disk.all[d.disk.real(c.Copy)].content
	m.touched[beside] = true
	switch keep {
	case cloudsync.KeepFile:
		m.gone[beside] = true
	case cloudsync.KeepCopy:
		if c.PathHash != "" {
			m.sees(d, c.Path)
			m.touched[d.disk.all[d.disk.real(c.Path)].content] = true // it stays, if this dies before it is staged
		}
	}
	err := m.engine(d, p, false).Resolve(m.Context(), c, keep)
	m.tell("%s has resolved %v, keeps %s (dies at %d): %v", d.name, c, keep, p.dies, err)
}

// judgePast checks that all of every commit that is left can be read.
func (m *model) judgePast() {
	d := m.devices[0]
	all := m.commits(d, cloudsync.CommitQuery{})
	if m.tagged != "" {
		require.Contains(m, ids(all), m.tagged, "the tagged commit is forgotten\n%s", m)
	}
	names := append(slices.Collect(maps.Keys(d.disk.visible())), paths...)
	slices.Sort(names)
	names = slices.Compact(names)
	for _, c := range all {
		for _, path := range names {
			_, err := m.inCommit(d, c.ID, path)
			require.True(m, err == nil || errors.Is(err, cloudsync.ErrNotFound), "commit %.4s, %s: %v\n%s", c.ID, path, err, m)
		}
	}
}
