package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/upkeep-go/upkeep/internal/durable"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

// A database notes where it is, so that one that was restored is known. It has
// the same random text as a small file beside it, a new one each time that it
// is opened or closed, and the time at which that file was made. Whatever brings
// back an older database, with that file or without, brings back an older text,
// or a file that is younger than the database says.
//
// Two places are words: a copy is at none, whoever opens it; and in a database
// that the application opens by itself nothing is noted beside.
const (
	placeOfCopy        = ""
	placeOfApplication = "application"
	closedMark         = " closed" // what a place ends with while nobody has the database open
)

// origin is where a database is opened.
type origin struct {
	path   string // of the file itself
	side   string // the file beside it
	folded string // the place that a database noted whose log others have folded; "": none

	restored bool // the last judgement
}

func originOf(path string) *origin {
	path = behind(path)
	return &origin{path: path, side: path + "-history"}
}

// settle begins a new history if the database was restored.
func (o *origin) settle(ctx context.Context, s *sqlstore.Stores) error {
	err := s.Settle(ctx, func(place string, first bool) (string, bool, error) {
		o.restored = !first && (!o.matches(place) || place == o.folded)
		next, err := o.note(place)
		return next, o.restored, err
	})
	if errors.Is(err, storage.ErrFull) && !o.restored {
		return nil // as it was, which is right as well
	}
	if err == nil {
		// Another process may have written since.
		_ = s.Settle(ctx, func(place string, _ bool) (string, bool, error) {
			o.clean(place)
			return place, false, nil
		})
	}
	return err
}

// leave notes the end of a use, so that a copy made meanwhile is an older one,
// in a transaction after which the file has no log. It returns the place.
func (o *origin) leave(tx sqlstore.Tx) (left string, err error) {
	err = sqlstore.Settle(tx, sqlstore.Dialect{}, func(place string, _ bool) (string, bool, error) {
		next, err := o.note(place)
		left = next + closedMark
		return left, false, err
	})
	return left, err
}

// note writes a new text beside the database and returns the place to note in
// it. Until that is done both texts count: the process may be killed. Whoever
// may open the database may read the text: it may be another user.
func (o *origin) note(place string) (string, error) {
	before, _, _ := strings.Cut(place, " ")
	text := rand.Text()
	info, err := os.Stat(o.path)
	if err == nil {
		err = durable.Rewrite(o.side, []byte(text+"\n"+before+"\n"), info.Mode().Perm())
	}
	if err != nil {
		return "", refused(o.side, err)
	}
	giveTo(o.side, info)
	return text + " " + strconv.FormatInt(born(o.side), 10), nil
}

// clean leaves the newer of the two texts, once the database notes it. If that
// fails, the other one does no harm but to copies of this very moment.
func (o *origin) clean(place string) {
	noted, _, _ := strings.Cut(place, " ")
	beside, err := os.ReadFile(o.side)
	if err == nil && strings.HasPrefix(string(beside), noted+"\n") {
		_ = os.Truncate(o.side, int64(len(noted)+1))
	}
}

// matches reports whether a database that notes this place is where it was.
func (o *origin) matches(place string) bool {
	switch place {
	case placeOfCopy:
		return false
	case placeOfApplication:
		return true
	}
	beside, err := os.ReadFile(o.side)
	if err != nil {
		return false
	}
	text, at, _ := strings.Cut(place, " ")
	now, before, _ := strings.Cut(strings.TrimSuffix(string(beside), "\n"), "\n")
	if text != now {
		return text == before
	}
	then, _ := strconv.ParseInt(strings.TrimSuffix(at, closedMark), 10, 64)
	made := born(o.side)
	return then == 0 || made == 0 || then == made // 0: the file system does not say
}

// judgeApplication is the judge of a database that the application opens.
func judgeApplication(place string, first bool) (string, bool, error) {
	if first || place == placeOfCopy {
		return placeOfApplication, !first, nil
	}
	return place, false, nil
}

// judgeCopy makes a database a copy.
func judgeCopy(string, bool) (string, bool, error) { return placeOfCopy, false, nil }

// placeNoted reads the place that a database notes.
const placeNoted = "SELECT place FROM upkeep_history ORDER BY base DESC LIMIT 1"

// checkAlone refuses a database that was in use and has lost its log. One whose
// log somebody has folded into it in the proper way is as good as before, and
// its place is returned.
func checkAlone(path string) (folded string, err error) {
	log := logPath(path)
	logged, err := wantsLog(path)
	if err != nil || !logged {
		return "", nil
	}
	var place string
	err = alone(path, func(s *session) error {
		return s.Row(placeNoted, nil, &place)
	})
	switch {
	case err != nil: // of an older library; or SQLite will say what is wrong
		return "", nil
	case place == placeOfCopy || place == placeOfApplication || strings.HasSuffix(place, closedMark):
		return "", nil // who was about to open it has not got further
	}
	_, missing := os.Stat(log)
	_, index := os.Stat(behind(path) + "-shm")
	switch {
	case errors.Is(missing, fs.ErrNotExist) && index == nil:
		err = errors.New("its index is still there")
	case !originOf(path).matches(place):
		err = errors.New("it is a copy")
	default:
		return place, nil
	}
	return "", fmt.Errorf("%w: %q was copied or left while it was in use, and its log %q is missing, with what was written last: "+
		"put it beside the file; if nothing is missing, run: sqlite3 FILE 'PRAGMA journal_mode = DELETE': %w",
		storage.ErrCorrupt, path, log, err)
}
