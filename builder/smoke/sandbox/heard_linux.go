package sandbox

import (
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tell tells the caller, and does not wait: a caller that is gone ends the supervisor.
func (l *listener) tell(e event) { _ = l.out.Encode(e) }

// ask tells the caller, waits for the answer and does what it says.
func (l *listener) ask(e event) error {
	var r reply
	l.tell(e)
	switch err := l.in.Decode(&r); {
	case err != nil || r.Stop:
		return errStopped
	case r.Access == nil:
		return nil
	}
	return l.access.change(*r.Access)
}

// settle tells of processes that have ended, the last that began first: those that a program starts end
// before it. One that leaves others behind is told of after a moment, in which these may end too, and when
// no call waits, which may be that of one that ends.
func (l *listener) settle(calls bool) {
	slices.Reverse(l.running)
	defer func() { slices.Reverse(l.running) }()
	l.running = slices.DeleteFunc(l.running, func(w watched) bool {
		if w.ended.IsZero() {
			return false
		}
		if w.Direct {
			w.Outlived = l.others()
			unknown := l.unknown(w.Outlived)
			if len(unknown) > 0 && !overdue(w.ended) && (calls || !over(w.ended, unknown)) {
				return false
			}
			l.know(w.Outlived)
		}
		l.tell(event{Kind: eventEnded, Exec: w.Exec})
		return true
	})
}

// others returns the processes that are neither the program of the spec nor descend from it: orphans are
// children of the supervisor.
func (l *listener) others() []Process {
	all := running(l.program)
	own := map[int]bool{l.program: true}
	for more := true; more; {
		n := len(all)
		all = slices.DeleteFunc(all, func(p Process) bool {
			own[p.PID] = own[p.PID] || own[p.Parent]
			return own[p.PID]
		})
		more = len(all) < n
	}
	return all
}

// finish tells what is left to tell when all processes have ended. What ran at the end is in the report.
func (l *listener) finish() {
	for _, w := range slices.Backward(l.running) {
		if w.ended.IsZero() {
			unix.Close(w.fd)
		}
		l.tell(event{Kind: eventEnded, Exec: w.Exec})
	}
	if p, is := l.own.killed(); is {
		l.tell(event{Kind: eventBecame, Program: p})
	}
}

// follow tells what the process of the spec has become.
func (l *listener) follow() {
	if p, is := l.own.look(); is {
		l.tell(event{Kind: eventBecame, Program: p})
	}
}

// heard does what a call asks for. What is read of the process is of that call only if it still waits.
func (l *listener) heard(n *notification) error {
	pid, parent, threads, err := family(int(n.pid))
	if err != nil {
		return nil
	}
	valid := func() bool { return l.control(unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&n.id)) == nil }
	kind := n.kind()
	if kind == callExitGroup || kind == callExit && threads == 1 {
		if valid() {
			return l.exit(pid)
		}
		return nil
	}
	if kind == callExit {
		return nil
	}
	program, err := n.path()
	if pid == l.program && l.own != nil {
		env := n.env()
		if valid() {
			l.follow()
			l.own.asks(Program{Executable: program, Env: env})
		}
	}
	if err == nil && l.matches(program) && valid() {
		return l.begin(program, pid, parent)
	}
	return nil
}

// exit is called when a process asks for its end.
func (l *listener) exit(pid int) error {
	if pid == l.program {
		l.follow()
		l.own.gone()
	}
	for i, w := range l.running {
		if w.PID != pid || w.asked || !w.ended.IsZero() {
			continue
		}
		l.running[i].asked = true
		if err := l.ask(event{Kind: eventEnding, Exec: w.Exec}); err != nil {
			return err
		}
	}
	return nil
}

// begin tells the caller about a program, and waits for the answer.
func (l *listener) begin(program string, pid, parent int) error {
	known := slices.ContainsFunc(l.running, func(w watched) bool { return w.PID == pid && w.Path == program && w.ended.IsZero() })
	if known || len(l.running) == maxWatched {
		return nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil
	}
	ended := func(w watched) bool { return !w.ended.IsZero() }
	for l.settle(true); slices.ContainsFunc(l.running, ended); l.settle(l.pause()) {
	}
	w := watched{fd: fd, Exec: Exec{Path: program, PID: pid, Direct: parent == l.program}}
	if w.Direct {
		for begun := time.Now(); ; {
			w.Outlived = l.unknown(l.others())
			if len(w.Outlived) == 0 || overdue(begun) || !l.pause() && over(begun, w.Outlived) {
				break
			}
		}
		l.know(w.Outlived)
	}
	l.running = append(l.running, w)
	return l.ask(event{Kind: eventBegan, Exec: w.Exec})
}

// unknown returns those of the processes that the caller does not know of.
func (l *listener) unknown(all []Process) (out []Process) {
	for _, p := range all {
		if !l.seen[p.key()] {
			out = append(out, p)
		}
	}
	return out
}

func (l *listener) know(all []Process) {
	for _, p := range all {
		l.seen[p.key()] = true
	}
}
