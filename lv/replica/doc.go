// Package replica gives another process the reads of a table, from memory, out
// of a server's feed of changes. It keeps its last state in a file, and serves
// from it while the server is away.
//
// The server has two routes, below any prefix, for which this package has both
// sides of the wire:
//
//	GET snapshot?appid&schemaid       WriteSnapshot of lv.Table.Snapshot
//	GET changes?appid&schemaid&after  Server-Sent Events: EventOf of the events
//	                                  after that one, as JSON, whose id is their
//	                                  Seq; "event: compacted" when they are no
//	                                  longer kept, of another history or too
//	                                  long to be sent: the snapshot is read anew;
//	                                  comments so that it is never silent for 45
//	                                  seconds. The header Upkeep-History is the
//	                                  TableInfo.History of now
package replica
