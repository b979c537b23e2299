package sync

import "fmt"

// Reindex reads an index and writes it again.
func Reindex(b []byte) ([]byte, error) {
	x, err := decodeIndex(b)
	if err != nil {
		return nil, err
	}
	return x.encode(), nil
}

// NewIndex writes an index of so many packs, each of so many contents.
func NewIndex(packs, blobs int) []byte {
	x := new(index)
	for i := range packs {
		var all []Blob
		for j := range blobs {
			all = append(all, Blob{ID: [32]byte{byte(j), byte(i), 1}, Offset: int64(10 * j), Length: 10, Size: 20 + j})
		}
		x.add(packed{name: packName(fmt.Sprintf("%032x", i)), header: [32]byte{byte(i)}, size: int64(10 * blobs)}, all)
	}
	return x.encode()
}

// HeadName and HeadSeq are the names of heads.
var (
	HeadName = headName
	HeadSeq  = headSeq
)

// What the tests of the engine use.
type (
	Engine       = engine
	EngineConfig = engineConfig
	EngineResult = engineResult
	Report       = report
)

// NewEngine returns an Engine.
func NewEngine(c EngineConfig) *Engine { return newEngine(c) }
