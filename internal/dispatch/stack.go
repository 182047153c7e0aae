package dispatch

import "runtime"

// stack is the stack of the calling goroutine, for the log only, at most 8 KiB.
func stack() string {
	buf := make([]byte, 8<<10)
	return string(buf[:runtime.Stack(buf, false)])
}
