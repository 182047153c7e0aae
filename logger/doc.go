// Package logger makes the loggers that an app passes to its parts. There is
// no global one.
package logger
