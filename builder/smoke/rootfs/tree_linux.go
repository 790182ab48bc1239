package rootfs

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"laminate/packager/stream"
)

const (
	// maxPath is the maximum length of a name: that of Linux.
	maxPath = 4095
	// maxDepth is the maximum depth of directories. Removing a tree takes a descriptor for each level.
	maxDepth = 256
	// block is the unit of space on disk.
	block = 4096
)

// tree is a root file system that is being unpacked. Several writers may use it.
type tree struct {
	root    *handle
	limits  stream.Limits
	bytes   atomic.Int64
	entries atomic.Int64
	skipped atomic.Int64

	mu   sync.Mutex
	dirs map[uint64]directory // by inode
}

// directory is what has to be known of a directory until the end.
type directory struct {
	depth int
	time  unix.Timespec // set at the end, since every new file changes it
}

func newTree(dir string, limits stream.Limits) (*tree, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd) // it was not written to
		return nil, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	t := &tree{root: &handle{fd: fd, ino: st.Ino}, limits: limits, dirs: map[uint64]directory{st.Ino: {}}}
	return t, unix.Fchmodat(fd, ".", 0o755, 0)
}

func (t *tree) close() { _ = unix.Close(t.root.fd) }

// mkdir creates a directory. Its mode depends on the umask.
func (t *tree) mkdir(up *handle, name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	depth := t.dirs[up.ino].depth + 1
	if depth > maxDepth {
		return fmt.Errorf("more than %d directories deep", maxDepth)
	}
	if err := unix.Mkdirat(up.fd, name, 0o700); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(up.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	t.dirs[st.Ino] = directory{depth: depth}
	return unix.Fchmodat(up.fd, name, 0o755, 0)
}

// setTime sets the time of a directory, once everything is unpacked.
func (t *tree) setTime(ino uint64, time unix.Timespec) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.dirs[ino]
	d.time = time
	t.dirs[ino] = d
}

func (t *tree) forget(ino uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.dirs, ino)
}

// finish sets the times of directories.
func (t *tree) finish(dir string) (Facts, error) {
	return walk(dir, func(up int, name string, ino uint64) error {
		time := t.dirs[ino].time
		return unix.UtimesNanoAt(up, name, []unix.Timespec{time, time}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// survey returns the facts of a tree, but not what was skipped.
func survey(dir string) (Facts, error) { return walk(dir, nil) }

// walk calls do, which may be nil, for every directory of a tree, after all that is in it.
func walk(dir string, do func(up int, name string, ino uint64) error) (Facts, error) {
	var f Facts
	up, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return f, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(up)
	if err := walkAt(up, ".", 0, &f, do); err != nil {
		return f, &os.PathError{Op: "walk", Path: dir, Err: err}
	}
	return f, nil
}

func walkAt(up int, name string, depth int, f *Facts, do func(up int, name string, ino uint64) error) error {
	var st unix.Stat_t
	if err := unix.Fstatat(up, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	f.Entries++
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
	case unix.S_IFREG, unix.S_IFLNK:
		f.Bytes += st.Size
		f.Disk += (st.Size + block - 1) / block * block / int64(st.Nlink)
		return nil
	default:
		return errDamaged
	}
	f.Disk += block
	if depth > maxDepth {
		return errDamaged
	}
	err := eachName(up, name, func(dir int, child string) error { return walkAt(dir, child, depth+1, f, do) })
	if err == nil && do != nil {
		err = do(up, name, st.Ino)
	}
	return err
}

// eachName calls do for each name in a directory.
func eachName(up int, name string, do func(dir int, name string) error) error {
	fd, err := unix.Openat(up, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	for _, n := range names {
		if err == nil {
			err = do(fd, n)
		}
	}
	return err
}
