// Package cereus is the root of a bad module.
package cereus

import (
	_ "example.test/bad/cluster"
	_ "example.test/bad/errs"
)
