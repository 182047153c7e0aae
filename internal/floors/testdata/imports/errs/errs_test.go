package errs_test

import _ "example.test/bad/embedded" // tests may
