package config

import (
	_ "example.test/bad/config/units"
	_ "example.test/bad/errs" // want: config may not import errs
)
