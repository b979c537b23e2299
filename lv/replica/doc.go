// Package replica gives another process the reads of a table, from memory, out
// of a server's feed of changes. It keeps its last state in a file, and serves
// from it while the server is away.
//
// The server is one that has package httpadapter, of which a replica uses two
// routes:
//
//	GET snapshot?appid&schemaid       all that readers see of the table
//	GET changes?appid&schemaid&after  Server-Sent Events: what has changed after
//	                                  that event; "event: compacted" when that is
//	                                  no longer kept, of another history or too
//	                                  long to be sent: the snapshot is read anew;
//	                                  comments so that it is never silent for 45
//	                                  seconds. The header Upkeep-History names
//	                                  the lv.TableInfo.History of now
//
// To read another feed, implement lv.Reader.
//
// To change the package, read replica.go (what users see), source.go (the
// lv.Reader over HTTP: the state to begin with, and events for ever), stream.go
// (Server-Sent Events), history.go (whether the server is the one that it was)
// and file.go (the state on disk); internal/lv/wire has the JSON of both sides.
package replica
