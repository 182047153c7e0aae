// Package lifecycle starts goroutines that somebody waits for.
//
// Every goroutine of cereus belongs to a Group, is named, and has ended when
// the Group's Stop returns nil.
package lifecycle
