package sandbox

import (
	"errors"
	"fmt"
	"path"
)

// Watch tells the caller when programs of the sandbox begin and end. It observes, and protects nothing:
// the path is what the process asked for, which it can change while the kernel reads it, and links in
// it are not followed. A program that makes its own seccomp listener gets EBUSY.
type Watch struct {
	// Programs are patterns of [path.Match] for the absolute paths of the programs to tell about.
	Programs []string
	// Began is called before such a program is executed. The process that executes it waits until Began
	// returns; others of the sandbox go on. It is called once for a process and a path.
	Began func(Exec)
	// Ended is called when that process has ended, and before Began is called for one that was started
	// later. Nothing waits for it.
	Ended func(Exec)
}

// Exec is a program that is executed in the sandbox.
type Exec struct {
	Path string
	PID  int // in the sandbox
	// Direct says that the parent of the process is the program of the [Spec].
	Direct bool
	// Others are the processes that run beside this one and the program of the spec.
	Others []Process
}

func (w *Watch) check() error {
	if w == nil {
		return nil
	}
	if len(w.Programs) == 0 {
		return errors.New("sandbox: nothing to watch; name programs")
	}
	for _, pattern := range w.Programs {
		if _, err := path.Match(pattern, ""); err != nil || !path.IsAbs(pattern) {
			return fmt.Errorf("sandbox: invalid pattern %q of a program; it has to be an absolute path in the form of path.Match", pattern)
		}
	}
	return nil
}

// matches reports whether the caller wants to know of a program.
func (w *Watch) matches(program string) bool {
	for _, pattern := range w.Programs {
		if ok, _ := path.Match(pattern, program); ok {
			return true
		}
	}
	return false
}
