package sandbox

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// devices are the ones that a program gets. /dev/tty is the controlling terminal of who opens it: none.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// masked are files and directories of /proc that tell about the machine, or act on it where the user of
// the program is root outside.
var masked = []string{
	"acpi", "asound", "interrupts", "kallsyms", "kcore", "key-users", "keys", "kmsg", "kpagecgroup", "kpagecount",
	"kpageflags", "latency_stats", "sched_debug", "scsi", "slabinfo", "sysrq-trigger", "timer_list", "vmallocinfo",
}

// openDevices copies the mounts of devices, before they are out of reach.
func openDevices() ([]tree, error) {
	var trees []tree
	for _, name := range devices {
		fd, err := unix.OpenTree(unix.AT_FDCWD, "/dev/"+name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err == nil {
			err = setMount(fd, "", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, unix.AT_EMPTY_PATH)
		}
		if err != nil {
			return nil, step("mounting /dev/"+name, err)
		}
		trees = append(trees, tree{fd: fd, file: true})
	}
	return trees, nil
}

// mountpoint makes one of the sandbox's own directories. An image must not lead it elsewhere.
func mountpoint(dir string) error {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return bare(os.Mkdir(dir, 0o755))
	case err != nil:
		return bare(err)
	case !info.IsDir():
		return errors.New("the root has something else than a directory there")
	}
	return nil
}

func mountProc() error {
	err := mountpoint("/proc")
	if err == nil {
		err = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	}
	return step("mounting /proc", err)
}

// closeProc masks what tells about the machine, and makes /proc read-only: files below /proc/sys belong
// to root, whom the program can be outside.
func closeProc() error {
	for _, name := range masked {
		target := "/proc/" + name
		var st unix.Stat_t
		if unix.Lstat(target, &st) != nil {
			continue
		}
		var err error
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			err = unix.Mount("sandbox", target, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_RDONLY, "size=4k,mode=555")
		} else {
			err = unix.Mount("/dev/null", target, "", unix.MS_BIND, "")
		}
		if err != nil {
			return step("masking "+target, err)
		}
	}
	return step("making /proc read-only", setMount(unix.AT_FDCWD, "/proc", unix.MOUNT_ATTR_RDONLY, 0))
}

func mountDev(devs []tree) error {
	if err := mountpoint("/dev"); err != nil {
		return step("mounting /dev", err)
	}
	if err := unix.Mount("sandbox", "/dev", "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "size=64k,mode=755"); err != nil {
		return step("mounting /dev", err)
	}
	for i, name := range devices {
		if err := devs[i].put("/dev/" + name); err != nil {
			return step("mounting /dev/"+name, err)
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(target, "/dev/"+name); err != nil {
			return step("mounting /dev", err)
		}
	}
	if err := os.Mkdir("/dev/shm", 0o755); err != nil {
		return step("mounting /dev/shm", err)
	}
	if err := unix.Mount("sandbox", "/dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=64m,mode=1777"); err != nil {
		return step("mounting /dev/shm", err)
	}
	return step("making /dev read-only", setMount(unix.AT_FDCWD, "/dev", unix.MOUNT_ATTR_RDONLY, 0))
}
