package sandbox

import (
	"encoding/binary"
	"fmt"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// notification is struct seccomp_notif, and response is struct seccomp_notif_resp.
type notification struct {
	id         uint64
	pid, flags uint32
	number     uint32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

type callKind int

const (
	callExec callKind = iota
	callExecAt
	callExit
	callExitGroup
)

// compat reports whether the call is one of the architecture beside the native one.
func (n *notification) compat() bool { return n.arch != architectures[runtime.GOARCH].audit }

func (n *notification) kind() callKind {
	c, compat := architectures[runtime.GOARCH].calls()
	if n.compat() {
		c = compat
	}
	switch n.number {
	case c.execAt:
		return callExecAt
	case c.exit:
		return callExit
	case c.exitGroup:
		return callExitGroup
	}
	return callExec
}

// family returns the process of a thread, that one's parent, and how many threads it has.
func family(thread int) (pid, parent, threads int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
	if err != nil {
		return 0, 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		into := map[string]*int{"Tgid": &pid, "PPid": &parent, "Threads": &threads}[name]
		if into == nil {
			continue
		}
		if *into, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
			return 0, 0, 0, err
		}
	}
	return pid, parent, threads, nil
}

// path returns the absolute path of the program that a call names.
func (n *notification) path() (string, error) {
	base, at := "cwd", n.args[0]
	if n.kind() == callExecAt {
		at = n.args[1]
		if dir := int32(n.args[0]); dir != unix.AT_FDCWD {
			base = fmt.Sprintf("fd/%d", dir)
		}
	}
	m := memory{pid: int(n.pid)}
	name, err := m.text(uintptr(at), unix.PathMax)
	if err != nil || path.IsAbs(name) {
		return path.Clean(name), err
	}
	dir, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", n.pid, base))
	return path.Join(dir, name), err
}

// maxEnv is how much of an environment is read.
const maxEnv = 512 << 10

// env returns the environment that a call gives a program: what can be read of it, up to maxEnv bytes.
func (n *notification) env() []string {
	at := uintptr(n.args[2])
	if n.kind() == callExecAt {
		at = uintptr(n.args[3])
	}
	size := uintptr(8)
	if n.compat() {
		size = 4
	}
	env := []string{}
	list, words := memory{pid: int(n.pid)}, memory{pid: int(n.pid)}
	for left := maxEnv; at != 0 && left > 0; at += size {
		b, err := list.bytes(at, size)
		if err != nil {
			break
		}
		word := uint64(binary.NativeEndian.Uint32(b))
		if size == 8 {
			word = binary.NativeEndian.Uint64(b)
		}
		if word == 0 {
			break
		}
		text, err := words.text(uintptr(word), left)
		if left -= len(text) + 1; text != "" {
			env = append(env, text)
		}
		if err != nil && err != unix.ENAMETOOLONG {
			break
		}
	}
	return env
}

// memory reads another process's memory a page at a time, since what follows may not be mapped, and keeps
// the last page.
type memory struct {
	pid  int
	base uintptr
	page []byte
}

// from returns what follows an address in its page.
func (m *memory) from(at uintptr) ([]byte, error) {
	size := uintptr(os.Getpagesize())
	base := at - at%size
	if m.page == nil || m.base != base {
		page := make([]byte, size)
		local := unix.Iovec{Base: &page[0]}
		local.SetLen(len(page))
		n, err := unix.ProcessVMReadv(m.pid, []unix.Iovec{local}, []unix.RemoteIovec{{Base: base, Len: len(page)}}, 0)
		if err != nil {
			return nil, err
		}
		m.base, m.page = base, page[:n]
	}
	if at-base >= uintptr(len(m.page)) {
		return nil, unix.EFAULT
	}
	return m.page[at-base:], nil
}

func (m *memory) bytes(at, n uintptr) ([]byte, error) {
	var out []byte
	for uintptr(len(out)) < n {
		part, err := m.from(at + uintptr(len(out)))
		if err != nil {
			return nil, err
		}
		out = append(out, part[:min(uintptr(len(part)), n-uintptr(len(out)))]...)
	}
	return out, nil
}

// text reads a string. With ENAMETOOLONG it returns the first bytes of a longer one.
func (m *memory) text(at uintptr, limit int) (string, error) {
	var text []byte
	for {
		part, err := m.from(at + uintptr(len(text)))
		if err != nil {
			return string(text), err
		}
		end := slices.Index(part, 0)
		if end >= 0 {
			part = part[:end]
		}
		text = append(text, part...)
		switch {
		case len(text) >= limit:
			return string(text[:limit]), unix.ENAMETOOLONG
		case end >= 0:
			return string(text), nil
		}
	}
}
