package step

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/update"
)

// manifest is what the tree of a release consists of. Names have slashes.
type manifest struct {
	Folders []string
	Files   []placed
}

// placed is a file that a release has put there.
type placed struct {
	Name   string
	Size   int64
	SHA256 string
	// Time and Changed are when it was written and last changed in any way, in
	// Unix nanoseconds: with these, it is as it was. Changed is 0 where that is
	// not known.
	Time, Changed int64
}

func (m manifest) path(dir, name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }

func (p *publisher) writeManifest(id string, m manifest) error {
	return writeJSON(durable.OS, p.beside(id+listed), m, 0o600)
}

func (p *publisher) readManifest(id string) (m manifest, err error) {
	data, err := os.ReadFile(p.beside(id + listed))
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	return m, err
}

// seal notes the times of the files of a tree that is about to be switched.
func (p *publisher) seal(id string) error {
	m, err := p.readManifest(id)
	if err != nil {
		return err
	}
	for i, e := range m.Files {
		info, err := os.Lstat(m.path(p.beside(id+ready), e.Name))
		if err != nil {
			return err
		}
		m.Files[i].Time, m.Files[i].Changed = info.ModTime().UnixNano(), changedAt(info)
	}
	return p.writeManifest(id, m)
}

// known is what releases have put into Dir, by name. Folders have no file.
type known map[string][]placed

// known reads all manifests there are: what any release has put there is no
// loss. Beside an error it returns what could be read: what it does not know
// is taken for what no release has put there.
func (p *publisher) known() (all known, err error) {
	all = known{}
	runs, err := p.ofRuns()
	for _, b := range runs {
		if b.kind != listed {
			continue
		}
		m, unread := p.readManifest(b.id)
		if unread != nil {
			err = errors.Join(err, fmt.Errorf("step: %q, which says what a release has put there, cannot be read: %w; "+
				"without it, nobody knows that", p.beside(b.id+listed), unread))
			continue
		}
		for _, name := range m.Folders {
			if _, ok := all[name]; !ok {
				all[name] = nil
			}
		}
		for _, f := range m.Files {
			all[f.Name] = append(all[f.Name], f)
		}
	}
	return all, err
}

// has tells whether the entry of a tree in dir is as a release has put it there.
func (k known) has(ctx context.Context, dir, name string, info fs.FileInfo) bool {
	files, ok := k[name]
	switch {
	case !ok || info == nil:
		return false
	case info.IsDir():
		return true
	case !info.Mode().IsRegular():
		return false
	}
	sum := ""
	for _, f := range files {
		if f.Size != info.Size() {
			continue
		}
		if f.Changed != 0 && f.Changed == changedAt(info) && f.Time == info.ModTime().UnixNano() {
			return true
		}
		if sum == "" {
			sum = digestOf(ctx, filepath.Join(dir, filepath.FromSlash(name)))
		}
		if sum == f.SHA256 {
			return true
		}
	}
	return false
}

// digestOf returns the SHA-256 of a file, or something else if it cannot be read.
func digestOf(ctx context.Context, path string) string {
	id, err := identify(ctx, path, func(int64) {})
	if err != nil {
		return "unreadable"
	}
	return id.SHA256
}

// strays are names of which few are shown.
type strays struct {
	names []string
	n     int
}

func (s *strays) add(name string) {
	if s.n++; len(s.names) < 5 {
		s.names = append(s.names, fmt.Sprintf("%q", name))
	}
}

func (s strays) String() string {
	text := strings.Join(s.names, ", ")
	if more := s.n - len(s.names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// foreign finds what no release has put into a tree, and what was changed
// since, but for what one of the patterns names. Folders are found if there is
// nothing in them, unless it may have been something that lives on.
func (p *publisher) foreign(ctx context.Context, t *update.Task, dir string, but []string) (found strays, err error) {
	all, err := p.known()
	if err != nil {
		return found, err
	}
	sign := signs(t, "%d files looked at")
	err = eachIn(ctx, dir, but, func(name string, info fs.FileInfo) error {
		sign()
		switch {
		case name == "." && info != nil, all.has(ctx, dir, name, info):
		case info == nil || !info.IsDir():
			found.add(name)
		case isEmpty(filepath.Join(dir, filepath.FromSlash(name))) && !isAbove(name, p.Keep):
			found.add(name + "/")
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return found, err
}

func isEmpty(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false // that is found on its own
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	return err == io.EOF
}

// checkForeign refuses to publish over what no release has put there.
func (p *publisher) checkForeign(ctx context.Context, t *update.Task) error {
	if p.Replace && len(p.Keep) == 0 {
		return nil
	}
	if p.Replace {
		_, err := p.known() // it is needed to keep what lives on
		return err
	}
	found, err := p.foreign(ctx, t, p.Dir, p.Keep)
	if err != nil {
		return err
	}
	if found.n > 0 {
		return fmt.Errorf("%w: %d in %q: %s; Publish.Keep says that they stay, Publish.Replace that they may go", ErrForeign, found.n, p.Dir, found)
	}
	return nil
}

// tell says what no release has put into a tree that was taken away.
func (p *publisher) tell(ctx context.Context, t *update.Task, tree string, living []string) {
	if p.Replace || !exists(tree) {
		return
	}
	if found, err := p.foreign(ctx, t, tree, living); err == nil && found.n > 0 {
		say(t, fmt.Sprintf("no release has put there what is kept in %q now: %s", tree, found))
	}
}
