// Package feed reads and makes release feeds: signed metadata and images as
// static files, for which any web server is enough. The command upkeep-feed
// makes them from a shell.
//
// A [Publisher] makes a feed in a folder. A device reads it by [HTTP] or [Dir],
// as its firmware.Feed, and trusts nothing of it but what [Keys], its
// firmware.Verifier, has found signed.
//
// # What a feed has
//
// The catalog, which is the one file that changes, and objects, which are named
// by the SHA-256 of their bytes in hexadecimal and never change. The catalog is
// JSON with every rotation of keys and a DSSE envelope, whose payload lists the
// releases; each names the object that is its index, and an index names the
// objects that have the image, segment by segment: compressed against a window
// of an earlier release's image (patch), as chunks of which a device may have
// some whatever it runs (chunks), and compressed by itself (zstd). What cannot
// be compressed zstd stores as it is, so that an image is nowhere raw. Members of
// the JSON that a later version has added are ignored by a device; a Publisher,
// which would lose them, refuses them.
//
// An image is to be one that is not compressed itself, such as ext4 or erofs
// without compression: the feed compresses it, and two builds of a compressed
// file system have nothing in common that a patch could use.
//
// Read publisher.go, then keys.go and http.go.
package feed
