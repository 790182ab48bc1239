package sandbox

import (
	"context"
	"encoding/gob"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Inside is a running sandbox. The supervisor does what its methods ask for. They fail when the sandbox
// has ended, and can be called at the same time.
type Inside struct{ control *net.UnixConn }

// errEnded is the error of calls that come too late.
var errEnded = errors.New("the sandbox has ended")

// A request is one message to the supervisor: the operation and its argument, if any: an address, or a
// duration. Beside it the message has the descriptor of a socket, on which the supervisor answers. Closing
// it ends the request.
const (
	opDial = 'd'
	opStop = 's'
)

// maxRequest is the longest request.
const maxRequest = 128

// answer is what the supervisor answers. The connection comes beside its first byte.
type answer struct {
	Errno syscall.Errno // or 0
	Text  string        // of an error, or ""
}

// Dial connects to 127.0.0.1 or [::1] in the sandbox; network is tcp, tcp4 or tcp6. The connection ends
// with the program on its other side, and the caller has to close it.
func (in Inside) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := loopbackAddress(network, address)
	if err != nil {
		return nil, err
	}
	failed := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(to), Err: err}
	}
	a, file, err := in.call(ctx, opDial, to.String())
	switch {
	case err != nil:
		return failed(err)
	case a.Errno != 0:
		return failed(os.NewSyscallError("connect", a.Errno))
	case a.Text != "":
		return failed(errors.New(a.Text))
	case file == nil:
		return failed(errEnded)
	}
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return failed(err)
	}
	return conn, nil
}

// loopbackAddress parses an address that Dial may connect to.
func loopbackAddress(network, address string) (netip.AddrPort, error) {
	to, err := netip.ParseAddrPort(address)
	is4, is6 := to.Addr() == netip.AddrFrom4([4]byte{127, 0, 0, 1}), to.Addr() == netip.IPv6Loopback()
	switch {
	case err != nil || !is4 && !is6 || to.Port() == 0:
		err = errors.New("invalid address " + address + "; only ports of 127.0.0.1 and [::1] can be reached in a sandbox")
	case network != "tcp" && !(network == "tcp4" && is4) && !(network == "tcp6" && is6):
		err = net.UnknownNetworkError(network)
	default:
		return to, nil
	}
	return to, &net.OpError{Op: "dial", Net: network, Err: err}
}

// Stop asks the program to end, with SIGTERM, and ends it with SIGKILL if it has not after the grace. It
// does not wait: [Run] returns when the program has ended. Stopping a sandbox that has ended does nothing.
func (in Inside) Stop(grace time.Duration) {
	_, _, _ = in.call(context.Background(), opStop, grace.String())
}

// call sends a request, and returns the answer and the descriptor beside it, if any.
func (in Inside) call(ctx context.Context, op byte, text string) (a answer, file *os.File, err error) {
	ours, theirs, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		return a, nil, err
	}
	defer ours.Close()
	defer theirs.Close()
	reply, err := unixConn(ours)
	if err != nil {
		return a, nil, err
	}
	defer reply.Close()
	defer context.AfterFunc(ctx, func() { reply.Close() })()
	_, _, err = in.control.WriteMsgUnix(append([]byte{op}, text...), unix.UnixRights(int(theirs.Fd())), nil)
	theirs.Close() // so that the end of the supervisor is the end of the reply
	if err == nil {
		r := &rightsReader{conn: reply}
		err = gob.NewDecoder(r).Decode(&a)
		file = r.file
	}
	if err == nil {
		return a, file, nil
	}
	if file != nil {
		file.Close()
	}
	if ctx.Err() != nil {
		return a, nil, context.Cause(ctx)
	}
	return a, nil, errEnded
}

// rightsReader reads from a socket, and keeps the descriptor that comes beside.
type rightsReader struct {
	conn *net.UnixConn
	file *os.File
}

func (r *rightsReader) Read(p []byte) (int, error) {
	beside := make([]byte, unix.CmsgSpace(4))
	n, nb, _, _, err := r.conn.ReadMsgUnix(p, beside)
	if f := fileOf(beside[:nb]); f != nil {
		if r.file != nil {
			r.file.Close()
		}
		r.file = f
	}
	return max(n, 0), err // it is -1 where the connection is closed
}

// fileOf returns the descriptor in a control message, or nil.
func fileOf(beside []byte) *os.File {
	messages, err := unix.ParseSocketControlMessage(beside)
	if err != nil || len(messages) != 1 {
		return nil
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil
	}
	return os.NewFile(uintptr(fds[0]), "socket")
}

func socketPair(kind int) (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket"), nil
}

// unixConn returns the connection of a socket, which has a descriptor of its own.
func unixConn(f *os.File) (*net.UnixConn, error) {
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

// visit is the caller's side of Spec.Started.
type visit struct {
	Inside
	theirs *os.File // for the supervisor
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// newVisit returns nil if the spec does not ask for one.
func newVisit(s Spec) (*visit, error) {
	if s.Started == nil {
		return nil, nil
	}
	ours, theirs, err := socketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	v := &visit{theirs: theirs, cancel: func() {}}
	if v.control, err = unixConn(ours); err != nil {
		theirs.Close()
		return nil, err
	}
	return v, nil
}

// begin waits, in a goroutine, until the program was started, and calls started.
func (v *visit) begin(ctx context.Context, started func(context.Context, Inside)) {
	ctx, v.cancel = context.WithCancel(ctx)
	v.theirs.Close()
	v.done.Go(func() {
		if n, err := v.control.Read(make([]byte, 1)); err == nil && n > 0 {
			started(ctx, v.Inside)
		}
	})
}

// end ends the context of what begin started, and waits for its end.
func (v *visit) end() {
	v.cancel()
	v.theirs.Close()
	v.control.Close()
	v.done.Wait()
}
