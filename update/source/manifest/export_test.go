package manifest

// The decoders of what has been signed, for fuzzers that cannot sign.
var (
	DecodeManifest = decodeManifest
	DecodeRotation = decodeRotation
)
