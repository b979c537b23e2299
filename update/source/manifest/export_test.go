package manifest

// DecodeManifest is the decoder of what has been signed, for a fuzzer that cannot
// sign.
var DecodeManifest = decodeManifest
