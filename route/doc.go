// Package route parses and prints routes, the addresses of handlers and remotes:
// serverType.service.method, or service.method on the server itself (wire.md 3.3).
package route
