//go:build !unix

package acceptor

func runServer() int { return 1 }
