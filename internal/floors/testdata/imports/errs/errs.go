// Package errs imports a floor above.
package errs

import (
	_ "errors"

	_ "example.test/bad/cluster"           // want: errs (facts) imports cluster (mechanism), a floor above
	_ "example.test/bad/internal/dispatch" // want: errs (facts) imports internal/dispatch (service), a floor above
	_ "example.test/bad/route"             // the same floor is fine
)
