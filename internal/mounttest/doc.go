// Package mounttest lets tests mount things that nobody else sees.
package mounttest
