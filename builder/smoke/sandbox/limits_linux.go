package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxDepth = 500  // of directories that are measured: each takes a descriptor meanwhile
	perFile  = 4096 // what a file counts at least
)

var errTooDeep = errors.New("directories too deep")

// watch looks whether the program keeps to the limits.
type watch struct {
	limits   Limits
	writable []int // descriptors of what the program can write to
	roots    map[inode]bool
	before   int64         // bytes at the start
	largest  int64         // file at the last measurement
	free     uint64        // of the file systems, at the start
	last     time.Time     // when the last measurement ended
	took     time.Duration // how long it took
}

type inode struct{ dev, ino uint64 }

func newWatch(l Limits, writable []int) (*watch, error) {
	w := &watch{limits: l, writable: writable, roots: map[inode]bool{}, free: freeBytes(writable)}
	for _, fd := range writable {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return nil, step("measuring the mounts", err)
		}
		w.roots[inode{uint64(st.Dev), st.Ino}] = true
	}
	var err error
	if w.before, err = w.measure(); err != nil {
		return nil, step("measuring the mounts", err)
	}
	w.last = time.Now()
	return w, nil
}

// look returns the limit that the program exceeds now, or nil.
func (w *watch) look() *LimitError {
	if limit := w.tasks(); limit != nil {
		return limit
	}
	// Measuring takes a fiftieth of the time at most. Free space tells at once, but others use it too: so
	// when it shrinks, the next measurement comes sooner.
	pause := max(time.Second, 50*w.took)
	if int64(w.free)-int64(freeBytes(w.writable)) > w.limits.Bytes/2 {
		pause = 10 * w.took
	}
	start := time.Now()
	if start.Sub(w.last) < pause {
		return nil
	}
	_, limit := w.written()
	w.last, w.took = time.Now(), time.Since(start)
	return limit
}

// tasks returns the limit of processes and threads if it is exceeded now, or nil.
func (w *watch) tasks() *LimitError {
	if countTasks(w.limits.Processes) <= w.limits.Processes {
		return nil
	}
	return &LimitError{Limit: LimitProcesses, Max: int64(w.limits.Processes)}
}

// written returns by how much what the program can write to has grown, and the limit that this exceeds.
func (w *watch) written() (int64, *LimitError) {
	bytes, err := w.measure()
	if errors.Is(err, errTooDeep) {
		return 0, &LimitError{Limit: LimitDepth, Max: maxDepth}
	}
	grown := max(bytes-w.before, 0)
	if grown > w.limits.Bytes {
		return grown, &LimitError{Limit: LimitBytes, Max: w.limits.Bytes}
	}
	return grown, nil
}

// measure returns the bytes on disk of all that the program can write to, and of files that it has
// removed and holds open.
func (w *watch) measure() (int64, error) {
	m := measurement{seen: map[inode]bool{}, roots: w.roots, devs: map[uint64]bool{}}
	for _, fd := range w.writable {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return 0, err
		}
		m.devs[uint64(st.Dev)] = true
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			m.add(&st)
		} else if err := m.walk(fd, 0); err != nil {
			return 0, err
		}
	}
	m.addRemoved()
	w.largest = m.largest
	return m.bytes, nil
}

type measurement struct {
	bytes   int64
	largest int64
	seen    map[inode]bool // files with more than one name
	roots   map[inode]bool
	devs    map[uint64]bool
}

func (m *measurement) add(st *unix.Stat_t) {
	if st.Nlink != 1 && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		at := inode{uint64(st.Dev), st.Ino}
		if m.seen[at] {
			return
		}
		m.seen[at] = true
	}
	m.bytes += max(st.Blocks*512, perFile)
	if st.Mode&unix.S_IFMT == unix.S_IFREG {
		m.largest = max(m.largest, st.Size)
	}
}

// walk adds everything below a directory, and follows no link. What vanishes meanwhile does not count.
func (m *measurement) walk(dir, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	fd, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ignoreGone(err)
	}
	f := os.NewFile(uintptr(fd), "")
	defer f.Close()
	for {
		names, err := f.Readdirnames(1000)
		for _, name := range names {
			if err := m.entry(fd, name, depth); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return ignoreGone(err)
		}
	}
}

func (m *measurement) entry(dir int, name string, depth int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return ignoreGone(err)
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if isDir && m.roots[inode{uint64(st.Dev), st.Ino}] {
		return nil // a mount that counts by itself
	}
	m.add(&st)
	if !isDir {
		return nil
	}
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return ignoreGone(err)
	}
	defer unix.Close(fd)
	return m.walk(fd, depth+1)
}

func ignoreGone(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil
	}
	return err
}

// addRemoved adds files without a name that a process holds open.
func (m *measurement) addRemoved() {
	for _, pid := range pids() {
		dir := fmt.Sprintf("/proc/%d/fd", pid)
		f, err := os.Open(dir)
		if err != nil {
			continue // it ended
		}
		names, _ := f.Readdirnames(-1)
		for _, name := range names {
			var st unix.Stat_t
			if unix.Fstatat(int(f.Fd()), name, &st, 0) != nil || st.Nlink != 0 || st.Mode&unix.S_IFMT != unix.S_IFREG {
				continue
			}
			// On an overlay files have other devices than in its upper directory. In memory they are limited.
			var in unix.Statfs_t
			if m.devs[uint64(st.Dev)] || unix.Statfs(dir+"/"+name, &in) == nil && in.Type != unix.TMPFS_MAGIC {
				m.add(&st)
			}
		}
		f.Close()
	}
}

// freeBytes returns what is free on the file systems; on one that is asked twice, twice.
func freeBytes(fds []int) uint64 {
	var free uint64
	for _, fd := range fds {
		var st unix.Statfs_t
		if unix.Fstatfs(fd, &st) == nil {
			free += st.Bfree * uint64(st.Bsize)
		}
	}
	return free
}

// countTasks returns the number of processes and threads, or any number above enough: what becomes more
// and more has to be stopped soon.
func countTasks(enough int) int {
	all := pids()
	if len(all) > enough {
		return len(all)
	}
	n := 0
	for _, pid := range all {
		if n > enough {
			break
		}
		var st unix.Stat_t
		if unix.Stat(fmt.Sprintf("/proc/%d/task", pid), &st) == nil {
			n += max(int(st.Nlink)-2, 1)
		}
	}
	return n
}

// raiseOpenFiles lets the supervisor walk deep directories. The program's limit is its own.
func raiseOpenFiles() error {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return step("raising the limit of open files", err)
	}
	files.Cur = files.Max
	return step("raising the limit of open files", unix.Setrlimit(unix.RLIMIT_NOFILE, &files))
}
