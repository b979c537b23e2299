// Package locktest has Lockers for tests of those who hold a lease: one whose
// connection can be cut, and one whose clock goes on while the machine of its
// holders sleeps.
package locktest
