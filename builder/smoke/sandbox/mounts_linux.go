package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

const noPrivileges = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV

// tree is a detached copy of a mount, to be put somewhere.
type tree struct {
	fd   int
	file bool // not a directory
}

// enterRoot makes the file system of the sandbox and changes the root of this process to it. It returns
// descriptors of what the program can write to.
func enterRoot(t task) (writable []int, err error) {
	trees, writable, err := openMounts(t.Spec)
	if err != nil {
		return nil, err
	}
	devs, err := openDevices()
	if err != nil {
		return nil, err
	}
	upper, err := mountRoot(t.Spec)
	if err != nil {
		return nil, err
	}
	if upper >= 0 {
		writable = append(writable, upper)
	}
	extra, err := openNetworkFiles(t.Spec)
	if err != nil {
		return nil, err
	}
	if err := pivot(path.Join(t.Root, "root")); err != nil {
		return nil, err
	}
	// The old root still lies over the new one, and is needed: a new /proc is only granted where one is
	// fully visible.
	if err := mountProc(); err != nil {
		return nil, err
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return nil, step("leaving the old root", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return nil, step("leaving the old root", err)
	}
	if err := mountDev(devs); err != nil {
		return nil, err
	}
	for _, file := range extra {
		if err := file.tree.put(file.target); err != nil {
			return nil, step("mounting "+file.target, err)
		}
	}
	for i, m := range t.Mounts {
		if err := trees[i].put(m.Target); err != nil {
			return nil, step("mounting "+m.Target, err)
		}
	}
	return writable, nil
}

// closeRoot makes read-only what the supervisor had to write to.
func closeRoot(s Spec) error {
	if err := closeProc(); err != nil || s.Writable {
		return err
	}
	return step("making the root read-only", setMount(unix.AT_FDCWD, "/", unix.MOUNT_ATTR_RDONLY, 0))
}

// openMounts copies the mounts of the caller, before anything covers them.
func openMounts(s Spec) (trees []tree, writable []int, err error) {
	for i, m := range s.Mounts {
		t, err := openTree(s.source(i), m.ReadOnly)
		if err != nil {
			return nil, nil, step("mounting "+m.Target, err)
		}
		trees = append(trees, t)
		if m.ReadOnly {
			continue
		}
		// Not through the copy: it has to stay readable after it was put somewhere else.
		fd, err := unix.Open(s.source(i), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return nil, nil, step("mounting "+m.Target, err)
		}
		writable = append(writable, fd)
	}
	return trees, writable, nil
}

// openTree copies the mount at source, with what is mounted below it.
func openTree(source string, readOnly bool) (tree, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return tree{}, err
	}
	attr := uint64(noPrivileges)
	if readOnly {
		attr |= unix.MOUNT_ATTR_RDONLY
	}
	if err := setMount(fd, "", attr, unix.AT_EMPTY_PATH|unix.AT_RECURSIVE); err != nil {
		return tree{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return tree{}, err
	}
	return tree{fd: fd, file: st.Mode&unix.S_IFMT != unix.S_IFDIR}, nil
}

// put mounts the tree at target, which is made if it is missing. The process's root has to be the
// sandbox's.
func (t tree) put(target string) error {
	if err := makeTarget(target, t.file); err != nil {
		return err
	}
	err := unix.MoveMount(t.fd, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_SYMLINKS)
	return errors.Join(err, unix.Close(t.fd))
}

func makeTarget(target string, file bool) error {
	info, err := os.Stat(target)
	switch {
	case err == nil && info.IsDir() == file:
		if file {
			return errors.New("the target is a directory, and the source is not")
		}
		return errors.New("the target is not a directory, and the source is one")
	case err == nil:
		return nil
	case !file:
		return bare(os.MkdirAll(target, 0o755))
	}
	if err := os.MkdirAll(path.Dir(target), 0o755); err != nil {
		return bare(err)
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return bare(err)
	}
	return f.Close()
}

// bare returns the reason of an error about a path: the path is said already.
func bare(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

func setMount(fd int, path string, attr uint64, flags uint) error {
	return unix.MountSetattr(fd, path, flags, &unix.MountAttr{Attr_set: attr})
}

// mountRoot covers the directory of the root by a small tmpfs, and mounts the overlay at "root" in it.
// It returns a descriptor of the upper directory of a writable root, or -1.
func mountRoot(s Spec) (int, error) {
	lower, err := unix.Open(s.Root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, step("opening the root", err)
	}
	defer unix.Close(lower)
	upper := -1
	if s.Writable {
		if upper, err = unix.Open(filepath.Join(s.Scratch, "upper"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			return -1, step("opening the scratch directory", err)
		}
	}
	scratch := s.Root
	if s.Writable {
		fd, err := unix.Open(s.Scratch, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, step("opening the scratch directory", err)
		}
		defer unix.Close(fd)
		scratch = proc(fd)
	}
	if err := unix.Mount("sandbox", s.Root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=16m,mode=755"); err != nil {
		return -1, step("mounting a tmpfs", err)
	}
	for _, name := range []string{"root", "upper", "work"} {
		if err := os.Mkdir(path.Join(s.Root, name), 0o755); err != nil {
			return -1, step("preparing the root", err)
		}
	}
	// Through descriptors, so that no character of a path means something to overlay.
	options := fmt.Sprintf("userxattr,lowerdir=%s,upperdir=%s/upper,workdir=%[2]s/work", proc(lower), scratch)
	if !s.Writable {
		staging, err := unix.Open(s.Root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, step("preparing the root", err)
		}
		defer unix.Close(staging)
		options = fmt.Sprintf("userxattr,lowerdir=%s,upperdir=%s/upper,workdir=%[2]s/work", proc(lower), proc(staging))
	}
	if err := unix.Mount("overlay", path.Join(s.Root, "root"), "overlay", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return -1, step("mounting the overlay", err)
	}
	return upper, nil
}

func proc(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

type placed struct {
	tree   tree
	target string
}

// openNetworkFiles returns what tells programs where hosts are.
func openNetworkFiles(s Spec) ([]placed, error) {
	sources := map[string]string{"/etc/hosts": "/etc/hosts", "/etc/resolv.conf": "/etc/resolv.conf"}
	if s.Network == None {
		own := path.Join(s.Root, "hosts")
		text := "127.0.0.1\tlocalhost " + s.Hostname + "\n::1\tlocalhost\n"
		if err := os.WriteFile(own, []byte(text), 0o644); err != nil {
			return nil, step("writing /etc/hosts", err)
		}
		sources = map[string]string{"/etc/hosts": own}
	}
	var files []placed
	for target, source := range sources {
		t, err := openTree(source, true)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, step("mounting "+target, err)
		default:
			files = append(files, placed{t, target})
		}
	}
	return files, nil
}

// pivot changes the root of the process to root; the old one lies over it, and is the working directory.
func pivot(root string) error {
	if err := unix.Chdir(root); err != nil {
		return step("changing the root", err)
	}
	old, err := unix.Open("/", unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return step("changing the root", err)
	}
	defer unix.Close(old)
	if err := unix.PivotRoot(".", "."); err != nil {
		return step("changing the root", err)
	}
	return step("changing the root", unix.Fchdir(old))
}
