package sandbox

import (
	"encoding/gob"
	"errors"
	"os"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxWatched is how many processes are watched for their end at one time: each takes a descriptor.
const maxWatched = 256

// errStopped means that the caller ends the sandbox.
var errStopped = errors.New("stopped by the caller")

// listener is the supervisor's part of a watch.
type listener struct {
	*Watch
	fd      int
	program int // the process of the spec's program
	in      *gob.Decoder
	out     *gob.Encoder
	running []watched
	waiting []notification      // those that came during a pause
	seen    map[processKey]bool // processes that the caller knows as such that outlived another
	own     *follower           // nil if the caller does not want to know
	access  access
	failed  chan error    // gets the error that ends the sandbox
	done    chan struct{} // closed when all processes of the sandbox have ended
}

// watched is a process that the caller knows of.
type watched struct {
	Exec
	fd    int       // readable when it has ended
	asked bool      // for its end
	ended time.Time // zero while it runs
}

// startListener waits for the listener of the stage, and then tells the caller.
func startListener(t task, program int, stage *os.File) *listener {
	caller := os.NewFile(uintptr(t.WatchFD), "caller")
	l := &listener{
		Watch: t.Watch, program: program, in: gob.NewDecoder(caller), out: gob.NewEncoder(caller),
		seen: map[processKey]bool{}, failed: make(chan error, 1), done: make(chan struct{}),
	}
	l.access.pause = l.pause
	if t.Follow {
		l.own = &follower{pid: program}
	}
	go func() {
		defer close(l.done)
		var err error
		l.fd, err = receive(stage)
		stage.Close()
		if err != nil {
			return // the stage has failed, and says so
		}
		if err := l.loop(); err != nil {
			l.failed <- err
		}
	}()
	return l
}

// failure returns what has the error that ends the sandbox. l may be nil.
func (l *listener) failure() <-chan error {
	if l == nil {
		return nil
	}
	return l.failed
}

// end lets the caller hear of all that ended, unless the sandbox ends before its program. l may be nil.
func (l *listener) end(early bool) {
	if l == nil || early {
		return
	}
	select {
	case <-l.done:
	case <-time.After(time.Second): // a caller that does not answer
	}
}

// loop tells about ends before it tells about what began: the listener is looked at first, so that
// what ended before a call is seen with it.
func (l *listener) loop() error {
	for {
		for len(l.waiting) > 0 {
			n := l.waiting[0]
			l.waiting = l.waiting[1:]
			if err := l.answer(&n); err != nil {
				return err
			}
		}
		fds := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
		for _, w := range l.running {
			if !w.ended.IsZero() {
				w.fd = -1
			}
			fds = append(fds, unix.PollFd{Fd: int32(w.fd), Events: unix.POLLIN})
		}
		if _, err := unix.Poll(fds, l.patience()); err != nil {
			if err == unix.EINTR {
				continue
			}
			return step("listening", err)
		}
		for i := range l.running {
			if fds[i+1].Revents != 0 {
				unix.Close(l.running[i].fd)
				l.running[i].ended = time.Now()
			}
		}
		l.settle(fds[0].Revents&unix.POLLIN != 0)
		l.follow()
		switch {
		case fds[0].Revents&unix.POLLIN != 0:
			if n, ok := l.receive(); ok {
				l.waiting = append(l.waiting, n)
			}
		case fds[0].Revents != 0: // no process has the filter any more
			l.finish()
			return nil
		}
	}
}

// patience returns for how many milliseconds a poll may wait, or -1.
func (l *listener) patience() int {
	patience := l.own.patience()
	for _, w := range l.running {
		if !w.ended.IsZero() && (patience < 0 || patience > 5) {
			patience = 5
		}
	}
	return patience
}

// receive takes one call. It returns false if the process was killed meanwhile.
func (l *listener) receive() (n notification, ok bool) {
	ok = l.control(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)) == nil
	return n, ok
}

// goOn lets a call go on.
func (l *listener) goOn(n *notification) {
	_ = l.control(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}))
}

// answer tells the caller of a call if it is about a program that is watched, and lets it go on.
func (l *listener) answer(n *notification) error {
	err := l.heard(n)
	if err == nil {
		l.goOn(n)
	}
	return err
}

// pause waits a moment, in which processes that are not watched can end, and execute what is not watched:
// what they are called is theirs only then. Other calls have to wait. It reports whether there was a call.
func (l *listener) pause() (heard bool) {
	fds := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, 1); err != nil || n == 0 || fds[0].Revents&unix.POLLIN == 0 {
		return false
	}
	n, ok := l.receive()
	if !ok {
		return true
	}
	pid, _, _, err := family(int(n.pid))
	watched := pid == l.program || slices.ContainsFunc(l.running, func(w watched) bool { return w.PID == pid })
	if err == nil && !watched && !l.begins(&n) {
		l.goOn(&n)
		return true
	}
	l.waiting = append(l.waiting, n)
	return true
}

// begins reports whether a call executes a program that is watched.
func (l *listener) begins(n *notification) bool {
	if kind := n.kind(); kind == callExit || kind == callExitGroup {
		return false
	}
	program, err := n.path()
	return err == nil && l.matches(program)
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
