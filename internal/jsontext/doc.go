// Package jsontext steps over the strings of a JSON text that is known to be
// valid, for those who need a few of its keys and no tree of all of it.
package jsontext
