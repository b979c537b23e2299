package dir

import (
	"path"
	"strings"
)

// A part of a name is a folder of that name, the last one a file with objectMark
// behind it: so "a" can be there beside "a/b". A part that is long, as names of
// files must not be, is cut into folders with moreMark behind them. No mark can be
// in a name.
const (
	objectMark = "+"
	moreMark   = ","
	long       = 200 // bytes of a part, from which on it is cut
)

// file is the path of an object.
func file(name string) string {
	folder, last := path.Split(name)
	at, rest := cut(last)
	return path.Join(folderOf(folder)+at, rest+objectMark)
}

// folderOf is the path of the folder of all names that begin so, with a slash at
// the end, unless it is the root.
func folderOf(begin string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(begin, "/") {
		if part == "" {
			break // the end
		}
		at, rest := cut(part)
		b.WriteString(at)
		b.WriteString(folderName(rest))
		b.WriteByte('/')
	}
	return b.String()
}

// cut returns the folders for what a part is too long for, and the rest of it.
func cut(part string) (at, rest string) {
	for len(part) >= long {
		at += part[:long] + moreMark + "/"
		part = part[long:]
	}
	return at, part
}

// folderName is the name of the folder for a part, or the rest of one: not one that
// means something else, and none that ends in a dot, which Windows takes away.
func folderName(rest string) string {
	if rest == "" || strings.HasSuffix(rest, ".") {
		return rest + moreMark
	}
	return rest
}

// entry is what an entry of a folder stands for.
type entry struct {
	name string // of the file or folder
	key  string // what it adds to names; for a folder of a whole part with a slash
	file bool
}

// meaning is that of the name of an entry. Others than ours have none.
func meaning(name string) (e entry, ok bool) {
	switch text, mark := name[:len(name)-1], name[len(name)-1:]; {
	case mark == objectMark:
		return entry{name, text, true}, len(text) < long && plain(text)
	case mark != moreMark:
		return entry{name, name + "/", false}, len(name) < long && plain(name) && mark != "."
	case len(text) == long:
		return entry{name, text, false}, plain(text)
	default:
		return entry{name, text + "/", false}, len(text) < long && plain(text) && folderName(text) == name
	}
}

// plain reports whether a text has nothing but what names have, and no slash.
func plain(text string) bool {
	return strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == ""
}
