// Package upkeep keeps running things up to date.
package upkeep
