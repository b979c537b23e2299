package output

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"

	"github.com/upkeep-go/upkeep/rollout"
)

// revisionsFolder has the default folders: a folder of each service, with one of
// each revision.
const revisionsFolder = "revisions"

// longest is the most bytes of an escaped name, so that two of them and what is
// added make no name of more than 255 bytes.
const longest = 110

// Valid reports whether folder can be that of a Log: "", or a slash path that is
// local and not of the default folders.
func Valid(folder string) bool {
	first, _, _ := strings.Cut(folder, "/")
	return folder == "" ||
		fs.ValidPath(folder) && !strings.ContainsAny(folder, "\x00\\") && !strings.EqualFold(first, revisionsFolder)
}

func folderOf(id rollout.RevisionID, folder string) (string, error) {
	switch {
	case !Valid(folder):
		return "", fmt.Errorf("output: %q is no folder for logs", folder)
	case folder == "":
		return revisionsFolder + "/" + defaultFolder(id), nil
	case folder == ".":
		return defaultFolder(id), nil
	}
	return folder + "/" + defaultFolder(id), nil
}

// defaultFolder returns two names below another folder, which no other revision
// has.
func defaultFolder(id rollout.RevisionID) string {
	service := escape(id.Service.Name)
	if id.Service.Env != "" {
		service = escape(id.Service.Env) + "@" + service
	}
	return service + "/" + escape(id.Version) + "@" + escape(id.Run)
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
}

// escape makes of any text the name of a file, or a part of one, that no other
// text has. It has no @.
func escape(text string) string {
	if text == "" {
		return "%"
	}
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; plain(c) && (c != '.' || i > 0) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() <= longest {
		return b.String()
	}
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%s%%%%%x", b.String()[:longest-34], sum[:16])
}

// unescape returns what escape was given, if that was not too long.
func unescape(name string) string {
	if name == "%" {
		return ""
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] == '%' && i+2 < len(name) {
			if c, err := strconv.ParseUint(name[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(name[i])
	}
	return b.String()
}

// The names of the files of a replica: stem.log, which is printed to, stem@7.log,
// which was rotated, and stem@7@4096.part, a rotated one of which it is not sure
// that what is in it, from byte 4096 on, has been taken out of stem.log.
const (
	logSuffix  = ".log"
	partSuffix = ".part"
	current    = math.MaxInt // the number of stem.log
)

type fileName struct {
	stem   string
	number int
	offset int64 // of a part; else negative
}

func (n fileName) String() string {
	switch {
	case n.offset >= 0:
		return fmt.Sprintf("%s@%d@%d%s", n.stem, n.number, n.offset, partSuffix)
	case n.number == current:
		return n.stem + logSuffix
	}
	return fmt.Sprintf("%s@%d%s", n.stem, n.number, logSuffix)
}

func parseName(text string) (n fileName, ok bool) {
	base, isLog := strings.CutSuffix(text, logSuffix)
	base, isPart := strings.CutSuffix(base, partSuffix)
	fields := strings.Split(base, "@")
	n = fileName{stem: fields[0], number: current, offset: -1}
	var err error
	if len(fields) > 1 {
		if n.number, err = strconv.Atoi(fields[1]); err != nil || n.number < 0 {
			return n, false
		}
	}
	if len(fields) > 2 {
		if n.offset, err = strconv.ParseInt(fields[2], 10, 64); err != nil || n.offset < 0 {
			return n, false
		}
	}
	return n, n.String() == text && isLog != isPart
}
