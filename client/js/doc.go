// Package js carries the JavaScript client, the file cereus.js beside it, into
// Go programs that serve it; examples/chat does.
package js
