package sandbox

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	maxReported = 100 // processes in a report
	maxCommand  = 200 // bytes of a command in a report
)

// pids returns the processes of the sandbox without its supervisor.
func pids() []int {
	f, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	var out []int
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil && n > 1 {
			out = append(out, n)
		}
	}
	return out
}

// running returns the processes that have not ended, by what they call themselves.
func running(except ...int) []Process {
	var out []Process
	for _, pid := range pids() {
		if slices.Contains(except, pid) {
			continue
		}
		if len(out) == maxReported {
			break
		}
		if p, err := processOf(pid); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// processOf returns a process that has not ended.
func processOf(pid int) (Process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Process{}, err
	}
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:])) // the first is the third of proc(5)
	if open < 0 || end < open || len(fields) < 20 || strings.ContainsAny(fields[0], "ZX") {
		return Process{}, unix.ESRCH
	}
	p := Process{PID: pid, Name: string(stat[open+1 : end]), Command: command(pid)}
	if p.Parent, err = strconv.Atoi(fields[1]); err != nil {
		return Process{}, err
	}
	p.Started, err = strconv.ParseUint(fields[19], 10, 64)
	return p, err
}

func command(pid int) string {
	f, err := os.Open(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	defer f.Close()
	line := make([]byte, maxCommand)
	n, _ := io.ReadFull(f, line)
	return string(bytes.TrimRight(bytes.ReplaceAll(line[:n], []byte{0}, []byte{' '}), " "))
}
