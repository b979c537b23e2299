package asset

import (
	"bytes"
	"debug/elf"
	"io"
	"strings"
)

// Libc returns the C library that the program at path is linked to: gnu or
// musl, or "" for none, as most Go programs are, or if it cannot be told.
func Libc(path string) string {
	f, err := elf.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		loader, err := io.ReadAll(io.LimitReader(p.Open(), 4096))
		switch name := string(bytes.TrimRight(loader, "\x00")); {
		case err != nil:
			return ""
		case strings.Contains(name, "/ld-musl-"):
			return "musl"
		default:
			return "gnu"
		}
	}
	return ""
}
