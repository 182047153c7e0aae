package cluster

import _ "example.test/bad/internal/lifecycle"
