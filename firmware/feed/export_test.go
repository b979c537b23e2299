package feed

import (
	"context"
	"net/http"

	"github.com/upkeep-go/upkeep/firmware"
)

var Pack = pack

func (h *HTTP) Sender() *http.Client { return h.sender() }

// Sign makes c the catalog of the feed, whatever it says.
func (p Publisher) Sign(ctx context.Context, c firmware.Catalog) error {
	w, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	w.catalog.Releases = c.Releases
	return w.save()
}
