package output

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
)

// mostNotes is how much is remembered of Notes that cannot be written.
const mostNotes = 4 << 10

// Log is the output of a replica.
type Log struct {
	rev    *revision
	stream *stream

	// Guarded by rev.mu:
	file       *os.File // is printed to
	kept       *os.File // at the path; file itself, unless that was deleted or is none; nil if there is none
	spare      *os.File // os.DevNull, which a process that is about to start may use still
	why        string   // there is nothing to keep, or nothing new at the path
	notes      []byte   // not yet written
	carried    int64    // of file into kept, if that is another one
	unknown    bool     // carried, by an earlier process
	superseded bool     // by another Log of the replica
	closed     bool
	last       string // what End says after Close
}

func (l *Log) name() fileName { return fileName{stem: l.stream.stem, number: current, offset: -1} }

// take opens the files.
func (l *Log) take(running *os.File) {
	l.keep()
	if running != nil && isRegular(running) && !l.rev.k.owns(running) {
		running.Close()
		running = nil
	}
	switch {
	case running != nil && isRegular(running) && l.kept != nil && isAt(l.rev.k.root, l.rev.path(l.name()), running):
		running.Close() // the same
	case running != nil && isRegular(running):
		l.file, l.unknown = running, true
		if l.kept == nil {
			l.kept = running
			l.rev.takeOver(l.stream)
		}
		return
	case running != nil:
		running.Close()
		if l.kept != nil {
			l.note("what is printed until the replica is started anew is lost: it had no log")
		}
	}
	if l.file = l.kept; l.file == nil {
		l.file, _ = os.OpenFile(os.DevNull, os.O_RDWR, 0)
	}
}

// keep opens the file at the path, or says why not.
func (l *Log) keep() {
	err := l.rev.invalid
	if err == nil {
		l.kept, err = takeFile(l.rev.k.root, l.rev.path(l.name()))
	}
	if err != nil {
		l.why = err.Error()
		return
	}
	l.rev.takeOver(l.stream)
	l.why = ""
}

// takeOver makes of the file of a replica that had ended one that is printed to.
func (r *revision) takeOver(s *stream) {
	if n := len(s.segs); n > 0 && s.segs[n-1].name.number == current {
		s.begin = s.segs[n-1].begin
		s.segs = s.segs[:n-1]
	}
}

// File is for a process to print to. It stays the Log's, and appends.
func (l *Log) File() *os.File {
	l.rev.mu.Lock()
	defer l.rev.mu.Unlock()
	return l.file
}

// Path is where the file is below the folder of all logs.
func (l *Log) Path() string { return l.rev.path(l.name()) }

// End returns the last 4 KiB, from the begin of a line, as valid UTF-8 without
// control characters but for newlines and tabs.
func (l *Log) End() string {
	l.rev.mu.Lock()
	defer l.rev.mu.Unlock()
	return l.end()
}

func (l *Log) end() string {
	if l.closed {
		return l.last
	}
	text, cut := l.tail()
	if cut { // at what may be in a line
		if i := bytes.IndexByte(text, '\n'); i >= 0 && i+1 < len(text) {
			text = text[i+1:]
		}
	}
	return quote(append(text, l.unsaid()...))
}

// tail returns the last bytes, and reports whether there are more before them.
func (l *Log) tail() (text []byte, cut bool) {
	if l.kept == nil {
		return nil, false
	}
	s := l.stream
	end := s.end()
	begin := max(s.first(), end-tailSize-1)
	for pos := begin; pos < end; {
		part := make([]byte, min(tailSize+1, end-pos))
		n, next := l.rev.read(s, part, pos)
		if n == 0 {
			break
		}
		text, pos = append(text, part[:n]...), next
	}
	if !l.detached() {
		return text, begin > s.first()
	}
	last := endOf(l.file, l.carried)
	if len(last) > tailSize {
		return last, true
	}
	return append(text, last...), begin > s.first()
}

// endOf returns the last of a file after a place, and a byte before, which says
// whether a line begins there.
func endOf(f *os.File, after int64) []byte {
	part := make([]byte, tailSize+1)
	n, _ := f.ReadAt(part, max(after, sizeOf(f)-int64(len(part))))
	return part[:n]
}

// unsaid is what no file says.
func (l *Log) unsaid() string {
	text := string(l.notes)
	if l.kept == nil {
		text += noteOf(fmt.Sprintf("what is printed is lost: %s", l.why))
	}
	if lost := l.rev.losses[l.stream.stem]; lost != nil {
		text += noteOf(lost.String())
	}
	return text
}

func noteOf(text string) string { return "upkeep: " + text + "\n" }

func (o *loss) String() string {
	return fmt.Sprintf("%d bytes of the output are lost: %s", o.bytes, o.why)
}

// Note appends a line of the Keeper's. One that cannot be written now is written
// when it can be.
func (l *Log) Note(text string) {
	l.rev.mu.Lock()
	defer l.rev.mu.Unlock()
	if l.closed {
		return
	}
	l.note(text)
	l.write()
}

func (l *Log) note(text string) {
	if text = noteOf(text); len(l.notes)+len(text) <= mostNotes {
		l.notes = append(l.notes, text...)
	}
}

// write appends the notes.
func (l *Log) write() {
	if l.kept == nil || len(l.notes) == 0 {
		return
	}
	text := l.notes
	if s := l.stream; s.end() > s.first() {
		var end [1]byte
		if n, _ := l.rev.read(s, end[:], s.end()-1); n > 0 && end[0] != '\n' {
			text = append([]byte{'\n'}, text...)
		}
	}
	if _, err := l.kept.Write(text); err == nil {
		l.notes = nil
	}
}

// Close ends the Log once nobody prints to it. The file stays to be read until
// Prune.
func (l *Log) Close() error {
	r := l.rev
	r.mu.Lock()
	if l.closed {
		r.mu.Unlock()
		return nil
	}
	if !l.superseded {
		r.tidy()
	}
	l.last = l.end()
	l.closed = true
	err := l.closeFiles()
	if !l.superseded {
		l.stream.live = nil
		r.settle(l)
	}
	r.mu.Unlock()
	r.k.release(r)
	return err
}

func (l *Log) closeFiles() (err error) {
	for i, f := range []*os.File{l.file, l.kept, l.spare} {
		if f != nil && (i == 0 || f != l.file) {
			err = cmp.Or(err, f.Close())
		}
	}
	return err
}

// settle makes of the file of a Log that has ended one that nobody prints to.
func (r *revision) settle(l *Log) {
	if l.kept == nil {
		return
	}
	info, err := r.k.root.Lstat(l.Path())
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	s := l.stream
	s.segs = append(s.segs, seg{name: l.name(), begin: s.begin, size: info.Size(), written: info.ModTime()})
	s.begin += info.Size()
}
