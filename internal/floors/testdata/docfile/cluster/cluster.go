// Package cluster has its comment in the wrong file.
package cluster // want: package cluster has no doc.go that begins with "Package cluster"
