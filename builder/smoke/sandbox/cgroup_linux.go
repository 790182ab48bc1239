package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroupPrefix begins the names of the cgroups that runs make.
const cgroupPrefix = "laminate-sandbox-"

// spareTasks is how many more tasks the kernel allows than the limit, so that [watch] sees the excess.
const spareTasks = 16

// A cgroup limits the tasks of a program. It is for root, for whom RLIMIT_NPROC does not hold: the
// supervisor alone may be too late for processes that double every millisecond. Where there is no
// cgroup to write to, as in most containers, the supervisor is alone.
type cgroup struct {
	dir   string   // "" if there is none
	procs *os.File // takes the ids of processes; nil if there is none
}

// newCgroup makes a cgroup. It removes those of earlier runs that were killed.
func newCgroup(l Limits) (c cgroup) {
	parent := pidsController()
	if parent == "" {
		return c
	}
	left, _ := filepath.Glob(filepath.Join(parent, cgroupPrefix+"*"))
	for _, dir := range left {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > time.Minute { // else it may be about to be used
			_ = syscall.Rmdir(dir) // fails while there are processes in it
		}
	}
	dir, err := os.MkdirTemp(parent, cgroupPrefix)
	if err != nil {
		return c
	}
	c.dir = dir
	err = os.WriteFile(filepath.Join(dir, "pids.max"), []byte(strconv.Itoa(l.Processes+spareTasks)), 0)
	if err == nil {
		c.procs, err = os.OpenFile(filepath.Join(dir, "cgroup.procs"), os.O_WRONLY, 0)
	}
	if err != nil {
		c.remove()
		return cgroup{}
	}
	return c
}

// pidsController returns a cgroup of root's that can have cgroups below it that limit tasks, or "".
func pidsController() string {
	if os.Geteuid() != 0 {
		return ""
	}
	const root = "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(root, "pids", "cgroup.procs")); err == nil {
		return filepath.Join(root, "pids") // version 1
	}
	enabled, err := os.ReadFile(filepath.Join(root, "cgroup.subtree_control"))
	for _, controller := range strings.Fields(string(enabled)) {
		if err == nil && controller == "pids" {
			return root
		}
	}
	return ""
}

// limitTasks puts the stage that becomes the program into the cgroup of its task. Without it, the
// supervisor limits the tasks alone.
func limitTasks(t task, pid int) {
	if t.CgroupFD == 0 {
		return
	}
	procs := os.NewFile(uintptr(t.CgroupFD), "cgroup.procs")
	_, _ = procs.WriteString(strconv.Itoa(pid))
	procs.Close()
}

// remove removes the cgroup when its processes have ended.
func (c cgroup) remove() {
	if c.dir == "" {
		return
	}
	if c.procs != nil {
		c.procs.Close()
	}
	for wait := time.Millisecond; wait < time.Second; wait *= 2 {
		if err := syscall.Rmdir(c.dir); err == nil || !errors.Is(err, syscall.EBUSY) {
			return
		}
		time.Sleep(wait)
	}
}
