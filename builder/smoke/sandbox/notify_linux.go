package sandbox

import (
	"errors"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Calls that are told about, of the native architecture and of the one beside it.
type calls struct {
	exec, execAt, exit, exitGroup uint32
}

func (a architecture) calls() (native, compat calls) {
	native = calls{unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_EXIT, unix.SYS_EXIT_GROUP}
	switch a.compat {
	case unix.AUDIT_ARCH_I386:
		compat = calls{11, 358, 1, 252}
	case unix.AUDIT_ARCH_ARM:
		compat = calls{11, 387, 1, 248}
	}
	return native, compat
}

// listenFilter returns the filter that reports what executes a program and, with exits, what ends one. It
// allows all else: the other filter refuses.
func (a architecture) listenFilter(exits bool) []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	unless := func(k uint32, n int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jf: uint8(n)}
	}
	answer := func(action uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
	}
	tell, allow := answer(unix.SECCOMP_RET_USER_NOTIF), answer(unix.SECCOMP_RET_ALLOW)
	of := func(arch uint32, c calls) []unix.SockFilter {
		numbers := []uint32{c.exec, c.execAt}
		if exits {
			numbers = append(numbers, c.exit, c.exitGroup)
		}
		out := []unix.SockFilter{load(offsetNumber)}
		for _, n := range numbers {
			out = append(out, unless(n, 1), tell)
		}
		out = append(out, allow)
		return append([]unix.SockFilter{unless(arch, len(out))}, out...)
	}
	native, compat := a.calls()
	out := append([]unix.SockFilter{load(offsetArch)}, of(a.audit, native)...)
	if a.compat != 0 {
		out = append(out, of(a.compat, compat)...)
	}
	return append(out, allow)
}

// listen installs the filter for this thread and what it becomes, and sends its listener to the supervisor.
func listen(supervisor int, exits bool) error {
	filter := architectures[runtime.GOARCH].listenFilter(exits)
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
