package sandbox

import (
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// execute gives up all that the program must not have, and becomes it. It returns nil for a probe only.
func execute(t task) error {
	if err := unix.Chdir(t.Dir); err != nil && !t.Probe {
		return step("changing to the directory "+t.Dir, err)
	}
	program := ""
	if !t.Probe {
		var err error
		if program, err = lookup(t.Args[0], t.Env); err != nil {
			return step("looking up "+t.Args[0], err)
		}
	}
	unix.Umask(0o022)
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 0) // and not that of the supervisor
	if err := setLimits(t.Limits); err != nil {
		return err
	}
	if err := dropPrivileges(); err != nil {
		return err
	}
	if err := filterCalls(); err != nil {
		return step("installing the seccomp filter", err)
	}
	if t.Watch != nil {
		if err := listen(watchFD, t.Exits); err != nil {
			return step("installing the listener of a seccomp filter", err)
		}
	}
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return step("closing descriptors", err)
	}
	// Handlers are reset by exec, and signals that are ignored stay so: the caller may ignore some.
	signal.Notify(make(chan os.Signal, 1))
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, same(uint64(t.Limits.Processes+spareTasks))); err != nil {
		return step("limiting processes", err)
	}
	if t.Probe {
		return nil
	}
	return step("executing "+program, syscall.Exec(program, t.Args, t.Env))
}

// lookup returns the path of a command, as execvp(3) would find it in the environment that it gets.
func lookup(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	dirs := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			dirs = value
		}
	}
	found := error(errors.New("command not found in the PATH " + dirs))
	for _, dir := range strings.Split(dirs, ":") {
		if dir == "" {
			dir = "."
		}
		file := path.Join(dir, name)
		if dir == "." {
			file = "./" + name
		}
		info, err := os.Stat(file)
		switch {
		case err != nil || info.IsDir():
		case unix.Access(file, unix.X_OK) == nil:
			return file, nil
		default:
			found = fs.ErrPermission
		}
	}
	return "", found
}

func setLimits(l Limits) error {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return step("limiting open files", err)
	}
	// With a core size of 1 the kernel neither writes a core file nor starts a handler outside.
	for _, limit := range []struct {
		what  string
		which int
		to    uint64
	}{
		{"open files", unix.RLIMIT_NOFILE, min(uint64(l.OpenFiles), files.Max)},
		{"the size of files", unix.RLIMIT_FSIZE, uint64(l.FileSize)},
		{"core files", unix.RLIMIT_CORE, 1},
	} {
		var had unix.Rlimit
		if err := unix.Getrlimit(limit.which, &had); err != nil {
			return step("limiting "+limit.what, err)
		}
		if err := unix.Setrlimit(limit.which, same(min(limit.to, had.Max))); err != nil {
			return step("limiting "+limit.what, err)
		}
	}
	return nil
}

func same(n uint64) *unix.Rlimit { return &unix.Rlimit{Cur: n, Max: n} }

// dropPrivileges leaves this thread without capabilities and without a way to get any.
func dropPrivileges() error {
	for capability := uintptr(0); ; capability++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if err == unix.EINVAL && capability > unix.CAP_SETPCAP {
			break // the kernel knows no more
		}
		if err != nil {
			return step("dropping the bounding set", err)
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return step("dropping ambient capabilities", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return step("setting no_new_privs", err)
	}
	var none [2]unix.CapUserData
	err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0])
	return step("dropping capabilities", err)
}
