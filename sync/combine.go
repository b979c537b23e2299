package sync

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/upkeep-go/upkeep/internal/canonjson"
	"github.com/upkeep-go/upkeep/internal/tree"
)

// maxMerge is how many bytes a content has at most that is merged.
const maxMerge = 16 << 20

// combine merges two edits of a file by what Config.Merge has for it, or returns
// nil: both are kept. What is merged is sent with the commit.
func (w *work) combine(u *upload) func(ctx context.Context, path string, base, ours, theirs *tree.Entry) (*tree.Entry, error) {
	return func(ctx context.Context, name string, base, ours, theirs *tree.Entry) (*tree.Entry, error) {
		merge := w.Merge[strings.ToLower(path.Ext(name))]
		if merge == nil || max(ours.Size, theirs.Size) > maxMerge || base != nil && (base.Kind != tree.File || base.Size > maxMerge) {
			return nil, nil
		}
		var sides [3][]byte
		for i, e := range []*tree.Entry{base, ours, theirs} {
			if e == nil {
				continue
			}
			content, err := w.contentAt(ctx, name, e, e == ours)
			if err != nil {
				return nil, fmt.Errorf("merging file %q: %w", name, err)
			}
			sides[i] = content
		}
		merged, ok := bothWays(merge, sides[0], sides[1], sides[2])
		if !ok {
			return nil, nil
		}
		e := *theirs
		e.Size, e.Time, e.Chunks = int64(len(merged)), max(ours.Time, theirs.Time), nil
		err := w.cut(ctx, bytes.NewReader(merged), func(id tree.ID, chunk []byte) error {
			e.Chunks = append(e.Chunks, id)
			return u.add(ctx, id, chunk)
		})
		w.merged[name] = true
		return &e, err
	}
}

// bothWays merges as either side would. If the two do not get the same, or one of
// them cannot, it returns false.
func bothWays(merge Merge, base, ours, theirs []byte) ([]byte, bool) {
	here, err := merge(bytes.Clone(base), bytes.Clone(ours), bytes.Clone(theirs))
	if err != nil || len(here) > maxMerge {
		return nil, false
	}
	here = bytes.Clone(here)
	there, err := merge(base, theirs, ours)
	return here, err == nil && bytes.Equal(here, there)
}

// contentAt returns the content of an entry: of one that is here from the file,
// which has to be as it was scanned, and else from the remote.
func (w *work) contentAt(ctx context.Context, name string, e *tree.Entry, here bool) ([]byte, error) {
	content := make([]byte, 0, e.Size)
	if !here {
		for _, id := range e.Chunks {
			chunk, err := w.r.blob(ctx, w.forest.live, id)
			if err != nil {
				return nil, err
			}
			content = append(content, chunk...)
		}
		return content, nil
	}
	n := 0
	err := w.chunks(ctx, name, func(id tree.ID, chunk []byte) error {
		if n >= len(e.Chunks) || e.Chunks[n] != id {
			return errOther
		}
		n++
		content = append(content, chunk...)
		return nil
	})
	if isNotFound(err) || err == nil && n != len(e.Chunks) {
		err = errOther
	}
	return content, err
}

var errOther = fmt.Errorf("%w: it is not as it was scanned", ErrStale)

// MergeJSON is the Merge of JSON objects, member by member, at every depth: an
// edit beats a deletion. Members that are no objects on both sides are merged
// only if one side has left them alone, and arrays are one value. Values are the
// same if they mean the same, but for numbers, which are as they were written.
// The result has its names sorted, and lines of their own if both sides had
// several lines.
func MergeJSON(base, ours, theirs []byte) ([]byte, error) {
	if base == nil {
		base = []byte("{}")
	}
	var sides [3]json.RawMessage
	for i, content := range [][]byte{base, ours, theirs} {
		canonical, err := canonjson.Canonical(content)
		if err != nil {
			return nil, err
		}
		sides[i] = canonical
	}
	merged, err := mergeValues(sides[0], sides[1], sides[2], 0)
	if err != nil {
		return nil, err
	}
	if merged, err = canonjson.Canonical(merged); err != nil {
		return nil, err
	}
	lines := func(content []byte) bool { return bytes.Contains(bytes.TrimSpace(content), []byte("\n")) }
	if !lines(ours) || !lines(theirs) {
		return merged, nil
	}
	var text bytes.Buffer
	if err := json.Indent(&text, merged, "", "  "); err != nil {
		return nil, err
	}
	text.WriteByte('\n')
	return text.Bytes(), nil
}

// errBoth reports a value that both sides have changed.
var errBoth = errors.New("sync: both sides have changed a value")

// mergeValues merges values in their canonical form; nil is none.
func mergeValues(base, ours, theirs json.RawMessage, depth int) (json.RawMessage, error) {
	const deepest = 64 // below it objects are one value, as arrays are
	switch {
	case bytes.Equal(ours, theirs), bytes.Equal(base, ours) && theirs != nil, ours == nil:
		return theirs, nil
	case bytes.Equal(base, theirs), theirs == nil:
		return ours, nil
	case !isObject(ours), !isObject(theirs), depth == deepest:
		return nil, errBoth
	}
	var sides [3]map[string]json.RawMessage
	for i, value := range []json.RawMessage{base, ours, theirs} {
		if !isObject(value) {
			continue
		}
		if err := json.Unmarshal(value, &sides[i]); err != nil {
			return nil, err
		}
	}
	merged := make(map[string]json.RawMessage)
	for _, side := range sides[1:] {
		for name := range side {
			was, here, there := sides[0][name], sides[1][name], sides[2][name]
			deleted := was != nil && (here == nil && bytes.Equal(was, there) || there == nil && bytes.Equal(was, here))
			if _, done := merged[name]; done || deleted {
				continue
			}
			value, err := mergeValues(was, here, there, depth+1)
			if err != nil {
				return nil, err
			}
			merged[name] = value
		}
	}
	return json.Marshal(merged)
}

func isObject(value json.RawMessage) bool { return len(value) > 0 && value[0] == '{' }
