// Package source says where versions come from. It has the plainest place,
// [Static], a fixed list. What asks a server is a package of its own, so that
// a program links only what it uses; each has a type Source:
//
//   - [github.com/upkeep-go/upkeep/update/source/goproxy]: the versions of a
//     Go module, by a module proxy.
//   - [github.com/upkeep-go/upkeep/update/source/github]: the releases of a
//     repository, with the file for this system.
//   - [github.com/upkeep-go/upkeep/update/source/manifest]: a signed list of
//     versions, at any web server. For a program that replaces itself it is
//     the one to take: who can write to the server cannot forge it.
//
// A source of your own is an update.Source, which has one method. Read
// source.go first; internal/web is what the other packages ask servers by.
package source
