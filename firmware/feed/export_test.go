package feed

import (
	"context"
	"crypto/ed25519"
	"net/http"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/signed"
)

// Pack is that of a packer that has packed what was packed before.
func (p *Packer) Pack(raw, window []byte) ([]byte, error) { return p.pack(raw, window) }

// Packer packs.
type Packer struct{ packer }

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

// Seal makes a file of a catalog's bytes, whatever they are.
func Seal(payload []byte, keys []ed25519.PrivateKey) ([]byte, error) {
	return seal(typeCatalog, payload, keys)
}

// SealBundle makes the head of a bundle of its bytes, whatever they are.
func SealBundle(payload []byte, keys []ed25519.PrivateKey) ([]byte, error) {
	return seal(typeBundle, payload, keys)
}

func seal(typ string, payload []byte, keys []ed25519.PrivateKey) ([]byte, error) {
	var f file
	var err error
	if f.Signed, err = signed.Seal(typ, payload, keys...); err != nil {
		return nil, err
	}
	return encode(f)
}
