// Package errs does it right.
package errs
