// Package github lists the releases of a repository on GitHub, or on GitHub
// Enterprise Server, each with the asset that is for this system:
//
//	update.Package{Name: "demo/app", Source: &github.Source{Repository: "owner/app"}, Steps: steps}
//
// What has not changed is neither sent again nor counted against the rate limit,
// and the API is left alone for as long as it asks for ([RateLimitError]).
//
// Read source.go first: [Source], and how a release of GitHub becomes one of
// update. Then api.go, what is asked for and how; checksums.go, lists of
// digests; errors.go. Package update/source/internal/asset finds the file for
// a system by its name.
package github
