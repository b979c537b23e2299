// Package vault has the keys of package sync: what leaves the device is sealed
// with them, and a passphrase opens them.
//
//	cloudsync.Config{Vault: vault.New("correct horse battery staple"), …}
//
// Contents are compressed with Zstandard and encrypted with AES-256-GCM, under
// keys that HKDF-SHA-256 derives from the keys of the repository and a salt of
// each object. A passphrase opens them through Argon2id, with 19 MiB and 2
// passes, less than a tenth of a second. A remote sees the names and lengths of
// objects and when they come and go, and in the object "config" the random number
// of the repository.
package vault
