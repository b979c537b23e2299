package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/lv/wire"
)

func FuzzReadSnapshot(f *testing.F) {
	f.Add([]byte(`{"table":{"app":"a","schema":"b"},"seq":1,"after":2,"strategies":[{"id":"1","rules":[{"field":"x","relation":"exists"}],"shows":{"object_id":"a","version":"3"}}],"envs":{"":[{"object_id":"a","version":1,"content":{"a":1},"ctime":1,"mtime":2}],"g":[]}}`))
	f.Add([]byte(`{"envs":{"":[]},"more":[1,{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		table, snapshot, err := wire.ReadSnapshot(bytes.NewReader(text))
		if err != nil {
			return
		}
		var first, second bytes.Buffer
		if err := wire.WriteSnapshot(&first, table, snapshot); err != nil {
			var bad *json.MarshalerError
			require.True(t, errors.As(err, &bad), "%v", err)
			return
		}
		again, copied, err := wire.ReadSnapshot(bytes.NewReader(first.Bytes()))
		require.NoError(t, err, "%s", first.Bytes())
		require.NoError(t, wire.WriteSnapshot(&second, again, copied))
		require.Equal(t, first.String(), second.String())
	})
}
