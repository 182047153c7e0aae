package main

import (
	_ "example.test/bad/cluster/internal/x" // want: an example imports cluster/internal/x, which its readers cannot
	_ "example.test/bad/component"
	_ "example.test/bad/internal/lifecycle" // want: an example imports internal/lifecycle, which its readers cannot
)
