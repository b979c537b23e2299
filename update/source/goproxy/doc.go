// Package goproxy lists the versions of a Go module, as a module proxy has
// them:
//
//	update.Package{Name: "golang.org/x/tools/gopls", Source: goproxy.Source{}, Steps: steps}
//
// Read source.go first: [Source], and what it asks a proxy for. Then proxy.go:
// which proxy the go command would ask, and whether it would ask one.
package goproxy
