package sync

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/tree"
)

// head is a commit, and with it all that is live in the repository: what the
// newest one does not name is not there.
type head struct {
	Seq     int64   `json:"seq"` // from 1
	Parent  string  `json:"parent,omitempty"`
	Device  string  `json:"device"`
	Machine string  `json:"machine,omitempty"` // tells devices of one name apart
	Actor   string  `json:"actor,omitempty"`   // who asked for it, and why
	Reason  string  `json:"reason,omitempty"`
	Root    tree.ID `json:"root"`
	Files   int64   `json:"files"`
	Bytes   int64   `json:"bytes"`
	Shelf   *shelf  `json:"shelf,omitempty"`

	Index []string          `json:"index,omitempty"`   // the objects that say where contents are
	Gone  []string          `json:"pending,omitempty"` // objects that are to be deleted, and may be deleted already
	Tags  map[string]string `json:"tags,omitempty"`    // commits, by the names that people gave them
	Lost  bool              `json:"lost,omitempty"`    // the tree has contents that no index has any more
	Log   []entry           `json:"log,omitempty"`     // the commits before, newest first: none is left out
	Older []chapter         `json:"older,omitempty"`   // objects that have those before them, newest first

	id     string // of the commit: of the object that was put
	object []byte
}

// shelf is a tree beside that of a commit: what a pull took out of a folder and
// nobody had committed.
type shelf struct {
	Root  tree.ID `json:"root"`
	Files int64   `json:"files"`
	Bytes int64   `json:"bytes"`
}

// entry is an earlier commit.
type entry struct {
	ID        string    `json:"id"`
	Seq       int64     `json:"seq"`
	Device    string    `json:"device"`
	Machine   string    `json:"machine,omitempty"`
	Actor     string    `json:"actor,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Time      time.Time `json:"time"` // when it was put, by the remote's clock
	Root      tree.ID   `json:"root"`
	Files     int64     `json:"files"`
	Bytes     int64     `json:"bytes"`
	Shelf     *shelf    `json:"shelf,omitempty"`
	Forgotten bool      `json:"forgotten,omitempty"` // its trees cannot be read any more
}

const (
	headFolder  = "heads/"
	indexFolder = "index/"
	packFolder  = "packs/"
	logFolder   = "log/"

	maxHead = 4 << 20 // bytes
)

// headName is the name of the head of a commit: the newest is listed first.
func headName(seq int64) string { return fmt.Sprintf("%s%016x", headFolder, math.MaxInt64-seq) }

// headSeq is the reverse of headName.
func headSeq(name string) (int64, error) {
	digits, ok := strings.CutPrefix(name, headFolder)
	n, err := strconv.ParseInt(digits, 16, 64)
	if !ok || err != nil || len(digits) != 16 || !isHex(digits) || n == math.MaxInt64 {
		return 0, fmt.Errorf("%w: %q is no head", ErrCorrupt, name)
	}
	return math.MaxInt64 - n, nil
}

// commitID names a commit by the object that was put.
func commitID(object []byte) string {
	sum := sha256.Sum256(object)
	return hex.EncodeToString(sum[:16])
}

// seal returns the object of a head, which everybody can read: ErrInvalid if it
// would be too large for that.
func (h head) seal(s Sealer) ([]byte, error) {
	content, err := json.Marshal(h)
	if err != nil {
		panic(err) // it has nothing that JSON has not
	}
	object := s.Seal(ObjectHead, headName(h.Seq), content)
	if n := max(len(content), len(object)); n > maxHead {
		return nil, fmt.Errorf("%w: the head of commit %d would have %d bytes, at most %d are allowed: it has %d tags and names %d objects to delete",
			ErrInvalid, h.Seq, n, maxHead, len(h.Tags), len(h.Gone))
	}
	return object, nil
}

func openHead(s Sealer, seq int64, object []byte) (head, error) {
	content, err := s.Open(ObjectHead, headName(seq), object, maxHead)
	if err != nil {
		return head{}, fmt.Errorf("head %d: %w", seq, err)
	}
	var h head
	if err := json.Unmarshal(content, &h); err != nil || h.Seq != seq {
		return head{}, fmt.Errorf("%w: head %d", ErrCorrupt, seq)
	}
	h.id, h.object = commitID(object), object
	return h, nil
}

// known is how a head is noted: its number, and the object.
func known(h head) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(h.Seq)), h.object...)
}

func openKnown(s Sealer, note []byte) (head, error) {
	if len(note) < 8 {
		return head{}, ErrCorrupt
	}
	return openHead(s, int64(binary.BigEndian.Uint64(note)), note[8:])
}

// entry is h in the log of the heads that follow.
func (h head) entry(put time.Time) entry {
	return entry{
		ID: h.id, Seq: h.Seq, Device: h.Device, Machine: h.Machine, Actor: h.Actor, Reason: h.Reason, Time: put.UTC(),
		Root: h.Root, Files: h.Files, Bytes: h.Bytes, Shelf: h.Shelf,
	}
}

// next is a head that follows h, with what stays the same. When h was put is by
// the remote's clock.
func (h head) next(device string, by By, put time.Time) head {
	n := h
	n.Seq, n.Parent, n.Device, n.Actor, n.Reason = h.Seq+1, h.id, device, by.Actor, by.Reason
	n.Shelf, n.id, n.object = nil, "", nil
	if h.Seq > 0 {
		n.Log = append([]entry{h.entry(put)}, h.Log...)
	}
	return n
}

// follows reports whether a commit is h or among those that it lists.
func (h head) follows(seq int64, id string) bool {
	if h.Seq == seq {
		return h.id == id
	}
	for _, e := range h.Log {
		if e.Seq == seq {
			return e.ID == id
		}
	}
	return false
}

// reaches reports whether h knows the commit of a number.
func (h head) reaches(seq int64) bool {
	return seq == h.Seq || len(h.Log) > 0 && seq < h.Seq && seq >= h.Log[len(h.Log)-1].Seq
}
