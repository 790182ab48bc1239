package sandbox

import (
	"errors"
	"fmt"
	"path"
)

// Watch tells the caller when programs of the sandbox begin and end, and what its first process executes.
// What it tells of paths is what a process asked for, which it can change while the kernel reads it, and
// links in it are not followed. A program that makes its own seccomp listener gets EBUSY.
//
// The functions are called one after the other, and all before [Run] returns.
type Watch struct {
	// Programs are patterns of [path.Match] for the absolute paths of the programs to tell about.
	Programs []string
	// Began is called before such a program is executed, once for a process and a path. The process that
	// executes it waits until Began returns and what it returned is done; others of the sandbox go on.
	// An error ends the sandbox and is the one of Run. An access that is nil changes nothing.
	Began func(Exec) (*Access, error)
	// Ending is called when such a program asks for its end, which waits as in Began. It is not called for
	// one that a signal ends. With it, the end of each process of the sandbox takes some microseconds more.
	Ending func(Exec) (*Access, error)
	// Ended is called when that process has ended, before Began is called for one that was started later.
	// Nothing waits for it. Outlived in it are those that run still after a moment.
	Ended func(Exec)
	// Became is called when the process of the spec has executed a program: that of the spec, and those
	// that it becomes. It is called for the last one too, however soon that ends. Nothing waits for it.
	Became func(Program)
}

// Exec is a program that is executed in the sandbox.
type Exec struct {
	Path string
	PID  int // in the sandbox
	// Direct says that the parent of the process is the program of the [Spec].
	Direct bool
	// Outlived are the processes that run after the end of a direct one, without the spec's program and
	// those that descend from it. At the beginning it is those that were not told about yet.
	Outlived []Process
}

// Access makes a directory of the sandbox read-only for all its processes, except for some of the
// directories in it. No process can change that, and none can rename or link from one into another.
type Access struct {
	// Dir is the target of a mount of the spec.
	Dir string
	// Parts are names of directories in Dir, which have to exist; links are refused. They count in the
	// first Access of Dir only.
	Parts []string
	// Writable are those of the parts that can be written to, until the next Access.
	Writable []string
}

// BusyError means that a directory could not be made read-only, since a process has a file in it open
// for writing. All processes were ended.
type BusyError struct {
	Dir string // in the sandbox
	// Path is the file, and Process has it open. Both are not trusted, and empty if they were not found.
	Path    string
	Process Process
}

func (e *BusyError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("sandbox: %s cannot be made read-only: a process has a file in it open for writing", e.Dir)
	}
	return fmt.Sprintf("sandbox: %s cannot be made read-only: process %q has %q open for writing", e.Dir, e.Process.Name, e.Path)
}

func (w *Watch) check() error {
	if w == nil {
		return nil
	}
	if len(w.Programs) == 0 && w.Became == nil {
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
