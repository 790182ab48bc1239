package sandbox

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// visitFD is the supervisor's descriptor for requests of the caller, if it has any.
const visitFD = 5

// host is the supervisor's side of a visit. Nil is the one of a spec without Started.
type host struct {
	control *net.UnixConn
	pidfd   int
}

// newHost takes the descriptor of the caller's requests, so that no other process gets it.
func newHost(t task) (*host, error) {
	if !t.Visited {
		return nil, nil
	}
	f := os.NewFile(visitFD, "visit")
	defer f.Close()
	control, err := unixConn(f)
	return &host{control: control}, step("opening the connection to the caller", err)
}

// welcome is called when the program was started and before anything waits for its end.
func (h *host) welcome(pid int) error {
	if h == nil {
		return nil
	}
	var err error
	if h.pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
		return step("opening the program's process", err)
	}
	go h.serve()
	if _, err := h.control.Write([]byte{0}); err != nil {
		return step("telling the caller of the start", err)
	}
	return nil
}

// serve answers requests.
func (h *host) serve() {
	for {
		request, beside := make([]byte, maxRequest), make([]byte, unix.CmsgSpace(4))
		n, nb, _, _, err := h.control.ReadMsgUnix(request, beside)
		if err != nil {
			return // the caller closed it
		}
		f := fileOf(beside[:nb])
		if f == nil {
			continue
		}
		reply, err := unixConn(f)
		f.Close()
		if err == nil {
			go h.answer(request[:n], reply)
		}
	}
}

// answer answers one request.
func (h *host) answer(request []byte, reply *net.UnixConn) {
	defer reply.Close()
	var a answer
	var rights []byte
	switch request[0] {
	case opDial:
		f, err := dialFor(reply, string(request[1:]))
		if err != nil {
			a.Text = err.Error()
			_ = errors.As(err, &a.Errno)
			break
		}
		defer f.Close()
		rights = unix.UnixRights(int(f.Fd()))
	case opStop:
		grace, _ := time.ParseDuration(string(request[1:]))
		_ = unix.PidfdSendSignal(h.pidfd, unix.SIGTERM, nil, 0)
		time.AfterFunc(grace, func() { _ = unix.PidfdSendSignal(h.pidfd, unix.SIGKILL, nil, 0) })
	}
	var text bytes.Buffer
	if gob.NewEncoder(&text).Encode(a) != nil {
		return
	}
	n, _, err := reply.WriteMsgUnix(text.Bytes(), rights, nil)
	if err == nil && n < text.Len() {
		_, _ = reply.Write(text.Bytes()[n:])
	}
}

// dialFor connects, unless the caller gives up before.
func dialFor(caller *net.UnixConn, address string) (*os.File, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, caller)
		cancel()
	}()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*net.TCPConn).File()
}
