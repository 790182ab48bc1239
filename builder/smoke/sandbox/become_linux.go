package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"
)

// follower knows what a process executes. Its methods may be called with nil.
type follower struct {
	pid   int
	at    string   // which execution of a program that was, when it asked for the next
	asked *Program // what it has asked for, and may execute already
	since time.Time
	still time.Time // when it was last seen to execute the same since then
}

// doubtful is after what time a process that still executes the same counts as one that could not execute
// what it asked for.
const doubtful = time.Second

// asks is called while the process waits for the execution of a program.
func (f *follower) asks(p Program) {
	f.at, f.asked, f.since = execution(f.pid, os.Readlink), &p, time.Now()
	f.still = f.since
}

// look returns what the process has become since it asked for it.
func (f *follower) look() (p Program, is bool) {
	if f == nil || f.asked == nil {
		return p, false
	}
	now := time.Now()
	at := execution(f.pid, os.Readlink)
	if at == f.at {
		f.still = now
	}
	if at == "" || at == f.at {
		return p, false
	}
	p, f.asked = *f.asked, nil
	p.Executable, _, _ = strings.Cut(at, "\x00")
	return p, true
}

// gone is called after look when the process asks for its end: it has not become what it asked for.
func (f *follower) gone() {
	if f != nil {
		f.asked = nil
	}
}

// killed returns what a process has become that a signal has ended since it asked for it.
func (f *follower) killed() (p Program, is bool) {
	if f == nil || f.asked == nil || f.still.Sub(f.since) > doubtful {
		return p, false
	}
	return *f.asked, true
}

// patience returns after how many milliseconds look is worth a call, or -1.
func (f *follower) patience() int {
	if f == nil || f.asked == nil {
		return -1
	}
	return int(min(max(time.Since(f.since)/8, time.Millisecond), 100*time.Millisecond) / time.Millisecond)
}

// execution identifies what a process executes: by the executable and the addresses of its code, stack
// and environment. It returns "" when the process has ended. The executable is read last, by readlink: one
// that is read before the process executes another program would stand beside the addresses of that.
func execution(pid int, readlink func(string) (string, error)) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 49 { // the first is the third of proc(5)
		return ""
	}
	executable, err := readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return ""
	}
	return executable + "\x00" + strings.Join(append(fields[23:26:26], fields[42:49]...), " ")
}
