package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"syscall"
	"time"
)

// usage is what a process uses.
type usage struct {
	CPU        time.Duration
	Mallocs    uint64
	Allocated  uint64 // bytes, since the start
	Resident   int64  // bytes, of the process
	Heap       int64  // bytes in use, with what lies idle inside spans
	Stack      int64  // bytes
	Goroutines int
}

// takeUsage is cheap; settle is for memory.
func takeUsage(context.Context, struct{}) (usage, error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return usage{}, err
	}
	resident, err := residentBytes()
	return usage{
		CPU:     time.Duration(r.Utime.Nano() + r.Stime.Nano()),
		Mallocs: m.Mallocs, Allocated: m.TotalAlloc, Heap: int64(m.HeapInuse), Stack: int64(m.StackInuse),
		Resident: resident, Goroutines: runtime.NumGoroutine(),
	}, err
}

// settleUsage is takeUsage after everything that can be given back was.
func settleUsage(ctx context.Context, _ struct{}) (usage, error) {
	for range 3 { // pools and finalizers take more than one collection
		runtime.GC()
	}
	debug.FreeOSMemory()
	return takeUsage(ctx, struct{}{})
}

func residentBytes() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("resident memory is read from /proc: %w", err)
	}
	for line := range bytes.Lines(status) {
		var kib int64
		if n, _ := fmt.Sscanf(string(line), "VmRSS: %d kB", &kib); n == 1 {
			return kib << 10, nil
		}
	}
	return 0, errors.New("/proc/self/status has no VmRSS")
}

// profile writes a CPU profile from one order to the next.
type profile struct{ file *os.File }

func (p *profile) start(_ context.Context, path string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	p.file = f
	return path, pprof.StartCPUProfile(f)
}

// stop also writes beside it where memory was allocated so far.
func (p *profile) stop(context.Context, struct{}) (string, error) {
	pprof.StopCPUProfile()
	name := p.file.Name()
	if err := p.file.Close(); err != nil {
		return "", err
	}
	f, err := os.Create(name + ".allocs")
	if err != nil {
		return "", err
	}
	return name, errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}
