package sandbox

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Descriptors of the supervisor, beside the standard ones.
const (
	taskFD   = 3
	reportFD = 4
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
		r.Failed = &failure{Step: "starting", Text: err.Error()}
		var at *stepError
		if errors.As(err, &at) {
			r.Failed.Step, r.Failed.Text = at.step, at.err.Error()
			_ = errors.As(at.err, &r.Failed.Errno)
		}
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

// runTask makes the sandbox, starts the program and waits for its end.
func runTask(t task) (report, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return report{}, step("making mounts private", err)
	}
	// The processes of this namespace, in the old root: starting the next stage needs it.
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return report{}, step("mounting /proc", err)
	}
	// It is started in the old root, where the libraries are that it may need, and comes along into the
	// new one: pivot_root moves all processes of the namespace.
	p, err := startStage(t)
	if err != nil {
		return report{}, err
	}
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
	if err := p.goOn(t); err != nil {
		return report{}, err
	}
	return watchProgram(p.pid, watch)
}

// stage is the process that becomes the program.
type stage struct {
	pid  int
	task *os.File
	says *gob.Decoder
}

// ready is what a stage says first, when nothing more is loaded from the old root.
const ready = "ready"

// startStage starts the program's stage in its user namespace, and returns when it is ready.
func startStage(t task) (*stage, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, step("opening /dev/null", err)
	}
	defer null.Close()
	theirTask, ourTask, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirTask.Close()
	ourReport, theirReport, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirReport.Close()
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"sandbox", Argument, "program"}, &syscall.ProcAttr{
		Env:   []string{},
		Files: []uintptr{null.Fd(), 1, 2, theirTask.Fd(), theirReport.Fd()},
		Sys: &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: t.UID, HostID: 0, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: t.GID, HostID: 0, Size: 1}},
			AmbientCaps: []uintptr{unix.CAP_SETPCAP}, // it drops the bounding set, and then this
			Setsid:      true,
		},
	})
	if err != nil {
		return nil, step("making the program's user namespace", err)
	}
	s := &stage{pid: pid, task: ourTask, says: gob.NewDecoder(ourReport)}
	var first failure
	if err := s.says.Decode(&first); err != nil || first.Step != ready {
		return nil, step("starting the program's stage", fmt.Errorf("unexpected end: %v", err))
	}
	return s, nil
}

// goOn lets the stage become the program, and returns when it has.
func (s *stage) goOn(t task) error {
	err := gob.NewEncoder(s.task).Encode(t)
	if err = errors.Join(err, s.task.Close()); err != nil {
		return step("starting the program", err)
	}
	var failed failure
	switch err := s.says.Decode(&failed); {
	case err == io.EOF: // closed by exec
		return nil
	case err != nil:
		return step("starting the program", err)
	case failed.Errno != 0:
		return step(failed.Step, failed.Errno)
	}
	return step(failed.Step, errors.New(failed.Text))
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

// watchProgram waits until the program has ended or a limit is exceeded, and kills what is left.
func watchProgram(program int, w *watch) (report, error) {
	ends := make(chan ending, 2)
	go reap(program, ends)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case end := <-ends:
			return finish(end.status, w, ends)
		case <-ticker.C:
			if err := w.look(); err != nil {
				written, _ := w.written()
				return report{Limit: err, Result: Result{Written: written}}, nil
			}
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
	if r.ExitCode == 128+int(unix.SIGXFSZ) {
		r.Limit = &LimitError{Limit: LimitFileSize, Max: w.limits.FileSize}
	}
	r.Left = stillRunning(ends)
	if len(r.Left) > 0 {
		_ = unix.Kill(-1, unix.SIGKILL)
		<-ends
	}
	written, limit := w.written()
	r.Written = written
	if r.Limit == nil {
		r.Limit = limit
	}
	return r, nil
}

// grace is how long processes may take to end after the program: those of a pipe, for example.
const grace = 50 * time.Millisecond

// stillRunning returns the processes that outlive the program.
func stillRunning(ends <-chan ending) []Process {
	deadline := time.After(grace)
	select {
	case <-ends:
		return nil
	case <-deadline:
	}
	found := running()
	if len(found) == 0 { // it ended in between
		_ = unix.Kill(-1, unix.SIGKILL)
		<-ends
	}
	return found
}

// configure sets what belongs to the namespaces.
func configure(s Spec) error {
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return step("setting the host name", err)
	}
	if s.Network == None {
		if err := loopbackUp(); err != nil {
			return step("starting the loopback interface", err)
		}
	}
	// One user namespace, for the program, and no more of any kind.
	for name, value := range map[string]string{
		"user": "1", "mnt": "0", "pid": "0", "net": "0", "ipc": "0", "uts": "0", "cgroup": "0",
	} {
		if err := os.WriteFile("/proc/sys/user/max_"+name+"_namespaces", []byte(value), 0); err != nil {
			return step("forbidding further namespaces", err)
		}
	}
	return nil
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, req); err != nil {
		return err
	}
	req.SetUint16(req.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// becomeProgram is the last stage: it gives up everything and becomes the program.
func becomeProgram() int {
	runtime.LockOSThread() // all of it belongs to the thread that calls exec
	in := gob.NewDecoder(os.NewFile(taskFD, "task"))
	out := gob.NewEncoder(os.NewFile(reportFD, "report"))
	var t task
	if out.Encode(failure{Step: ready}) != nil || in.Decode(&t) != nil {
		return 1
	}
	err := execute(t)
	if err == nil {
		return 0 // a probe
	}
	f := failure{Step: "starting the program", Text: err.Error()}
	var at *stepError
	if errors.As(err, &at) {
		f.Step, f.Text = at.step, at.err.Error()
		_ = errors.As(at.err, &f.Errno)
	}
	_ = out.Encode(f)
	return 1
}
