package memory

import (
	"io/fs"
	"strings"
	"time"
)

// Person changes Files, as people and their programs do. What is asked of an
// engine that is closed has no effect.
type Person struct{ files *Files }

// Person returns who changes the files.
func (s *Files) Person() Person { return Person{s} }

// in runs a change with the mutex.
func (p Person) in(change func(s *Files)) {
	p.files.db.mu.Lock()
	defer p.files.db.mu.Unlock()
	if !p.files.db.closed {
		change(p.files)
	}
}

// Write makes a file, with the folders above, or changes it in place.
func (p Person) Write(path, content string) {
	p.in(func(s *Files) {
		s.above(path)
		f := s.all[path]
		if f == nil || !f.mode.IsRegular() {
			s.put(path, 0o644, content, time.Now())
			return
		}
		f.content, f.mtime = content, time.Now()
		s.touch(f)
	})
}

// Read returns what a file has, and whether there is one.
func (p Person) Read(path string) (content string, there bool) {
	p.in(func(s *Files) {
		if f := s.all[path]; f != nil && f.mode.IsRegular() {
			content, there = f.content, true
		}
	})
	return content, there
}

// Folder makes a folder, with those above.
func (p Person) Folder(path string) { p.in(func(s *Files) { s.above(path + "/") }) }

// Link makes a symbolic link.
func (p Person) Link(path, target string) {
	p.in(func(s *Files) {
		s.above(path)
		s.put(path, fs.ModeSymlink|0o777, target, time.Now())
	})
}

// Remove deletes a path, and what is below.
func (p Person) Remove(path string) { p.in(func(s *Files) { s.remove(path) }) }

// Rename moves a path, with what is below, in the place of what is there.
func (p Person) Rename(from, to string) {
	p.in(func(s *Files) {
		moved := make(map[string]*file)
		for path, f := range s.all {
			if path == from || strings.HasPrefix(path, from+"/") {
				moved[to+strings.TrimPrefix(path, from)] = f
			}
		}
		if len(moved) == 0 || strings.HasPrefix(to+"/", from+"/") {
			return
		}
		s.remove(from)
		s.remove(to)
		s.above(to)
		for path, f := range moved {
			s.all[path] = f
			s.touch(f)
		}
	})
}

// Chmod changes the permissions.
func (p Person) Chmod(path string, mode fs.FileMode) {
	p.in(func(s *Files) {
		if f := s.all[path]; f != nil {
			f.mode = f.mode&^fs.ModePerm | mode.Perm()
			s.touch(f)
		}
	})
}

// Touch changes the time of a file.
func (p Person) Touch(path string, at time.Time) {
	p.in(func(s *Files) {
		if f := s.all[path]; f != nil {
			f.mtime = at
			s.touch(f)
		}
	})
}
