package sandbox

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// busy returns the error of a mount that a process writes to.
func (p *part) busy() *BusyError {
	e := &BusyError{Dir: p.path}
	id := fdinfo("self", strconv.Itoa(p.fd))["mnt_id"]
	for _, pid := range pids() {
		file := writes(strconv.Itoa(pid), id)
		if file == "" {
			file = maps(strconv.Itoa(pid), p.path)
		}
		if file == "" {
			continue
		}
		if process, err := processOf(pid); err == nil {
			e.Path, e.Process = file, process
			return e
		}
	}
	return e
}

// writes returns a file of a mount that a process has open for writing, or "".
func writes(pid, mount string) string {
	dir, err := os.Open("/proc/" + pid + "/fd")
	if err != nil {
		return ""
	}
	defer dir.Close()
	fds, _ := dir.Readdirnames(-1)
	for _, fd := range fds {
		info := fdinfo(pid, fd)
		flags, err := strconv.ParseUint(info["flags"], 8, 32)
		if err != nil || info["mnt_id"] != mount || flags&unix.O_ACCMODE == unix.O_RDONLY || flags&unix.O_PATH != 0 {
			continue
		}
		if file, err := os.Readlink("/proc/" + pid + "/fd/" + fd); err == nil {
			return file
		}
	}
	return ""
}

// fdinfo returns what the kernel says about a descriptor.
func fdinfo(pid, fd string) map[string]string {
	text, _ := os.ReadFile("/proc/" + pid + "/fdinfo/" + fd)
	info := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		info[name] = strings.TrimSpace(value)
	}
	return info
}

// maps returns a file below a directory that is in a process's memory as a shared mapping, which keeps it
// open, or "".
func maps(pid, dir string) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%s/maps", pid))
	for line := range strings.Lines(string(text)) {
		// 7f0e4c000000-7f0e4c001000 rw-s 00000000 00:2b 1234   /layers/acme_jre/jre/file
		fields := strings.SplitN(strings.TrimSpace(line), " ", 6)
		if len(fields) < 6 || len(fields[1]) != 4 || fields[1][3] != 's' {
			continue
		}
		if file := strings.TrimSpace(fields[5]); strings.HasPrefix(file, dir+"/") {
			return file
		}
	}
	return ""
}
