//go:build !unix

package embedded

// reserve does nothing where sockets are handled differently.
func reserve(int) (release func()) { return func() {} }
