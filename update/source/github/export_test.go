package github

// What decodes the texts of servers, for fuzzers.
var (
	Checksum   = checksum
	DecodePage = decodePage
	NextLink   = nextLink
)
