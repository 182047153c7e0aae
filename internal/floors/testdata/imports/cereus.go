package cereus

import (
	_ "example.test/bad/cluster"
	_ "example.test/bad/embedded" // want: . may not import embedded
)
