package sandbox

import (
	"encoding/gob"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxWatched is how many processes are watched for their end at one time: each takes a descriptor.
const maxWatched = 256

// event is what the supervisor tells the caller, who answers when something began.
type event struct {
	Exec
	Ended bool
}

// watching is the caller's part of a watch.
type watching struct {
	ours, theirs *os.File
	fd           int // of the supervisor
	done         chan struct{}
}

// attach starts the caller's part of a watch, which may be nil, for a supervisor that is yet to start.
func (w *Watch) attach(supervisor *exec.Cmd) (*watching, error) {
	if w == nil {
		return &watching{}, nil
	}
	ours, theirs, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	supervisor.ExtraFiles = append(supervisor.ExtraFiles, theirs)
	c := &watching{ours: ours, theirs: theirs, fd: 2 + len(supervisor.ExtraFiles), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		w.serve(ours)
	}()
	return c, nil
}

// end returns when the caller was told everything. The supervisor has ended, or was not started.
func (c *watching) end() {
	if c.done == nil {
		return
	}
	c.theirs.Close()
	<-c.done
	c.ours.Close()
}

// serve calls the caller's functions until the supervisor ends.
func (w *Watch) serve(supervisor *os.File) {
	in, out := gob.NewDecoder(supervisor), gob.NewEncoder(supervisor)
	for {
		var e event
		if in.Decode(&e) != nil {
			return
		}
		if e.Ended {
			if w.Ended != nil {
				w.Ended(e.Exec)
			}
			continue
		}
		if w.Began != nil {
			w.Began(e.Exec)
		}
		if out.Encode(true) != nil {
			return
		}
	}
}

// execs are the two calls that execute a program, and those of the architecture beside it.
func (a architecture) execs() (native, compat [2]uint32) {
	native = [2]uint32{unix.SYS_EXECVE, unix.SYS_EXECVEAT}
	switch a.compat {
	case unix.AUDIT_ARCH_I386:
		compat = [2]uint32{11, 358}
	case unix.AUDIT_ARCH_ARM:
		compat = [2]uint32{11, 387}
	}
	return native, compat
}

// listenFilter returns the filter that reports what executes a program, and allows all else: the other
// filter refuses.
func (a architecture) listenFilter() []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	unless := func(k uint32, n uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jf: n}
	}
	answer := func(action uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
	}
	tell, allow := answer(unix.SECCOMP_RET_USER_NOTIF), answer(unix.SECCOMP_RET_ALLOW)
	calls := func(c [2]uint32) []unix.SockFilter {
		return []unix.SockFilter{load(offsetNumber), unless(c[0], 1), tell, unless(c[1], 1), tell, allow}
	}
	native, compat := a.execs()
	out := append([]unix.SockFilter{load(offsetArch), unless(a.audit, 6)}, calls(native)...)
	if a.compat != 0 {
		out = append(out, unless(a.compat, 6))
		out = append(out, calls(compat)...)
	}
	return append(out, allow)
}

// listen installs the filter for this thread and what it becomes, and sends its listener to the supervisor.
func listen(supervisor int) error {
	filter := architectures[runtime.GOARCH].listenFilter()
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// The second flag keeps signals from repeating a call that is being told about (Linux 5.19).
	for _, flags := range []uintptr{unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER} {
		fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
		if errno == unix.EINVAL {
			continue
		}
		if errno != 0 {
			return errno
		}
		return unix.Sendmsg(supervisor, []byte{0}, unix.UnixRights(int(fd)), nil, 0)
	}
	return unix.EINVAL
}

// listener is the supervisor's part of a watch.
type listener struct {
	*Watch
	fd      int
	program int // the process of the spec's program
	in      *gob.Decoder
	out     *gob.Encoder
	running []watched
	done    chan struct{} // closed when all processes of the sandbox have ended
}

// watched is a process that the caller knows of.
type watched struct {
	fd int // readable when it has ended
	Exec
}

// startListener waits for the listener of the stage, and then tells the caller.
func startListener(w *Watch, program int, stage, caller *os.File) *listener {
	l := &listener{Watch: w, program: program, in: gob.NewDecoder(caller), out: gob.NewEncoder(caller), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		var err error
		l.fd, err = receive(stage)
		stage.Close()
		if err == nil { // else the stage has failed, and says so
			l.loop()
		}
	}()
	return l
}

// end lets the caller hear of all that ended, unless a limit ends the sandbox now. l may be nil.
func (l *listener) end(r report) {
	if l == nil || r.Limit != nil {
		return
	}
	select {
	case <-l.done:
	case <-time.After(time.Second): // a caller that does not answer
	}
}

// receive returns the descriptor that comes through a socket.
func receive(socket *os.File) (int, error) {
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(int(socket.Fd()), make([]byte, 1), control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return -1, errors.New("no descriptor")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, errors.New("no descriptor")
	}
	return fds[0], nil
}

// loop tells about ends before it tells about what began: the listener is looked at first, so that
// what ended before a call is seen with it.
func (l *listener) loop() {
	for {
		fds := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
		for _, w := range l.running {
			fds = append(fds, unix.PollFd{Fd: int32(w.fd), Events: unix.POLLIN})
		}
		if _, err := unix.Poll(fds, -1); err != nil {
			if err == unix.EINTR {
				continue
			}
			return
		}
		var left []watched
		for i, w := range l.running {
			if fds[i+1].Revents == 0 {
				left = append(left, w)
				continue
			}
			unix.Close(w.fd)
			_ = l.out.Encode(event{Exec: w.Exec, Ended: true}) // a caller that is gone ends the supervisor
		}
		l.running = left
		switch {
		case fds[0].Revents&unix.POLLIN != 0:
			l.answer()
		case fds[0].Revents != 0: // no process has the filter any more
			return
		}
	}
}

// answer takes one call, tells the caller if it is about a program that is watched, and lets it go on.
func (l *listener) answer() {
	var n notification
	if l.control(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)) != nil {
		return // it was killed
	}
	program, err := n.path()
	// What was read is of that call only if it still waits.
	if err == nil && l.matches(program) && l.control(unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&n.id)) == nil {
		l.begin(program, int(n.pid))
	}
	_ = l.control(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}))
}

func (l *listener) control(request uint, argument unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(l.fd), uintptr(request), uintptr(argument))
		if errno == 0 {
			return nil
		}
		if errno != unix.EINTR {
			return errno
		}
	}
}

// begin tells the caller about a program, and waits for the answer.
func (l *listener) begin(program string, thread int) {
	pid, parent, err := family(thread)
	known := slices.ContainsFunc(l.running, func(w watched) bool { return w.PID == pid && w.Path == program })
	if err != nil || known || len(l.running) == maxWatched {
		return
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	e := Exec{Path: program, PID: pid, Direct: parent == l.program, Others: running(l.program, pid)}
	l.running = append(l.running, watched{fd, Exec{Path: program, PID: pid, Direct: e.Direct}})
	var done bool
	if l.out.Encode(event{Exec: e}) == nil {
		_ = l.in.Decode(&done)
	}
}
