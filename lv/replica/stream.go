package replica

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/upkeep-go/upkeep/internal/lv/wire"
	"github.com/upkeep-go/upkeep/lv"
)

// maxEvent bounds the text of one event: a release of very many rows.
const maxEvent = 256 << 20

// readEvents reads Server-Sent Events until f returns false or the text ends,
// which is an error. An id without an event, which says that others up to it
// were of other tables, is an lv.Event that has only the Seq. An event longer
// than limit is lv.ErrCompacted, as is one that the server says is too long:
// the snapshot has what it says, and is read row by row.
func readEvents(r io.Reader, limit int, f func(lv.Event) bool) error {
	tooLong := fmt.Errorf("%w: the next event has more than %d bytes", lv.ErrCompacted, limit)
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, min(limit, 64<<10)), limit)
	var name string
	var data []byte
	var id int64
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) > 0 {
			field, value, _ := bytes.Cut(line, []byte(":"))
			value = bytes.TrimPrefix(value, []byte(" "))
			switch string(field) {
			case "event":
				name = string(value)
			case "data":
				if len(data)+len(value) > limit {
					return tooLong
				}
				data = append(data, value...)
			case "id":
				id, _ = strconv.ParseInt(string(value), 10, 64) // one that is none says nothing
			}
			continue
		}
		if name == "compacted" {
			return lv.ErrCompacted
		}
		if len(data) > 0 {
			var e wire.Event
			if err := json.Unmarshal(data, &e); err != nil {
				return fmt.Errorf("lv/replica: reading an event: %w", err)
			}
			if !f(e.Event()) {
				return nil
			}
		} else if id > 0 && !f(lv.Event{Seq: id}) {
			return nil
		}
		name, data, id = "", data[:0], 0
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return tooLong
	case err != nil:
		return err
	}
	return errors.New("lv/replica: the feed ended")
}
