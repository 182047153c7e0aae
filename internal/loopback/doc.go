// Package loopback finds TCP ports for servers that live on this machine only:
// those of tests and of development.
package loopback
