package sandbox

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// task is what the caller sends to the supervisor.
type task struct {
	Spec
	Probe   bool // make everything, and run no program
	Visited bool // the caller has requests while the program runs
	// CgroupFD is the supervisor's descriptor for putting the program into a cgroup; 0 means none.
	CgroupFD int
	// WatchFD is the supervisor's descriptor for telling the caller what is watched, Exits says that ends
	// of processes are too, and Follow what the process of the spec becomes.
	WatchFD       int
	Exits, Follow bool
}

// report is what the supervisor sends back. A supervisor that was killed sends none.
type report struct {
	Result
	Failed *failure
	Limit  *LimitError
	Busy   *BusyError
}

// failure is a SetupError on its way between processes.
type failure struct {
	Step  string
	Errno syscall.Errno // or 0
	Text  string
}

// Run runs the command and returns when it and all its processes have ended and nothing is mounted any
// more. The program's exit code is not an error. Errors are a [*SetupError], a [*LimitError] with the
// result so far, the cause of the context's end, and that of a writer.
//
// If the calling process dies, so do all processes of the sandbox.
func Run(ctx context.Context, s Spec) (Result, error) {
	s, err := s.complete()
	if err != nil {
		return Result{}, err
	}
	return run(ctx, task{Spec: s})
}

// Check makes a sandbox over root, a directory on the file system where roots will be, and runs no
// program in it. It returns nil, or a [*SetupError] that says what forbids it and what to change.
func Check(root string) error {
	s, err := Spec{Root: root, Args: []string{"none"}, UID: 1000, GID: 1000}.complete()
	if err != nil {
		return err
	}
	_, err = run(context.Background(), task{Spec: s, Probe: true})
	return err
}

func run(ctx context.Context, t task) (result Result, err error) {
	done := make(chan struct{})
	go func() {
		// The parent's death signal is sent when the *thread* that started a process ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		result, err = supervised(ctx, t)
	}()
	<-done
	return result, err
}

// supervised starts the supervisor, sends it the task, and waits for its report and its end.
func supervised(ctx context.Context, t task) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, interrupted(ctx)
	}
	if err := prepareScratch(t.Spec); err != nil {
		return Result{}, err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", Argument, "supervise")
	cmd.Args[0] = "sandbox"
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = pipeOnly(t.Stdout), pipeOnly(t.Stderr)
	cmd.SysProcAttr = namespaces(t.Network)
	theirTask, ourTask, err := os.Pipe()
	if err != nil {
		return Result{}, fmt.Errorf("sandbox: %w", err)
	}
	defer ourTask.Close() // the supervisor ends when it reads the end of this pipe
	defer theirTask.Close()
	ourReport, theirReport, err := os.Pipe()
	if err != nil {
		return Result{}, fmt.Errorf("sandbox: %w", err)
	}
	defer ourReport.Close()
	defer theirReport.Close()
	cmd.ExtraFiles = []*os.File{theirTask, theirReport}
	v, err := newVisit(t.Spec)
	if err != nil {
		return Result{}, fmt.Errorf("sandbox: %w", err)
	}
	if v != nil {
		defer v.end()
		t.Visited, cmd.ExtraFiles = true, append(cmd.ExtraFiles, v.theirs)
	}
	watching, err := t.Watch.attach(cmd)
	if err != nil {
		return Result{}, err
	}
	defer watching.end()
	t.WatchFD, t.Follow = watching.fd, t.Watch != nil && t.Watch.Became != nil
	t.Exits = t.Follow || t.Watch != nil && t.Watch.Ending != nil
	group := newCgroup(t.Limits)
	defer group.remove()
	if group.procs != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, group.procs)
		t.CgroupFD = 2 + len(cmd.ExtraFiles)
	}
	if err := cmd.Start(); err != nil {
		return Result{}, setupError("making namespaces", err)
	}
	preferSupervisor(cmd.Process.Pid)
	theirTask.Close()
	theirReport.Close()
	if v != nil {
		v.begin(ctx, t.Started)
	}
	t.Stdout, t.Stderr = nil, nil
	sent := gob.NewEncoder(ourTask).Encode(t)
	said, _ := io.ReadAll(io.LimitReader(ourReport, 1<<20))
	ended := cmd.Wait()
	if t.Writable {
		// The kernel makes this directory without permissions, so that an ordinary user could not look
		// into it to remove it.
		_ = os.Chmod(filepath.Join(t.Scratch, "work", "work"), 0o700)
	}
	if watching.end(); watching.err != nil {
		return Result{}, watching.err
	}
	var r report
	if gob.NewDecoder(bytes.NewReader(said)).Decode(&r) != nil {
		if ctx.Err() != nil {
			return Result{}, interrupted(ctx)
		}
		if sent != nil && ended == nil {
			ended = sent
		}
		return Result{}, fmt.Errorf("sandbox: the supervisor ended without a report: %v", ended)
	}
	r.Program = watching.program
	return r.outcome(ended)
}

// outcome returns what the caller gets of a report. ended is the end of the supervisor and of its
// output's copying.
func (r report) outcome(ended error) (Result, error) {
	var exit *exec.ExitError
	switch {
	case r.Failed != nil:
		var err error = errors.New(r.Failed.Text)
		if r.Failed.Errno != 0 {
			err = r.Failed.Errno
		}
		return Result{}, setupError(r.Failed.Step, err)
	case r.Limit != nil:
		return r.Result, r.Limit
	case r.Busy != nil:
		return r.Result, r.Busy
	case ended != nil && !errors.As(ended, &exit):
		return r.Result, fmt.Errorf("sandbox: writing the program's output: %w", ended)
	}
	return r.Result, nil
}

func interrupted(ctx context.Context) error {
	return fmt.Errorf("sandbox: interrupted: %w", context.Cause(ctx))
}

// preferred is the nice value of the supervisor.
const preferred = -20

// preferSupervisor lets the supervisor, the only process of its group yet, run before the processes
// that it has to stop if they become too many. Where the kernel groups processes by their sessions, the
// value of the group counts (sched(7), "The autogroup feature"). Only root may do so; for others the
// kernel limits the number of processes itself.
func preferSupervisor(pid int) {
	_ = unix.Setpriority(unix.PRIO_PGRP, pid, preferred)
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", pid), []byte(strconv.Itoa(preferred)), 0)
}

// namespaces are those of the supervisor.
func namespaces(n Network) *syscall.SysProcAttr {
	flags := uintptr(unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP)
	if n == None {
		flags |= unix.CLONE_NEWNET
	}
	return &syscall.SysProcAttr{
		Cloneflags:  flags,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Setsid:      true, // signals of the caller's terminal are for the caller
		Pdeathsig:   syscall.SIGKILL,
	}
}

// prepareScratch makes the directories that the supervisor mounts.
func prepareScratch(s Spec) error {
	if s.Writable {
		for _, name := range []string{"upper", "work"} {
			if err := os.Mkdir(filepath.Join(s.Scratch, name), 0o755); err != nil {
				return fmt.Errorf("sandbox: %w; the scratch directory has to be empty", err)
			}
		}
	}
	for i, m := range s.Mounts {
		if m.Source == "" {
			dir := s.source(i)
			if err := os.Mkdir(dir, 0o755); err != nil {
				return fmt.Errorf("sandbox: %w; the scratch directory has to be empty", err)
			}
			if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
				return fmt.Errorf("sandbox: %w", err)
			}
		}
	}
	return nil
}

// source returns the directory or file that the i-th mount shows.
func (s Spec) source(i int) string {
	if s.Mounts[i].Source == "" {
		return filepath.Join(s.Scratch, strconv.Itoa(i))
	}
	return s.Mounts[i].Source
}

// pipeOnly hides that a writer is a file, which the program would get itself and could open again: a
// terminal, or a log that others write to.
func pipeOnly(w io.Writer) io.Writer {
	if w == nil {
		w = io.Discard
	}
	return struct{ io.Writer }{w}
}
