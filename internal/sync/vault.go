package sync

// Kind says what an object is, so that none is taken for another.
type Kind string

// The kinds of objects that are sealed as a whole.
const (
	KindConfig Kind = "config"
	KindHead   Kind = "head"
	KindIndex  Kind = "index"
)

// Sealer makes objects of contents that only who has the keys of the repository
// can read, and contents of objects. It is safe for concurrent use, but for its
// Packers.
type Sealer interface {
	// Repository names the repository whose keys it has.
	Repository() string
	// ID names a content. Without the keys it tells nothing.
	ID(content []byte) [32]byte
	// Seal makes an object, another one each time.
	Seal(kind Kind, name string, content []byte) []byte
	// Open returns what was sealed by this kind and name: at most so many bytes,
	// or ErrCorrupt.
	Open(kind Kind, name string, object []byte, most int) ([]byte, error)
	// NewPacker begins an object of many contents.
	NewPacker() Packer
	// OpenBlob returns a content of the pack with this header, which has this ID
	// and size, or ErrCorrupt.
	OpenBlob(header [32]byte, b Blob, sealed []byte) ([]byte, error)
}

// Packer makes one pack. It is used by one goroutine, and once.
type Packer interface {
	// Add appends a content, and returns where it is.
	Add(id [32]byte, content []byte) (Blob, error)
	// Len is how many bytes the pack would have if it were finished now.
	Len() int
	// Header is what is needed to open its contents.
	Header() [32]byte
	// Finish returns the pack.
	Finish() ([]byte, error)
}

// Blob says where a content is in a pack.
type Blob struct {
	ID     [32]byte
	Offset int64 // in bytes
	Length int   // sealed, in bytes
	Size   int   // of the content, in bytes
}
