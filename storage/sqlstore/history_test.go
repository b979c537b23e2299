package sqlstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/storage/sqlstore"
)

func TestWhatADomainDoesInANewHistoryIsALineAndTwoStatements(t *testing.T) {
	given, begin, locked, err := sqlstore.ParseBeginning("-- lock: events\nSELECT 1;\n\nUPDATE x SET n = {base};\n")
	require.NoError(t, err)
	require.Equal(t, []string{"SELECT 1", "\nUPDATE x SET n = {base}"}, []string{given, begin})
	require.True(t, locked)
	_, _, locked, err = sqlstore.ParseBeginning("-- lock: none\nSELECT 1;\nUPDATE x;\n")
	require.NoError(t, err)
	require.False(t, locked)
	for _, script := range []string{
		"", "SELECT 1;\nUPDATE x;\n", "-- lock: rows\nSELECT 1;\nUPDATE x;\n", "-- lock: none\n", "-- lock: none\nSELECT 1;\n",
		"-- lock: none\nSELECT 1;\nUPDATE x", "-- lock: none\nSELECT 1;\nUPDATE x;\nUPDATE y;\n",
	} {
		_, _, _, err := sqlstore.ParseBeginning(script)
		require.Error(t, err, script)
	}
}
