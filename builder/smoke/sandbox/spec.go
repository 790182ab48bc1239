package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
)

// Argument is the first argument with which Run starts the calling program again. The program has to
// call [Main] with the arguments behind it.
const Argument = "sandbox-stage"

// Spec describes one run of one command.
type Spec struct {
	Root     string // the unpacked root file system, owned by the caller. Nothing in it is changed
	Writable bool   // the program can write to the root; the changes go to Scratch
	// Scratch is an empty directory of the caller, for what a writable root and mounts without a source
	// hold; else it may be empty. The caller removes it.
	Scratch string
	Mounts  []Mount
	Args    []string // the command, looked up inside the root, and its arguments
	Env     []string // all of the environment; PATH in it is where the command is looked up
	Dir     string   // where the command starts; empty means /
	UID     int      // of the program, inside
	GID     int
	Network Network
	// Hostname is the name of the machine inside; empty means "sandbox".
	Hostname string
	Limits   Limits
	Stdout   io.Writer // nil discards
	Stderr   io.Writer
	// Started, if it is set, is called in a goroutine when the program was started. Its context ends with
	// the program, and Run returns after it has returned.
	Started func(context.Context, Inside)
	Watch   *Watch // nil watches nothing
}

// Mount is a directory or file of the caller inside the sandbox.
type Mount struct {
	Source   string // absolute; if it is empty, a new directory in Scratch with the mode of /tmp
	Target   string // absolute, in the sandbox. Made if it is missing; symbolic links lead no further than the root
	ReadOnly bool
}

// Network says what the program can reach.
type Network int

const (
	// None is a loopback interface, and no other.
	None Network = iota
	// Host is the network of the caller, with its /etc/hosts and /etc/resolv.conf.
	Host
)

// Limits end a run that exceeds them. Zero means the default.
type Limits struct {
	Processes int   // processes and threads at one time: 4096
	OpenFiles int   // descriptors of one process: 65536, or what the caller may have, if less
	FileSize  int64 // bytes of one file: the limit of Bytes
	Bytes     int64 // what is added to the writable mounts and a writable root together: 10 GiB
}

// Result is what became of the program.
type Result struct {
	ExitCode int    // of the program; 128 and the signal's number, if a signal ended it
	Signal   string // the signal that ended it, or ""
	// Left are the processes that were still running when the program ended, and were killed then.
	Left []Process
	// Written is by how many bytes the writable mounts and a writable root have grown. Every file counts
	// at least 4096, as on a disk.
	Written int64
	// Program is what the program's process executed last, if [Watch.Became] is set.
	Program *Program
}

// Program is what a process executes. It is not trusted: the strings can hold any bytes.
type Program struct {
	// Executable is its path in the sandbox, without links; a script's is that of its interpreter. Of a
	// program that a signal ended right at its start it is the path that the process asked for.
	Executable string
	Env        []string // that it was given: the first 512 KiB
}

// Process is a process inside the sandbox. What the program said about itself is not trusted: both
// strings can hold any bytes.
type Process struct {
	PID, Parent int    // in the sandbox
	Started     uint64 // in ticks of the machine's clock. With it, PID is unique
	Name        string // as the kernel has it, at most 15 bytes
	Command     string // the command line, shortened
}

type processKey struct {
	pid     int
	started uint64
}

func (p Process) key() processKey { return processKey{p.PID, p.Started} }

// SetupError means that the sandbox, or the program in it, could not be started.
type SetupError struct {
	Step string // what was attempted
	Err  error
	Hint string // what to change, or ""
}

func (e *SetupError) Error() string {
	s := fmt.Sprintf("sandbox: %s: %v", e.Step, e.Err)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

func (e *SetupError) Unwrap() error { return e.Err }

// Limits by name, as in [LimitError].
const (
	LimitProcesses = "processes"
	LimitFileSize  = "file size"
	LimitBytes     = "bytes"
	LimitDepth     = "directory depth"
)

// LimitError means that the program was stopped because it exceeded a limit.
type LimitError struct {
	Limit string // one of the constants
	Max   int64
}

func (e *LimitError) Error() string {
	switch e.Limit {
	case LimitProcesses:
		return fmt.Sprintf("sandbox: the program has more than %d processes and threads, the limit; all were killed", e.Max)
	case LimitFileSize:
		return fmt.Sprintf("sandbox: the program wrote a file of more than %d bytes, the limit of one file", e.Max)
	case LimitBytes:
		return fmt.Sprintf("sandbox: the program wrote more than %d bytes, the limit of all files together; it was killed", e.Max)
	}
	return fmt.Sprintf("sandbox: the program made directories more than %d deep, the limit; it was killed", e.Max)
}

// ErrUnsupported means that this operating system has no sandbox.
var ErrUnsupported = errors.New("sandbox: unsupported operating system; it needs Linux: run this in a Linux virtual machine or container")

const (
	defaultProcesses = 4096
	defaultOpenFiles = 65536
	defaultBytes     = 10 << 30
)

// complete returns the spec with defaults, or an error that names what is wrong in it.
func (s Spec) complete() (Spec, error) {
	if !filepath.IsAbs(s.Root) {
		return s, fmt.Errorf("sandbox: invalid root %q; it has to be an absolute path", s.Root)
	}
	needsScratch := s.Writable
	for i, m := range s.Mounts {
		if !path.IsAbs(m.Target) || path.Clean(m.Target) == "/" {
			return s, fmt.Errorf("sandbox: invalid target %q of a mount; it has to be an absolute path other than /", m.Target)
		}
		for _, own := range []string{"/proc", "/dev"} {
			if t := path.Clean(m.Target); t == own || strings.HasPrefix(t, own+"/") {
				return s, fmt.Errorf("sandbox: invalid target %q of a mount; %s is the sandbox's own", m.Target, own)
			}
		}
		if m.Source != "" && !filepath.IsAbs(m.Source) {
			return s, fmt.Errorf("sandbox: invalid source %q of a mount; it has to be an absolute path", m.Source)
		}
		needsScratch = needsScratch || s.Mounts[i].Source == ""
	}
	switch {
	case needsScratch && !filepath.IsAbs(s.Scratch):
		return s, fmt.Errorf("sandbox: invalid scratch directory %q; it has to be an absolute path", s.Scratch)
	case len(s.Args) == 0 || s.Args[0] == "":
		return s, errors.New("sandbox: missing command")
	case s.UID < 0 || s.GID < 0 || int64(s.UID) > maxID || int64(s.GID) > maxID:
		return s, fmt.Errorf("sandbox: invalid user %d:%d", s.UID, s.GID)
	}
	for _, word := range append(append([]string{s.Dir, s.Hostname}, s.Args...), s.Env...) {
		if strings.ContainsRune(word, 0) {
			return s, fmt.Errorf("sandbox: invalid argument or variable %q; it has a zero byte", word)
		}
	}
	if s.Hostname == "" {
		s.Hostname = "sandbox"
	}
	if s.Dir == "" {
		s.Dir = "/"
	}
	s.Limits = s.Limits.complete()
	return s, s.Watch.check()
}

// maxID is the largest id that a user namespace maps: the one above means "no id".
const maxID = 1<<32 - 2

func (l Limits) complete() Limits {
	if l.Processes <= 0 {
		l.Processes = defaultProcesses
	}
	if l.OpenFiles <= 0 {
		l.OpenFiles = defaultOpenFiles
	}
	if l.Bytes <= 0 {
		l.Bytes = defaultBytes
	}
	if l.FileSize <= 0 {
		l.FileSize = l.Bytes
	}
	return l
}
