package sync

// ObjectKind says what an object is, so that none is taken for another.
type ObjectKind string

// The kinds of objects that are sealed as a whole.
const (
	ObjectHead  ObjectKind = "head"
	ObjectIndex ObjectKind = "index"
	ObjectLog   ObjectKind = "log"
)

// Sealer makes objects of contents that only who has the keys of the repository
// can read, and contents of objects. It is safe for concurrent use, but for its
// Packers.
type Sealer interface {
	// Repository names the repository whose keys it has.
	Repository() string
	// ChunkSeed is what the cuts of large files depend on, so that their lengths
	// tell nothing.
	ChunkSeed() [32]byte
	// ID names a content. Without the keys it tells nothing.
	ID(content []byte) [32]byte
	// Seal makes an object, another one each time.
	Seal(kind ObjectKind, name string, content []byte) []byte
	// Open returns what was sealed by this kind and name: at most so many bytes,
	// or ErrCorrupt.
	Open(kind ObjectKind, name string, object []byte, most int) ([]byte, error)
	// NewPacker begins an object of many contents, in the memory of an earlier one
	// that nobody needs, if there is any.
	NewPacker(spare []byte) Packer
	// OpenBlob appends a content of the pack with this header, which has this ID
	// and size, or returns ErrCorrupt.
	OpenBlob(dst []byte, header [32]byte, b Blob, sealed []byte) ([]byte, error)
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

// Keys are those of one repository: a Sealer, and the bytes that a FolderStore
// keeps of them, as secret as the folder.
type Keys interface {
	Sealer
	// Bytes are the keys themselves.
	Bytes() []byte
}

// Vault makes the keys of repositories, and opens them by a passphrase. Package
// vault is one. It is safe for concurrent use.
type Vault interface {
	// Draw makes the keys of a new repository.
	Draw() Keys
	// Load returns the keys of which Keys.Bytes has returned these bytes, or
	// ErrCorrupt.
	Load(bytes []byte) (Keys, error)
	// Lock returns a slot: the keys, which only a passphrase opens; "" is the
	// Vault's own. Without one it is ErrPassphrase.
	Lock(keys Keys, name, passphrase string) (slot []byte, err error)
	// Unlock opens a slot by the Vault's own passphrase: ErrPassphrase if that is
	// another one, or none, ErrCorrupt if it is no slot.
	Unlock(slot []byte) (Keys, error)
	// Name reads the name of a slot of these keys: ErrCorrupt for any other slot.
	Name(keys Keys, slot []byte) (string, error)
}
