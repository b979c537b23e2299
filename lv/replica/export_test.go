package replica

// ReadEvents gives tests the reader of the feed.
var ReadEvents = readEvents
