package feed

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/firmware"
	"github.com/upkeep-go/upkeep/internal/signed"
)

// load reads the catalog, if there is one, which as many of the keys must have
// signed as devices want: nobody else may have what he wrote signed.
func (w *work) load() error {
	raw, err := os.ReadFile(w.dir.path(firmware.CatalogName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if w.file, err = parseFile(raw); err == nil {
		err = decodeAll(raw, new(file))
	}
	if err != nil {
		return fmt.Errorf("the catalog: %w", err)
	}
	if w.trust, _, err = w.trust.Follow(typeRotation, w.Product, w.file.Rotations); err != nil {
		return fmt.Errorf("the rotations of keys: %w", translated(err))
	}
	payload, err := w.file.Signed.Open(typeCatalog, w.trust.Keys, w.trust.Threshold)
	if err != nil {
		return fmt.Errorf("the catalog, by the keys to sign with: %w", translated(err))
	}
	if w.catalog, err = decodeCatalog(payload); err == nil {
		err = decodeAll(payload, new(wireCatalog))
	}
	if err != nil {
		return fmt.Errorf("the catalog: %w", err)
	}
	if w.catalog.Product != w.Product {
		return fmt.Errorf("%w: %q has product %q, not %q", firmware.ErrMismatch, w.Dir, w.catalog.Product, w.Product)
	}
	if before := w.catalog.Issued; w.Time.Before(before.Add(-24 * time.Hour)) {
		return fmt.Errorf("%w: the time is %s, and the catalog was signed at %s", firmware.ErrInvalid, w.Time, before)
	}
	return nil
}

// signers are those of the keys that count, of which there must be enough.
func (w *work) signers() ([]ed25519.PrivateKey, error) {
	var keys []ed25519.PrivateKey
	for i, public := range publicOf(w.Keys) {
		if signed.Has(w.trust.Keys, public) {
			keys = append(keys, w.Keys[i])
		}
	}
	told, err := w.told()
	if err != nil {
		return nil, err
	}
	if need := max(w.trust.Threshold, told, 1); len(keys) < need {
		return nil, fmt.Errorf("%w: %d of the keys count, %d are needed", firmware.ErrSignature, len(keys), need)
	}
	return keys, nil
}

// told is how many signatures the last rotation to one of the keys asks for. The
// keys before them, which have signed it, may be gone: it is not verified, and so
// only ever asks for more.
func (w *work) told() (int, error) {
	var last signed.Rotation
	for _, e := range w.file.Rotations {
		var r signed.Rotation
		if err := decode(e.Payload, &r); err != nil {
			return 0, err
		}
		ours := slices.ContainsFunc(publicOf(w.Keys), func(k ed25519.PublicKey) bool { return signed.Has(r.Keys, k) })
		if ours && r.Product == w.Product && r.Serial > last.Serial {
			last = r
		}
	}
	return last.Threshold, nil
}

// seal signs something and returns it with the rotations.
func (w *work) seal(typ string, payload []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	keys, err := w.signers()
	if err != nil {
		return nil, err
	}
	f := w.file
	if f.Signed, err = signed.Seal(typ, payload, keys...); err != nil {
		return nil, err
	}
	text, err := encode(f)
	return append(text, '\n'), err
}

// Rotation is what a feed's keys are replaced by.
type Rotation struct {
	Keys      []ed25519.PublicKey // required: those that count from now on, 8 at most
	Threshold int                 // how many of them must sign; default: as many as before
	// Signers sign from now on, with those of Publisher.Keys that still count. So
	// many of Keys as Threshold says must be among these.
	Signers []ed25519.PrivateKey
}

// Rotate replaces the keys that count: Publisher.Keys are those before, as many
// as devices want signatures of. From then on the new ones are enough. Devices of
// any age follow.
func (p Publisher) Rotate(ctx context.Context, to Rotation) error {
	return p.change(ctx, func(w *work) error {
		serial, err := w.trust.NextSerial(w.file.Rotations, w.Time)
		if err != nil {
			return translated(err)
		}
		signers, err := w.signers()
		if err != nil {
			return err
		}
		to.Threshold = cmp.Or(to.Threshold, w.trust.Threshold)
		if to.Threshold < 1 || to.Threshold > len(to.Keys) {
			return fmt.Errorf("%w: a threshold of %d with %d keys", firmware.ErrInvalid, to.Threshold, len(to.Keys))
		}
		r := signed.Rotation{Product: p.Product, Serial: serial, Keys: to.Keys, Threshold: to.Threshold}
		if w.file.Rotations, err = signed.Rotate(typeRotation, w.file.Rotations, r, signers...); err != nil {
			return fmt.Errorf("%w: %w", firmware.ErrInvalid, err)
		}
		w.trust = signed.Trust{Serial: r.Serial, Keys: r.Keys, Threshold: r.Threshold}
		for i, public := range publicOf(to.Signers) {
			if !signed.Has(publicOf(w.Keys), public) {
				w.Keys = append(slices.Clip(w.Keys), to.Signers[i])
			}
		}
		return nil
	})
}
