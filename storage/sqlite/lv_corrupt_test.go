package sqlite_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/lv"
	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/sqlite"
)

// aFileOfRows makes a database of rows that are all published, and returns the
// bytes of its file and the contents.
func aFileOfRows(t *testing.T) (file []byte, contents map[string]json.RawMessage) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := sqlite.Open(sqlite.Config{Path: path, Relaxed: true})
	require.NoError(t, err)
	service, err := lv.New(lv.Config{Store: db})
	require.NoError(t, err)
	table := service.Table("app", "rows")
	contents = map[string]json.RawMessage{}
	var rows []string
	for i := range 40 {
		row := fmt.Sprintf("row %02d", i)
		content := fmt.Sprintf(`{"of":%q,"text":"%s","n":%d}`, row, bytes.Repeat([]byte{byte('a' + i%26)}, 20*i), 1_000_000+i)
		if i%7 == 0 {
			content = fmt.Sprintf(` { "z" : %d,  "a":[1, 2,"%d"] }`, i, 1_000_000+i) // not as it is compared
		}
		contents[row] = json.RawMessage(content)
		_, err := table.Save(t.Context(), row, contents[row], lv.By{Actor: "ann"})
		require.NoError(t, err)
		rows = append(rows, row)
	}
	_, err = table.Publish(t.Context(), lv.Production, lv.By{Actor: "ann"}, rows...)
	require.NoError(t, err)
	require.NoError(t, service.Close())
	require.NoError(t, db.Close())
	file, err = os.ReadFile(path)
	require.NoError(t, err)
	return file, contents
}

// flipped reads all rows of a file after some bytes of it have been flipped.
func flipped(t *testing.T, file []byte) (shown map[string]json.RawMessage, damaged []string, failed error) {
	path := filepath.Join(t.TempDir(), "state.db")
	require.NoError(t, os.WriteFile(path, file, 0o600))
	db, err := sqlite.Open(sqlite.Config{Path: path, Relaxed: true})
	if err != nil {
		return nil, nil, err
	}
	defer db.Close()
	service, err := lv.New(lv.Config{Store: db})
	require.NoError(t, err)
	defer service.Close()
	shown = map[string]json.RawMessage{}
	for _, v := range []lv.View{{}, {Working: true}} {
		for row, err := range service.Table("app", "rows").Rows(t.Context(), v) {
			switch {
			case row.Corrupt:
				require.ErrorIs(t, err, storage.ErrCorrupt)
				require.Nil(t, row.Content)
				damaged = append(damaged, row.ID)
			case err != nil:
				return nil, nil, err
			default:
				require.True(t, json.Valid(row.Content))
				shown[row.ID] = row.Content
			}
		}
	}
	return shown, damaged, nil
}

func TestAFlippedByteOfAContentIsFoundAndTheOtherRowsAreServed(t *testing.T) {
	t.Parallel()
	file, contents := aFileOfRows(t)
	random := rand.New(rand.NewPCG(1, 2))
	found := 0
	for row, content := range contents {
		for range 2 {
			at, bit := random.IntN(len(content)), byte(1)<<random.IntN(8)
			bad := bytes.Clone(content)
			bad[at] ^= bit
			want, _ := lv.Digest(content)
			if got, err := lv.Digest(bad); err == nil && got == want {
				continue // another kind of white space
			}
			whole := bytes.ReplaceAll(file, content, bad)
			if bytes.Equal(whole, file) {
				continue // it lies on several pages
			}
			found++
			shown, damaged, err := flipped(t, whole)
			require.NoError(t, err)
			require.Equal(t, []string{row, row}, damaged, "%q", bad)
			require.Len(t, shown, len(contents)-1)
			for other, got := range shown {
				require.Equal(t, string(contents[other]), string(got))
			}
		}
	}
	require.Greater(t, found, 50)
}

func TestAFlippedByteAnywhereShowsNoOtherContent(t *testing.T) {
	t.Parallel()
	file, contents := aFileOfRows(t)
	random := rand.New(rand.NewPCG(3, 4))
	known := map[string]bool{}
	for _, content := range contents {
		known[string(content)] = true
	}
	files, refused, damaged := 25, 0, 0
	if os.Getenv("UPKEEP_FULL") == "1" {
		files = 100
	}
	for range files {
		bad := bytes.Clone(file)
		bad[random.IntN(len(bad))] ^= byte(1) << random.IntN(8)
		shown, rows, err := flipped(t, bad)
		if err != nil {
			refused++
		}
		damaged += len(rows)
		for row, content := range shown {
			require.True(t, known[string(content)], "%q: %s", row, content)
		}
	}
	t.Logf("of %d files %d were refused; %d rows were damaged", files, refused, damaged)
}
