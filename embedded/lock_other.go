//go:build !unix

package embedded

// lockDir does nothing where there is no flock.
func lockDir(string) (func() error, error) { return func() error { return nil }, nil }
