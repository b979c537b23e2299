package sync_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/historytest"
	"github.com/upkeep-go/upkeep/internal/nfd"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// model plays what people and the world do to a folder on some devices, and
// knows what must come of it. Each edit has a content of its own, so that what
// became of it can be told.
type model struct {
	*world
	edits   int
	gone    map[string]bool   // contents that somebody has replaced or deleted, who saw them
	freed   map[string]bool   // those of copies that somebody has deleted
	at      map[string]string // where a content was written
	ignored map[string]bool   // paths that some device has ignored: a union follows
	perms   map[string]bool   // paths that got other permissions: that goes together with any content
	tagged  string            // a commit
	forgets bool              // a compaction may have forgotten commits
	late    bool              // a program has written into what it had open during a sync
}

// paths are few, so that edits meet.
var paths = []string{"a", "b.md", "d/a", "d/b", "d/e/a", "d", "e", "e/x.md", "B.md", "D/a", "\u00e9", "e\u0301", "d/\u00e9/a", "d/e\u0301"}

// sees notes that the contents at a path, and below it, are replaced or deleted.
func (m *model) sees(d *device, path string) {
	path = d.disk.real(path)
	for other, n := range d.disk.all {
		if (other == path || strings.HasPrefix(other, path+"/")) && !n.mode.IsDir() {
			m.gone[n.content] = true
		}
	}
}

func (m *model) content() string {
	m.edits++
	return nth(m.edits - 1)
}

// nth is the content of an edit: all have one size.
func nth(i int) string { return fmt.Sprintf("%03d", i+1) }

// person does what somebody may do to a folder.
func (m *model) person(d *device, what, which byte) {
	path := d.disk.real(paths[int(which)%len(paths)])
	n := d.disk.all[path]
	switch what % 8 {
	case 0, 1, 2:
		m.sees(d, path)
		for i, b := range []byte(path) { // a file above gives way
			if above := d.disk.all[path[:i]]; b == '/' && above != nil && !above.mode.IsDir() {
				m.sees(d, path[:i])
			}
		}
		content := m.content()
		d.disk.write(path, content)
		m.at[content] = path
		m.tell("%s writes %s=%s", d.name, path, content)
	case 3:
		m.sees(d, path)
		d.disk.remove(path)
		m.tell("%s removes %s", d.name, path)
	case 4:
		m.rename(d, path, d.disk.real(paths[int(which/8)%len(paths)]))
	case 5:
		if n != nil && n.mode.IsRegular() {
			n.mode ^= 0o100
			d.disk.now++
			n.changed = d.disk.tick()
			m.perms[nfd.Form(path)], m.perms[nfd.Form(m.at[n.content])] = true, true
			m.tell("%s changes the permissions of %s", d.name, path)
		}
	case 6:
		if n != nil && n.mode.IsRegular() { // later, with nothing new
			d.disk.now++
			n.changed, n.mtime = d.disk.tick(), d.disk.tick()+1000
			m.tell("%s touches %s", d.name, path)
		}
	case 7:
		if i := slices.IndexFunc(copies(d), func(string) bool { return true }); i >= 0 {
			path := copies(d)[i]
			m.sees(d, path)
			m.freed[d.disk.all[path].content] = true
			d.disk.remove(path)
			m.tell("%s removes the copy %s", d.name, path)
		}
	}
}

func (m *model) rename(d *device, path, to string) {
	if d.disk.all[path] == nil || to == path || strings.HasPrefix(to, path+"/") || strings.HasPrefix(path, to+"/") {
		return
	}
	for i, b := range []byte(to) {
		if above := d.disk.all[to[:i]]; b == '/' && above != nil && !above.mode.IsDir() {
			return
		}
	}
	m.sees(d, to)
	for other, moved := range d.disk.all {
		if other == path || strings.HasPrefix(other, path+"/") {
			m.touched[moved.content] = true
		}
	}
	d.disk.rename(path, to)
	m.tell("%s renames %s to %s", d.name, path, to)
}

// copies are the paths of conflict copies that are there.
func copies(d *device) (all []string) {
	for path := range d.disk.all {
		if strings.Contains(path, " (conflict ") {
			all = append(all, path)
		}
	}
	slices.Sort(all)
	return all
}

// step plays one step of a history.
func (m *model) step(s historytest.Step) {
	d := m.devices[int(s[1])%len(m.devices)]
	other := m.devices[(int(s[1])+1+int(s[2])%max(1, len(m.devices)-1))%len(m.devices)]
	switch s[0] % 16 {
	case 0, 1, 2, 3, 4, 5, 6:
		m.person(d, s[0]/16, s[2])
	case 7, 8, 9:
		d.disk.now += int64(s[2])
		m.run(d, new(process))
	case 10:
		m.wish(d, s)
	default:
		m.accident(d, other, s)
	}
}

// planned does what a plan says, which changes nothing itself.
func (m *model) planned(d *device) {
	m.cloud.hidden = 0 // else the two may see different heads
	_, begun := d.notes["journal/"]
	before, puts := d.disk.String(), m.cloud.puts
	plan, err := m.engine(d, new(process), false).Plan(m.Context(), cloudsync.Request{})
	m.tell("%s plans %v, %v", d.name, plan.Actions, err)
	require.Equal(m, before, d.disk.String(), "a plan changes the folder\n%s", m)
	require.Equal(m, puts, m.cloud.puts, "a plan changes the remote\n%s", m)
	if err != nil {
		return
	}
	r, err := m.world.sync(d, new(process), cloudsync.Request{Plan: plan.ID})
	m.tell("%s has synced: commit %.4s, conflicts %v, problems %v, %v", d.name, r.Commit, r.Conflicts, r.Problems, err)
	require.False(m, !begun && !m.late && errors.Is(err, cloudsync.ErrStale), "it is not as it was planned\n%s", m)
}

// accident is what does not happen every day.
func (m *model) accident(d, other *device, s historytest.Step) {
	switch s[0] % 16 {
	case 11: // it dies
		m.run(d, &process{dies: 1 + int(s[2])/2, after: s[2]%2 == 0})
	case 12: // another one syncs or compacts meanwhile
		random := rand.New(rand.NewPCG(uint64(s[1]), uint64(s[2])))
		if s[2]%4 == 0 { // its packs are in no commit yet
			m.person(d, 0, s[1])
			m.unlucky(d)
		}
		interleave(random, func(p *process) { m.run(d, p) }, func(p *process) {
			if s[2]%2 == 0 {
				_ = m.compact(other, p, 1) // it may meet anything
			} else {
				m.run(other, p)
			}
		})
	case 13: // somebody edits meanwhile
		m.run(d, &process{during: map[int]func(){1 + int(s[2])%100: func() { m.person(d, s[0]/16+s[2]/32, s[2]) }}})
	case 14: // the weather, and what is compacted
		if s[2]%2 == 0 {
			m.compactOddly(d, other, s[2])
			return
		}
		kind := []string{"put", "put+", "get", "list"}[s[2]%4]
		m.cloud.fails[kind] = 1 + int(s[2]/4)%9
		m.tell("%d times %s fails", m.cloud.fails[kind], kind)
	case 15:
		switch s[2] % 4 {
		case 0, 1:
			path := paths[int(s[2]/4)%len(paths)]
			if d.ignores[path] = !d.ignores[path]; d.ignores[path] {
				m.ignored[nfd.Form(path)] = true
			}
			m.tell("%s ignores %s: %t", d.name, path, d.ignores[path])
			return
		case 2:
			name := []string{"b.md", "e", "x.md"}[int(s[2]/4)%3]
			if d.refuses == "" {
				d.refuses = name
			} else {
				d.refuses = ""
			}
			m.tell("%s refuses names %q", d.name, d.refuses)
			return
		}
		if s[2]/4%4 > 0 {
			m.writesOn(d, s)
			return
		}
		m.cloud.hidden = 1 + int(s[2])%3
		m.tell("%d lists are behind", m.cloud.hidden)
	}
}

// compactOddly lets a compaction meet an accident.
func (m *model) compactOddly(d, other *device, how byte) {
	p := &process{}
	switch how / 2 % 4 {
	case 0:
		p = &process{dies: 1 + int(how)/4, after: how%8 == 0}
	case 1:
		p.during = map[int]func(){1 + int(how)/4: func() { m.run(other, new(process)) }}
	case 2: // a sync sleeps while others commit and all is compacted
		m.run(d, &process{during: map[int]func(){1 + int(how)/2: func() {
			m.person(other, 0, how)
			m.run(other, new(process))
			_ = m.compact(other, new(process), 1)
		}}})
		return
	}
	_ = m.compact(d, p, 1+int(how/8)%3)
}

func (m *model) run(d *device, p *process) {
	m.tell("%s syncs (dies at %d)", d.name, p.dies)
	before := m.masked(d)
	r, err := m.world.sync(d, p, cloudsync.Request{})
	m.tell("%s has synced: commit %.4s, conflicts %v, problems %v, %v", d.name, r.Commit, r.Conflicts, r.Problems, err)
	if p.during == nil {
		require.Equal(m, before, m.masked(d), "what %s ignores is as it was\n%s", d.name, m)
	}
}

// unlucky lets a sync die before its head is put.
func (m *model) unlucky(d *device) {
	p := new(process)
	for n := range 200 {
		p = &process{dies: n + 1}
		before := len(m.cloud.objects)
		heads := func() (n int) {
			for name := range m.cloud.objects {
				if strings.HasPrefix(name, "heads/") {
					n++
				}
			}
			return n
		}
		was := heads()
		m.run(d, p)
		if len(m.cloud.objects) > before && heads() == was || !p.dead {
			return
		}
	}
}

// masked is what a device has of what it ignores.
func (m *model) masked(d *device) map[string]string {
	all := make(map[string]string)
	for path, n := range d.disk.all {
		for i, b := range []byte(path + "/") {
			if b == '/' && d.ignored(path[:i]) {
				all[path] = n.content
			}
		}
	}
	return all
}

// ignored reports whether a path is one of those that a device ignores.
func (d *device) ignored(path string) bool {
	for other, is := range d.ignores {
		if is && (other == path || d.disk.nfd && nfd.Form(other) == path) {
			return true
		}
	}
	return false
}

func (m *model) compact(d *device, p *process, commits int) error {
	m.tell("%s compacts (dies at %d)", d.name, p.dies)
	keep := cloudsync.Retention{Age: time.Duration(commits-1)*5*time.Second + 1} // a put takes a second
	m.forgets = true
	c, err := m.engine(d, p, true).Compact(m.Context(), keep, cloudsync.By{})
	m.tell("%s has compacted: %+v, %v", d.name, c, err)
	return err
}

// judge checks what must hold when all is quiet.
func (m *model) judge() {
	m.calm()
	for _, d := range m.devices { // first with what they cannot hold, then with all
		m.must(d)
	}
	for _, d := range m.devices {
		clear(d.ignores)
		d.refuses = ""
	}
	m.tell("all is allowed")
	m.settle()
	m.equal()
	puts := m.cloud.puts
	for _, d := range m.devices {
		m.must(d)
	}
	require.Equal(m, puts, m.cloud.puts, "nothing is put when nothing has changed\n%s", m)
	require.NoError(m, m.compact(m.devices[0], new(process), 1+m.edits%3), "%s", m)
	m.judgePast()
	fresh := newWorld(m, 1)
	fresh.cloud = m.cloud
	fresh.must(fresh.devices[0])
	require.Equal(m, m.devices[0].disk.String(), fresh.devices[0].disk.String(), "a new device has another folder\n%s", m)
	there := m.devices[0].disk
	united := func(content string) bool {
		return slices.ContainsFunc(slices.Collect(maps.Keys(m.ignored)), func(path string) bool {
			at := nfd.Form(m.at[content])
			return strings.HasPrefix(at+"/", path+"/") || strings.HasPrefix(path+"/", at+"/")
		})
	}
	for i := range m.edits {
		content := nth(i)
		kept, beside := false, false
		for path, n := range there.all {
			is := n.content == content && !strings.HasPrefix(path, cloudsync.Staging)
			kept = kept || is
			beside = beside || is && strings.Contains(path, " (conflict ")
		}
		switch {
		case !m.gone[content]:
			require.True(m, kept, "content %s is lost: %s\n%s", content, there, m)
		case united(content):
		case !m.touched[content] && !m.perms[nfd.Form(m.at[content])] && !beside:
			require.False(m, kept, "content %s comes back: %s\n%s", content, there, m)
		case !m.touched[content] && !m.perms[nfd.Form(m.at[content])] && m.freed[content]:
			require.False(m, beside, "the copy of content %s comes back: %s\n%s", content, there, m)
		}
	}
	for _, d := range m.devices {
		for path := range d.disk.all {
			require.False(m, strings.HasPrefix(path, cloudsync.Staging+"/") && path != cloudsync.Staging+"/equals", "%s has %s\n%s", d.name, path, m)
		}
	}
}

func playModel(t *testing.T) historytest.Player {
	return func(steps []historytest.Step) (why string) {
		synctest.Test(t, func(t *testing.T) {
			why = play(t, steps, nil)
		})
		return why
	}
}

// play plays one history, with a bug or without.
func play(t *testing.T, steps []historytest.Step, planted func(*cloudsync.EngineConfig, use, mount, bool)) string {
	return historytest.Failure(t, func(t testing.TB) {
		devices := []int{2, 3, 2, 3, 2, 3, 4, 5}[len(steps)%8]
		m := &model{world: newWorld(t, devices), gone: make(map[string]bool), freed: make(map[string]bool), at: make(map[string]string), perms: make(map[string]bool), ignored: make(map[string]bool)}
		if last := m.devices[len(m.devices)-1]; len(steps) > 0 && steps[0][2]%4 == 0 {
			last.caps.CaseSensitive, last.disk.dull = false, true
		}
		if last := m.devices[len(m.devices)-1]; len(steps) > 0 && steps[0][1]%3 == 0 {
			last.caps.Normal, last.disk.nfd = nfd.Form, true
		}
		m.planted = planted
		for _, s := range steps {
			m.step(s)
		}
		m.judge()
	})
}

func TestNothingIsLostInRandomHistories(t *testing.T) {
	t.Parallel()
	historytest.Run(t, historytest.Unraced(10_000), playModel(t), playModel(t))
}
