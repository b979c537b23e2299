package postgres_test

import (
	"testing"

	"github.com/upkeep-go/upkeep/storage"
	"github.com/upkeep-go/upkeep/storage/postgres"
	"github.com/upkeep-go/upkeep/storage/storagetest"
)

func TestEngine(t *testing.T) {
	urls := map[storage.Backend]string{}
	fresh := func(t testing.TB, r storage.Retention) storage.Backend {
		url := shared.url(shared.newSchema(t))
		db := open(t, postgres.Config{URL: url, Retention: r})
		urls[db] = url
		return db
	}
	storagetest.Run(t, storagetest.Harness{
		Open: func(t testing.TB) storage.Backend { return fresh(t, storage.Retention{}) },
		Again: func(t testing.TB, first storage.Backend) storage.Backend {
			return open(t, postgres.Config{URL: urls[first]})
		},
		Retain:   fresh,
		RealTime: true,
	})
}

