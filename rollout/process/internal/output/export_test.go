package output

import "io"

// Last is how the last lines of a file are found.
func Last(f io.ReaderAt, size int64, want int) (begin int64, lines int) {
	b := backwards{want: want}
	if at, done := b.file(f, size); done {
		return at, b.lines
	}
	return 0, b.all()
}

var Escape, Unescape = escape, unescape

// RevisionsFolder has the default folders.
const RevisionsFolder = revisionsFolder
