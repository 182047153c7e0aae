// Package errs holds the errors that can cross the wire: a code, a message and
// metadata, wrapped around a cause that stays at home.
//
// An error made on one server and returned on another still answers errors.Is
// with the sentinels of this package, because those compare code and message and
// never identity (wire.md section 4).
package errs
