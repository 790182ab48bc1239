package sandbox

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// visitFD is the supervisor's descriptor for requests of the caller, if it has any.
const visitFD = 5

const (
	// maxEnv is how much of an environment is read: it is part of the report, of which the caller reads 1 MiB.
	maxEnv = 512 << 10
	// followOften is how often a new program is looked at, for followFor, and followRarely how often later.
	followOften, followRarely = 200 * time.Microsecond, 10 * time.Millisecond
	followFor                 = 5 * time.Second
)

// host is the supervisor's side of a visit. Nil is the one of a spec without Started.
type host struct {
	control *net.UnixConn
	pid     int
	pidfd   int
	mu      sync.Mutex
	program *Program
	at      string // which execution of a program that is
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
	h.pid = pid
	h.look()
	go h.follow()
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
	case opProgram:
		h.look()
		a.Program = *h.last()
		if a.Program.Executable == "" {
			a.Text = errEnded.Error()
		}
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

// follow looks again and again which program the process executes, until it has ended.
func (h *host) follow() {
	begin := time.Now()
	for h.look() {
		if time.Since(begin) < followFor {
			time.Sleep(followOften)
		} else {
			time.Sleep(followRarely)
		}
	}
}

// look notices whether the process executes another program than before. It returns false when the
// process has ended.
func (h *host) look() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.execution()
	if at == "" || at == h.at {
		return at != ""
	}
	p := Program{Env: []string{}}
	f, err := os.Open(fmt.Sprintf("/proc/%d/environ", h.pid))
	if err != nil {
		return true
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxEnv))
	if p.Executable, _, _ = strings.Cut(at, "\x00"); err != nil || h.execution() != at {
		return true // it has just executed another
	}
	for v := range strings.SplitSeq(string(text), "\x00") {
		if v != "" {
			p.Env = append(p.Env, v)
		}
	}
	h.program, h.at = &p, at
	return true
}

// execution identifies what the process executes: by the executable and the addresses of its code, stack
// and environment. It returns "" when the process has ended.
func (h *host) execution() string {
	executable, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", h.pid))
	if err != nil {
		return ""
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.pid))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 49 { // the first is the third of proc(5)
		return ""
	}
	return executable + "\x00" + strings.Join(append(fields[23:26:26], fields[42:49]...), " ")
}

// last returns what the process executed last.
func (h *host) last() *Program {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.program == nil {
		return &Program{}
	}
	return h.program
}
