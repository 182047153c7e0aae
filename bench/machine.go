package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// machine is what the figures depend on.
type machine struct {
	Date   string `json:"date"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Load   string `json:"load"` // averages over 1, 5 and 15 minutes before the start
}

func describeMachine() machine {
	return machine{
		Date: time.Now().UTC().Format("2006-01-02 15:04 MST"), Cores: runtime.NumCPU(), Go: runtime.Version(),
		CPU: cpuModel(), Kernel: firstWords("/proc/sys/kernel/osrelease", 1), Load: firstWords("/proc/loadavg", 3),
	}
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d cores of %s, Linux %s, %s, load average %s", m.Date, m.Cores, m.CPU, m.Kernel, m.Go, m.Load)
}

// firstWords is empty where there is no such file.
func firstWords(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	words := strings.Fields(string(b))
	return strings.Join(words[:min(n, len(words))], " ")
}

func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
