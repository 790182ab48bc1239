package sandbox

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Descriptors of the supervisor, beside the standard ones.
const (
	taskFD   = 3
	reportFD = 4
	watchFD  = 5 // of the program's stage, only with a watch
)

// Main is the other side of Run: a stage of the sandbox. args are those behind [Argument]. It returns
// the exit code, and does not return where it becomes the program.
func Main(args []string) int {
	switch {
	case len(args) == 1 && args[0] == "supervise" && os.Getpid() == 1:
		supervise()
		return 0
	case len(args) == 1 && args[0] == "program" && os.Getppid() == 1:
		return becomeProgram()
	}
	fmt.Fprintln(os.Stderr, "sandbox: this is a stage of the sandbox, which only the sandbox starts")
	return 2
}

// supervise is pid 1 of the sandbox. All other processes end with it.
func supervise() {
	discardSignals()
	in, out := os.NewFile(taskFD, "task"), os.NewFile(reportFD, "report")
	var t task
	if gob.NewDecoder(in).Decode(&t) != nil {
		return // the caller is gone
	}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		os.Exit(1) // the caller is gone
	}()
	r, err := runTask(t)
	if err != nil {
		r.Failed = failed(err)
	}
	_ = gob.NewEncoder(out).Encode(r)
}

// discardSignals makes the supervisor deaf to what the program sends it. Signals without a handler do
// not reach pid 1 of a namespace from inside it; but the Go runtime has handlers.
func discardSignals() {
	var all []os.Signal
	for s := syscall.Signal(1); s <= 64; s++ {
		if s != syscall.SIGURG && s != syscall.SIGPROF { // the runtime's own
			all = append(all, s)
		}
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, all...)
}

// stepError names what the supervisor was doing.
type stepError struct {
	step string
	err  error
}

func (e *stepError) Error() string { return e.step + ": " + e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

func step(name string, err error) error {
	if err == nil {
		return nil
	}
	return &stepError{name, err}
}

// failed returns an error as it is sent to the caller.
func failed(err error) *failure {
	f := &failure{Step: "starting the program", Text: err.Error()}
	var at *stepError
	if errors.As(err, &at) {
		f.Step, f.Text = at.step, at.err.Error()
		_ = errors.As(at.err, &f.Errno)
	}
	return f
}

// runTask makes the sandbox, starts the program and waits for its end.
func runTask(t task) (report, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return report{}, step("making mounts private", err)
	}
	// The processes of this namespace, in the old root: starting the next stage needs it.
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return report{}, step("mounting /proc", err)
	}
	h, err := newHost(t)
	if err != nil {
		return report{}, err
	}
	// It is started in the old root, where the libraries are that it may need, and comes along into the
	// new one: pivot_root moves all processes of the namespace.
	p, err := startStage(t)
	if err != nil {
		return report{}, err
	}
	limitTasks(t, p.pid)
	writable, err := enterRoot(t)
	if err != nil {
		return report{}, err
	}
	if err := configure(t.Spec); err != nil {
		return report{}, err
	}
	if err := closeRoot(t.Spec); err != nil {
		return report{}, err
	}
	if err := raiseOpenFiles(); err != nil {
		return report{}, err
	}
	watch, err := newWatch(t.Limits, writable)
	if err != nil {
		return report{}, err
	}
	// What the program reads of pid 1 in /proc needs this, beside a capability in pid 1's namespace.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return report{}, step("protecting the supervisor", err)
	}
	var execs *listener
	if t.Watch != nil {
		execs = startListener(t, p.pid, p.watch)
	}
	if err := p.goOn(t); err != nil {
		return report{}, err
	}
	if err := h.welcome(p.pid); err != nil {
		return report{}, err
	}
	r, early, err := watchProgram(p.pid, watch, execs.failure())
	execs.end(early)
	return r, err
}

// ending is how the program ended, and that no child is left, in this order.
type ending struct {
	status unix.WaitStatus
	all    bool
}

// reap waits for all children, which in pid 1 are all orphans too, and tells of the program's end, and
// each time that there are no more.
func reap(program int, ends chan<- ending) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil: // ECHILD
			ends <- ending{all: true}
			return
		case pid == program && (status.Exited() || status.Signaled()):
			ends <- ending{status: status}
		}
	}
}

// tick is how often limits are looked at.
const tick = 20 * time.Millisecond

// watchProgram waits until the program has ended, a limit is exceeded or the listener fails, and kills what
// is left. early says that the program has not ended.
func watchProgram(program int, w *watch, failed <-chan error) (r report, early bool, err error) {
	ends := make(chan ending, 2)
	go reap(program, ends)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case end := <-ends:
			r, err := finish(end.status, w, ends)
			return r, r.Limit != nil, err
		case err := <-failed:
			var busy *BusyError
			if errors.As(err, &busy) {
				return report{Busy: busy}, true, nil
			}
			return report{}, true, err
		case <-ticker.C:
			limit := w.look()
			if limit == nil {
				continue
			}
			if limit.Limit == LimitProcesses { // they become more while files are measured
				_ = unix.Kill(-1, unix.SIGKILL)
			}
			written, _ := w.written()
			return report{Limit: limit, Result: Result{Written: written}}, true, nil
		}
	}
}

// finish reports on a program that has ended.
func finish(status unix.WaitStatus, w *watch, ends <-chan ending) (report, error) {
	r := report{}
	r.ExitCode = status.ExitStatus()
	if status.Signaled() {
		r.ExitCode = 128 + int(status.Signal())
		r.Signal = unix.SignalName(status.Signal())
	}
	r.Left = stillRunning(ends)
	if len(r.Left) > 0 {
		r.Limit = w.tasks() // the kernel may have refused the program one more
		_ = unix.Kill(-1, unix.SIGKILL)
		<-ends
	}
	var limit *LimitError
	if r.Written, limit = w.written(); limit != nil {
		r.Limit = limit
	}
	// Only the program itself sees the signal or the error; so it is told from what it leaves.
	if r.Limit == nil && r.ExitCode != 0 && w.largest >= w.limits.FileSize {
		r.Limit = &LimitError{Limit: LimitFileSize, Max: w.limits.FileSize}
	}
	return r, nil
}

// stillRunning returns the processes that outlive the program.
func stillRunning(ends <-chan ending) []Process {
	var found []Process
	for begun := time.Now(); !over(begun, found); found = running() {
		select {
		case <-ends:
			return nil
		case <-time.After(grace / 10):
		}
	}
	if len(found) == 0 { // it ended in between
		_ = unix.Kill(-1, unix.SIGKILL)
		<-ends
	}
	return found
}
