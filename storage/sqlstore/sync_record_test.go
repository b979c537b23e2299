package sqlstore_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/sqlite"
	cloudsync "github.com/upkeep-go/upkeep/sync"
)

// TestWhatIsStoredOfAFolderDoesNotChange: it may grow, but what is here must be
// read for ever: databases have it. That no field is forgotten is found out by the
// suite, on every engine.
func TestWhatIsStoredOfAFolderDoesNotChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := sqlite.Open(sqlite.Config{Path: path})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	_, err = db.SyncState("notes").Update(t.Context(), 5, []cloudsync.Entry{{Key: "k\xff", Value: []byte("v\x00")}}, cloudsync.Event{
		Run: "run", Kind: cloudsync.EventProgress, State: cloudsync.StateRunning, Step: cloudsync.StepUpload, Percent: 50,
		Progress: cloudsync.Progress{Files: 1, AllFiles: 2, Bytes: 3, AllBytes: 4}, Path: "a<\xff", Actor: "ada", Message: "begun",
	}, cloudsync.Event{})
	require.NoError(t, err)

	raw, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	defer raw.Close()
	for query, want := range map[string]string{
		"SELECT token FROM upkeep_sync_folder WHERE folder = CAST('notes' AS BLOB)":     "5",
		"SELECT hex(entry_key) || ' ' || hex(value) FROM upkeep_sync_entry":             "6BFF 7600",
		"SELECT record FROM upkeep_sync_event WHERE seq = 2 AND run = CAST('' AS BLOB)": `{}`,
		"SELECT record FROM upkeep_sync_event WHERE seq = 1 AND run = CAST('run' AS BLOB)": `{"kind":"progress","state":"running","step":"upload","percent":50,` +
			`"progress":{"files":1,"all_files":2,"bytes":3,"all_bytes":4},"path":"a\u003c` + "\U0010ffff" + `","actor":"ada","message":"begun"}`,
	} {
		var got string
		require.NoError(t, raw.QueryRow(query).Scan(&got), query)
		require.Equal(t, want, got, query)
	}
}

// TestWhatIsStoredOfARemoteDoesNotChange looks at the rows of a body of two pieces.
func TestWhatIsStoredOfARemoteDoesNotChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := sqlite.Open(sqlite.Config{Path: path})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.NoError(t, db.Remotes().Create(t.Context(), "Notes"))
	r, err := db.Remotes().Open(t.Context(), "Notes")
	require.NoError(t, err)
	require.NoError(t, r.PutIfAbsent(t.Context(), "d/one", section(256<<10+3)))

	raw, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	defer raw.Close()
	var got string
	require.NoError(t, raw.QueryRow(`SELECT CAST(r.name AS TEXT) || ' ' || CAST(r.folded AS TEXT) || ' ' || CAST(o.name AS TEXT) || ' ' || o.size || ' ' ||
(SELECT group_concat(p.n || ':' || length(p.content)) FROM upkeep_sync_piece AS p WHERE p.body = o.body ORDER BY p.n)
FROM upkeep_sync_remote AS r JOIN upkeep_sync_object AS o ON o.remote = r.id`).Scan(&got))
	require.Equal(t, "Notes NOTES d/one 262147 0:262144,1:3", got)
}

// section is a body of zeros.
type section int64

func (s section) Size() int64 { return int64(s) }

func (s section) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }
