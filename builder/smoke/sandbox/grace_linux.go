package sandbox

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	// grace is how long processes may take to end after the program that they belong to: those of a pipe,
	// for example.
	grace = 50 * time.Millisecond
	// longGrace is the same for processes that run or wait for a processor: on a busy machine that can be
	// long before they come to their end.
	longGrace = 100 * grace
)

// over reports whether processes have had the time to end since the program that they belong to has.
func over(ended time.Time, left []Process) bool {
	return overdue(ended) || time.Since(ended) > grace && !slices.ContainsFunc(left, Process.awake)
}

// overdue reports whether no process gets more time.
func overdue(ended time.Time) bool { return time.Since(ended) > longGrace }

// awake reports whether a thread of the process runs or waits for a processor. One that waits for
// something else is not about to end.
func (p Process) awake() bool {
	dir := fmt.Sprintf("/proc/%d/task", p.PID)
	threads, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(threads, func(thread os.DirEntry) bool {
		stat, _ := os.ReadFile(dir + "/" + thread.Name() + "/stat")
		_, behind, _ := strings.Cut(string(stat[max(strings.LastIndexByte(string(stat), ')'), 0):]), ") ")
		return strings.HasPrefix(behind, "R")
	})
}
