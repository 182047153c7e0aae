// Package constants holds names that several packages and other processes must
// agree on and that belong to no package of their own: keys of call metadata,
// names of extensions, defaults.
package constants
