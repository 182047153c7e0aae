package clusterpb

import (
	_ "example.test/bad/component"    // want: cluster/clusterpb (mechanism) imports component (component), a floor above
	_ "example.test/bad/session/keys" // want: cluster/clusterpb may not import session/keys
)
