package js

import "embed"

//go:embed cereus.js
var files embed.FS

// Files holds cereus.js, for servers that deliver it to browsers.
func Files() embed.FS { return files }
