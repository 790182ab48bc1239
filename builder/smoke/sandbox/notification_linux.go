package sandbox

import (
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

// family returns the process of a thread, and that one's parent.
func family(thread int) (pid, parent int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "Tgid":
			pid, err = strconv.Atoi(strings.TrimSpace(value))
		case "PPid":
			parent, err = strconv.Atoi(strings.TrimSpace(value))
		}
		if err != nil {
			return 0, 0, err
		}
	}
	return pid, parent, nil
}

// path returns the absolute path of the program that a call names.
func (n *notification) path() (string, error) {
	native, compat := architectures[runtime.GOARCH].execs()
	base, at := "cwd", n.args[0]
	if n.number == native[1] && n.arch == architectures[runtime.GOARCH].audit || n.number == compat[1] && n.arch == architectures[runtime.GOARCH].compat {
		at = n.args[1]
		if dir := int32(n.args[0]); dir != unix.AT_FDCWD {
			base = fmt.Sprintf("fd/%d", dir)
		}
	}
	name, err := readString(int(n.pid), uintptr(at))
	if err != nil || path.IsAbs(name) {
		return path.Clean(name), err
	}
	dir, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", n.pid, base))
	return path.Join(dir, name), err
}

// readString reads a string of another process, a page at a time: what follows may not be mapped.
func readString(pid int, at uintptr) (string, error) {
	var text []byte
	page := uintptr(os.Getpagesize())
	for len(text) < unix.PathMax {
		part := make([]byte, page-at%page)
		local := unix.Iovec{Base: &part[0]}
		local.SetLen(len(part))
		n, err := unix.ProcessVMReadv(pid, []unix.Iovec{local}, []unix.RemoteIovec{{Base: at, Len: len(part)}}, 0)
		if err != nil {
			return "", err
		}
		if end := slices.Index(part[:n], 0); end >= 0 {
			return string(append(text, part[:end]...)), nil
		}
		text, at = append(text, part[:n]...), at+uintptr(n)
	}
	return "", unix.ENAMETOOLONG
}
