// Package childtest runs a test binary once more, as a process of its own that a
// test can kill, stop and signal: what a main_test.go does when an environment
// variable says that it is a child rather than the tests.
package childtest
