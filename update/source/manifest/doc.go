// Package manifest is a signed list of versions: the [Source] that reads one
// for an Updater, and the format, for those who make one. The command
// upkeep-manifest makes them.
//
//	&manifest.Source{
//		URL: "https://example.org/manifest.json", Keys: publishers, State: manifest.StateFile("manifest.state"),
//	}
//
// A manifest is one JSON file, a [File]. It holds a [Manifest] and the keys'
// rotations, each in a DSSE envelope: the signature, by ed25519, is over the
// exact bytes that are carried and over what they are, never over JSON that
// was written again. One signature by a trusted key is enough, or as many keys
// must have signed as [Source].Threshold says: a key counts once, however often it
// signs.
//
// Read source.go first, which a program uses, and statefile.go, where it
// remembers. Then the format: manifest.go, what is signed; file.go, how; state.go,
// which of it is accepted. How anything is signed, and JSON that every parser reads
// alike, is in internal/signed.
//
// # Keys
//
// A program is built with the public keys it trusts. A [Rotation], signed by
// one of the trusted keys, or as many as it takes before it, replaces them all,
// and says how many it takes from then on. Rotations stay in the file for ever, so
// that a program that slept through several follows them one by one, without the
// private keys of long ago. What a program has followed it does not forget: the
// old keys are of no more use, and cannot come back.
//
// After a theft, rotate so that fewer of the old keys stay than it took and than
// it takes then: where one of two is enough, replace both. Nothing that the old keys have
// signed counts then, so a program that follows forgets the highest serials that
// it saw of them, in all channels of the product: one that a thief made as high as
// can be locks nobody out. MinSerial still counts. While more of the old keys
// stay, an old manifest of theirs could come again, and the serials go on. So they
// do where a program of other keys shares the state and has accepted a manifest
// under those.
//
// # What is held, in the terms of The Update Framework
//
//   - Arbitrary software: every artifact is named with its size and SHA-256 in
//     what is signed. Who has neither a trusted key nor the publisher's machine
//     can offer nothing.
//   - Rollback: a manifest has a serial that only rises. One below the highest
//     seen, or another one with the same serial, is refused, also after a
//     restart. A program that has seen none yet refuses those below
//     [Check].MinSerial.
//   - Indefinite freeze: a manifest expires. Who can hold back the new one can
//     keep a program where it is until then, and not longer without its
//     noticing. So can a wrong clock, of which see [ErrClock].
//   - Mix and match: product, channel and all versions are signed together; a
//     manifest of another product or channel is refused, though the key is the
//     same.
//   - Endless data: the file is at most [MaxSize] bytes, and every artifact has
//     a size.
//   - Wrong software: a release has one artifact for a system, and may name the
//     version that one must have before.
//
// # What is not held
//
//   - As many stolen keys as it takes, which without a threshold is one: they
//     can sign anything, also a rotation to the thief's own keys. No key is there
//     for rotations alone. A separate key for the artifacts is half a remedy:
//     [Artifact].Signature, which the step that downloads demands, keeps the thief
//     to artifacts that the publisher made once.
//   - A serial that a thief made as high as can be, without a rotation that
//     replaces the keys: a new build with other keys alone still refuses all
//     others, until its state is deleted or it asks for another channel. So does
//     one whose state older builds had under keys that no rotation led away from.
//   - A first contact after the state was lost, beyond MinSerial: any manifest
//     that has not expired is believed, and a rotation may be held back.
//   - Keys that were rotated away and are trusted again, by a file that
//     [File.Rotate] did not make and that keeps back the rotation before, where
//     the program did not follow it: what they had signed counts again until it
//     expires. So it does in a build that raises [Source].Threshold and leaves its
//     Keys, unless as many had signed what replaced them.
//   - A threshold, in a program of a library that knew none: of the keys that a
//     rotation brings it takes one. It refuses a [State] that has a threshold in it.
//   - Slow retrieval is bounded by the HTTP client's timeout alone.
package manifest
