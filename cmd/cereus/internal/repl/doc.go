// Package repl is the inside of `cereus repl`: commands that a person or a script
// types, answered by a client of the client protocol.
package repl
