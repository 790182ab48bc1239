package sandbox

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// setupError returns a SetupError with what is known about its cause.
func setupError(step string, err error) error {
	read := func(path string) string {
		text, _ := os.ReadFile(path)
		return strings.TrimSpace(string(text))
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		return &SetupError{Step: step, Err: errno, Hint: hint(step, errno, os.Geteuid(), read)}
	}
	return &SetupError{Step: step, Err: err}
}

// hint returns what forbids a step to the user, and what to change; or "". read returns what a file of
// /proc holds, or "".
func hint(step string, errno unix.Errno, uid int, read func(string) string) string {
	denied := errno == unix.EPERM || errno == unix.EACCES
	seccomp := strings.Contains(read("/proc/self/status"), "\nSeccomp:\t2")
	switch {
	case strings.HasPrefix(step, "looking up"), strings.HasPrefix(step, "executing"), strings.HasPrefix(step, "changing to"):
		return ""
	case errno == unix.ENOENT && step == "making namespaces":
		return "/proc is missing, and this program starts itself through it: mount -t proc proc /proc"
	case read("/proc/sys/user/max_user_namespaces") == "0":
		return "no user namespaces are allowed: sysctl -w user.max_user_namespaces=15000"
	case errno == unix.ENOSPC && step == "making namespaces", errno == unix.EUSERS:
		return "too many namespaces exist, or they are nested too deep: raise user.max_user_namespaces and the other user.max_*_namespaces"
	case denied && uid != 0 && read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
		return "user namespaces are for root only here: sysctl -w kernel.unprivileged_userns_clone=1"
	case denied && uid != 0 && read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
		return "AppArmor restricts user namespaces: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, " +
			"or give this program a profile with the rule \"userns,\""
	case denied && step == "mounting /proc":
		return "a part of /proc is hidden, as container engines do: start the container with " +
			"--security-opt systempaths=unconfined (Kubernetes: procMount: Unmasked)"
	case denied && seccomp:
		return "a seccomp filter is active, as container engines set one: start the container with " +
			"--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined"
	case (errno == unix.ENOSYS || errno == unix.EINVAL) && step == "making namespaces":
		return "the kernel has no user namespaces, or not all others; it needs CONFIG_USER_NS, and Linux 5.12 or later"
	case errno == unix.ENOSYS:
		return "the kernel is too old; Linux 5.12 or later is needed"
	case errno == unix.ENODEV && step == "mounting the overlay":
		return "the kernel has no overlay file system: modprobe overlay"
	case step == "mounting the overlay":
		return "overlay does not take this file system, such as that of a container, or not in a user namespace; set TMPDIR and LAMINATE_CACHE_DIR " +
			"to directories on a local disk (ext4, xfs, btrfs, tmpfs) or a volume, and use Linux 5.12 or later"
	case denied && step == "making namespaces":
		return "something forbids user namespaces: a chroot, a security module, or a container without the permission"
	case errno == unix.EINVAL && step == "changing the root":
		return "the root of this machine is an initial RAM file system, which cannot be left; boot from a disk, or use a container"
	}
	return ""
}
