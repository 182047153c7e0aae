package errs

import _ "errors"
