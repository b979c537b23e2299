// Package asset finds the file of a release that is for a system, by its name.
package asset

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// System is what a file is for.
type System struct {
	OS   string // as GOOS has it
	Arch string // as GOARCH has it, or one of armv5 armv6 armv7, amd64v2 amd64v3 amd64v4, or All
	Libc string // gnu or musl, or "" for neither
}

// All is the Arch of a file for every architecture of its system.
const All = "all"

// ErrAmbiguous reports that several files are equally good.
var ErrAmbiguous = errors.New("ambiguous")

var systems = map[string]string{
	"linux": "linux", "windows": "windows", "win": "windows",
	"darwin": "darwin", "macos": "darwin", "osx": "darwin", "mac": "darwin",
	"freebsd": "freebsd", "netbsd": "netbsd", "openbsd": "openbsd", "dragonfly": "dragonfly",
	"solaris": "solaris", "illumos": "illumos", "aix": "aix", "android": "android", "plan9": "plan9",
}

var architectures = map[string]string{
	"amd64": "amd64", "amd64v1": "amd64", "x64": "amd64", "64bit": "amd64",
	"amd64v2": "amd64v2", "amd64v3": "amd64v3", "amd64v4": "amd64v4",
	"386": "386", "i386": "386", "i586": "386", "i686": "386", "x86": "386", "32bit": "386",
	"arm64": "arm64", "aarch64": "arm64", "armv8": "arm64",
	"arm": "arm", "armhf": "arm", "armel": "arm",
	"armv5": "armv5", "armv6": "armv6", "armv6l": "armv6", "armv7": "armv7", "armv7l": "armv7", "armv7hf": "armv7",
	"riscv64": "riscv64", "s390x": "s390x", "loong64": "loong64", "loongarch64": "loong64",
	"ppc64": "ppc64", "ppc64le": "ppc64le", "powerpc64": "ppc64", "powerpc64le": "ppc64le",
	"mips": "mips", "mipsle": "mipsle", "mipsel": "mipsle", "mips64": "mips64", "mips64le": "mips64le", "mips64el": "mips64le",
	"universal": All, "universal2": All, "all": All,
}

var libraries = map[string]string{
	"gnu": "gnu", "glibc": "gnu", "gnueabi": "gnu", "gnueabihf": "gnu",
	"musl": "musl", "musleabi": "musl", "musleabihf": "musl",
}

// joined are spellings that hold a separator, or two words without one.
var joined = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`x86[_-]64`), "amd64"},
	{regexp.MustCompile(`(64|32)-bit`), "${1}bit"},
	// What a dot follows is the version of the release.
	{regexp.MustCompile(`(^|[^a-z0-9])amd64[_-]?(v[1-4])($|[^a-z0-9.])`), "${1}amd64$2$3"},
	{regexp.MustCompile(`(^|[^a-z0-9])arm[_-]?v([5-7])(l|hf)?($|[^a-z0-9.])`), "${1}armv$2$4"},
	{regexp.MustCompile(`(^|[^a-z0-9])(win|linux|windows)(64|32)($|[^a-z0-9])`), "$1$2-${3}bit$4"},
}

var word = regexp.MustCompile(`[a-z0-9]+`)

// formats are the endings of files that may be installed, beside none at all.
var formats = []string{".tar.gz", ".tgz", ".zip", ".exe"}

// Parse reads a file's name. It must name a system and an architecture, of
// several the last one counts, and must be an archive or a program: it has one
// of the endings .tar.gz, .tgz, .zip and .exe, or none.
func Parse(name string) (System, bool) {
	name = strings.ToLower(name)
	var s System
	stem, archive := name, false
	for _, format := range formats {
		if stem, archive = strings.CutSuffix(name, format); archive {
			if format == ".exe" {
				s.OS = "windows"
			}
			break
		}
	}
	for _, j := range joined {
		stem = j.from.ReplaceAllString(stem, j.to)
	}
	if !archive && hasEnding(stem) {
		return System{}, false
	}
	all := false
	for _, w := range word.FindAllString(stem, -1) {
		if os := systems[w]; os != "" {
			s.OS = os
		}
		switch arch := architectures[w]; arch {
		case "":
		case All:
			all = true // a word of many meanings: any other counts before it
		default:
			s.Arch = arch
		}
		if libc := libraries[w]; libc != "" {
			s.Libc = libc
		}
	}
	if s.Arch == "" && all && s.OS == "darwin" {
		s.Arch = All
	}
	if s.OS != "linux" {
		s.Libc = ""
	}
	return s, s.OS != "" && s.Arch != ""
}

// hasEnding reports whether what follows the last dot is an ending, such as
// deb, and neither part of a version nor the name of a system.
func hasEnding(stem string) bool {
	i := strings.LastIndexByte(stem, '.')
	if i < 0 {
		return false
	}
	first := word.FindString(stem[i:])
	return first != "" && (first[0] < '0' || first[0] > '9') && systems[first] == "" && architectures[first] == ""
}

// worst is the rank of what does not run at all.
const worst = 9

// rank tells how well a file for s does where want is wanted: 0 is best.
func (s System) rank(want System) int {
	if s.OS != want.OS {
		return worst
	}
	var arch int
	switch {
	case s.Arch == want.Arch:
	case s.Arch == All, s.Arch == "arm" && strings.HasPrefix(want.Arch, "armv"):
		arch = 3
	case want.Arch == "arm" && strings.HasPrefix(s.Arch, "armv"):
	default:
		return worst
	}
	libc := libcRank(s.Libc, want.Libc)
	if libc == worst {
		return worst
	}
	return arch + libc
}

// libcRank prefers the C library wanted, then none. A program for musl mostly
// brings it along and runs anywhere; one for gnu does not.
func libcRank(has, want string) int {
	switch {
	case has == want:
		return 0
	case has == "":
		return 1
	case want == "musl":
		return worst
	case want == "" && has == "musl":
		return 1
	}
	return 2
}

// Pick returns the one of the names that is for the system wanted, or "" if
// there is none. It returns ErrAmbiguous if two are equally good.
func Pick(names []string, want System) (string, error) {
	best, rank := "", worst
	var also string
	for _, name := range names {
		s, ok := Parse(name)
		if !ok {
			continue
		}
		switch r := s.rank(want); {
		case r < rank:
			best, rank, also = name, r, ""
		case r == rank && r < worst:
			also = name
		}
	}
	if also != "" {
		return "", fmt.Errorf("%w: %q and %q are both for %s/%s", ErrAmbiguous, best, also, want.OS, want.Arch)
	}
	return best, nil
}
