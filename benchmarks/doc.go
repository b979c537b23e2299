// Package benchmarks does the same work with Upkeep and with other libraries,
// in the same run. It has nothing to import:
//
//	go test -run '^$' -bench . -benchtime=1x ./...
package benchmarks
