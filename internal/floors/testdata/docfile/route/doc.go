// This package says it wrong.
package route // want: package route has no doc.go that begins with "Package route"
