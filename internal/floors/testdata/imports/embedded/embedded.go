package embedded

import (
	_ "example.test/bad"
	_ "example.test/bad/errs"
)
