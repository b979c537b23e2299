// Package routertest mounts the adapter on routers of other modules, and asks
// each for a route. It has nothing to import, and is a module of its own so
// that none of those routers is needed by who imports the adapter.
package routertest
