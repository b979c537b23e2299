package asset_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// program is an ELF file that has nothing but its loader's name, if any.
func program(loader string) []byte {
	const header, entry = 64, 56
	h := elf.Header64{
		Ident:     [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:      uint16(elf.ET_EXEC),
		Machine:   uint16(elf.EM_X86_64),
		Version:   uint32(elf.EV_CURRENT),
		Phoff:     header,
		Ehsize:    header,
		Phentsize: entry,
		Phnum:     1,
	}
	p := elf.Prog64{Type: uint32(elf.PT_NULL)}
	if loader != "" {
		p.Type, p.Off = uint32(elf.PT_INTERP), header+entry
		p.Filesz = uint64(len(loader) + 1)
	}
	var b bytes.Buffer
	for _, part := range []any{h, p, append([]byte(loader), 0)} {
		_ = binary.Write(&b, binary.LittleEndian, part) // of fixed size, to memory
	}
	return b.Bytes()
}
