//go:build linux

package sandbox_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"laminate/builder/smoke/sandbox"
)

var _ = DescribeTable("A step that fails says what to change", Label("once"), func(step string, errno unix.Errno, uid int, file, text, hint string) {
	got := sandbox.Hint(step, errno, uid, func(path string) string {
		if path == file {
			return text
		}
		return ""
	})
	if hint == "" {
		Expect(got).To(BeEmpty())
	}
	Expect(got).To(ContainSubstring(hint))
},
	Entry("no user namespaces", "making namespaces", unix.ENOSPC, 0, "/proc/sys/user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
	Entry("too many", "making namespaces", unix.ENOSPC, 0, "/proc/sys/user/max_user_namespaces", "10", "too many namespaces exist"),
	Entry("no /proc", "making namespaces", unix.ENOENT, 0, "", "", "mount -t proc"),
	Entry("Debian's switch", "making namespaces", unix.EPERM, 1000, "/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
	Entry("which is not for root", "making namespaces", unix.EPERM, 0, "/proc/sys/kernel/unprivileged_userns_clone", "0", "something forbids user namespaces"),
	Entry("AppArmor", "making mounts private", unix.EACCES, 1000, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "apparmor_restrict_unprivileged_userns=0"),
	Entry("seccomp", "making namespaces", unix.EPERM, 0, "/proc/self/status", "NoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1", "--security-opt seccomp=unconfined"),
	Entry("masked /proc", "mounting /proc", unix.EPERM, 0, "/proc/self/status", "NoNewPrivs:\t0\nSeccomp:\t0", "systempaths=unconfined"),
	Entry("no namespaces in the kernel", "making namespaces", unix.EINVAL, 0, "", "", "CONFIG_USER_NS"),
	Entry("an old kernel", "mounting /data", unix.ENOSYS, 0, "", "", "Linux 5.12 or later"),
	Entry("no overlay", "mounting the overlay", unix.ENODEV, 0, "", "", "modprobe overlay"),
	Entry("a file system", "mounting the overlay", unix.EINVAL, 0, "", "", "local disk"),
	Entry("an initial RAM file system", "changing the root", unix.EINVAL, 0, "", "", "initial RAM file system"),
	Entry("nothing known", "making namespaces", unix.EPERM, 0, "", "", "a chroot, a security module"),
	Entry("a command", "executing /x", unix.EACCES, 1000, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", ""),
	Entry("a missing source", "mounting /x", unix.ENOENT, 0, "", "", ""),
)
