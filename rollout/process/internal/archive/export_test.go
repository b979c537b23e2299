package archive

// Unpack unpacks into a folder that may have something in it.
var Unpack = unpack
