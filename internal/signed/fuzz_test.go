package signed_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/signed"
)

func FuzzRotation(f *testing.F) {
	f.Add([]byte(`{"product":"a","serial":1,"keys":["AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := signed.DecodeRotation(payload)
		if err != nil {
			return
		}
		require.Positive(t, r.Serial)
		require.NotEmpty(t, r.Keys)
		for _, k := range r.Keys {
			require.Len(t, k, 32)
		}
	})
}
