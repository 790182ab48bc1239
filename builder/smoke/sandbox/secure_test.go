//go:build linux

package sandbox_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/sandbox"
)

// forbidden says how each attempt of the tool has to end.
var forbidden = map[string]string{
	"root of 1": "permission denied", "cwd of 1": "permission denied", "exe of 1": "permission denied",
	"mem of 1": "permission denied", "environ of 1": "permission denied", "fd of 1": "permission denied", "ns of 1": "permission denied",
	"ptrace 1": "operation not permitted", "vm read 1": "operation not permitted",
	"mknod": "operation not permitted", "mknod null": "operation not permitted",
	"/dev/mem": "no such file or directory", "/dev/vda": "no such file or directory", "/dev/tty": "no such device or address",
	"mount tmpfs": "operation not permitted", "bind": "operation not permitted", "remount": "operation not permitted", "umount": "operation not permitted",
	"open_tree": "operation not permitted", "fsopen": "operation not permitted", "pivot_root": "operation not permitted", "chroot": "operation not permitted",
	"unshare user": "no space left on device", "unshare mnt": "operation not permitted", "unshare pid": "operation not permitted",
	"unshare net": "operation not permitted", "unshare cgroup": "operation not permitted", "setns": "operation not permitted",
	"setuid 0": "invalid argument", "setgroups": "operation not permitted", "sethostname": "operation not permitted",
	"keyctl": "operation not permitted", "bpf": "operation not permitted",
	"io_uring": "operation not permitted", "perf": "operation not permitted", "vsock": "operation not permitted", "raw socket": "operation not permitted",
	"sysctl":         "open /proc/sys/kernel/core_pattern: read-only file system",
	"sysctl of user": "open /proc/sys/user/max_user_namespaces: read-only file system",
	"sys":            "open /sys/kernel/uevent_helper: no such file or directory",
	"kcore":          "open /proc/kcore: no such file or directory", "uid_map": "open /proc/self/uid_map: read-only file system",
	"setuid file": "uid 1001", "escape by link": "no such file or directory", "escape by dots": "no such file or directory",
	"host file": "no such file or directory", "kill host": "no such process", "reboot": "operation not permitted", "settime": "operation not permitted",
}

// target makes what a program would reach if the sandbox leaked: a file, a process, a listener and an
// abstract socket of this machine.
func target(b *box) {
	dir := GinkgoT().TempDir()
	file := filepath.Join(dir, "passwd-of-host")
	Expect(os.WriteFile(file, []byte("secret"), 0o644)).To(Succeed())
	Expect(os.Symlink(dir, filepath.Join(b.Root, "host-link"))).To(Succeed())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(listener.Close)
	name := "laminate-" + strconv.Itoa(os.Getpid())
	abstract, err := net.Listen("unix", "@"+name)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(abstract.Close)
	b.Env = append(b.Env, "HOST_FILE="+file, "HOST_PID="+strconv.Itoa(os.Getpid()), "HOST_LISTENER="+listener.Addr().String(), "HOST_ABSTRACT="+name)
}

var _ = Describe("A sandbox", func() {
	var b *box
	BeforeEach(func() {
		b = newBox("try", "/data")
		content, err := os.ReadFile(tool)
		Expect(err).NotTo(HaveOccurred())
		setuid := filepath.Join(b.Root, "bin/setuid")
		Expect(os.WriteFile(setuid, content, 0o755)).To(Succeed())
		Expect(os.Chmod(setuid, 0o755|os.ModeSetuid|os.ModeSetgid)).To(Succeed())
		target(b)
	})

	It("keeps a program in", func() {
		said := b.says()
		for name, text := range forbidden {
			if name == "kcore" { // not every kernel has it; where it is, it is masked
				Expect(said[name]).To(Or(Equal(text), Equal("EOF")))
				continue
			}
			Expect(said).To(HaveKeyWithValue(name, text))
		}
		Expect(said).To(HaveKeyWithValue("sysrq", ContainSubstring("/proc/sysrq-trigger")))
	})

	It("has no network but its own loopback", func() {
		said := b.says()
		Expect(said).To(HaveKeyWithValue("loopback", "<nil>"))
		Expect(said).To(HaveKeyWithValue("localhost", "<nil>"))
		Expect(said).To(HaveKeyWithValue("outside", "network is unreachable"))
		Expect(said).To(HaveKeyWithValue("listener", "connection refused"))
		Expect(said).To(HaveKeyWithValue("abstract socket", ContainSubstring("connection refused")))
	})

	It("has the network of the machine where that is asked for, and no other hold on it", func() {
		b.Network = sandbox.Host
		said := b.says()
		Expect(said).To(HaveKeyWithValue("listener", "<nil>"))
		Expect(said).To(HaveKeyWithValue("raw socket", "operation not permitted"))
		Expect(said).To(HaveKeyWithValue("host file", "no such file or directory"))
	})

	It("keeps a program in whose user is root inside", func() {
		b.UID, b.GID = 0, 0
		said := b.says()
		for name, text := range forbidden {
			switch name {
			case "setuid 0", "setuid file", "kcore":
			default:
				Expect(said).To(HaveKeyWithValue(name, text))
			}
		}
		Expect(said).To(HaveKeyWithValue("setuid file", "uid 0"))
	})

	It("leaves the root as it was, whatever the program writes", func() {
		b.Args[1] = "spray"
		before := snapshot(b.Root)
		_, err := b.run()
		Expect(err).NotTo(HaveOccurred())
		for line := range strings.Lines(b.out.String()) {
			Expect(line).To(Or(ContainSubstring(": /data"), ContainSubstring(": /dev/shm")))
		}
		Expect(b.out.String()).To(ContainSubstring("made: /data/sprayed"))
		Expect(snapshot(b.Root)).To(Equal(before))
		b.Writable, b.Mounts = true, nil
		_, err = b.run()
		Expect(err).NotTo(HaveOccurred())
		Expect(b.out.String()).To(ContainSubstring("removed: /etc/passwd"))
		Expect(snapshot(b.Root)).To(Equal(before))
	})

	It("survives every signal that the program sends its supervisor", func() {
		b.Args = []string{"tool", "attack1"}
		result, err := b.run()
		Expect(err).NotTo(HaveOccurred(), b.err.String())
		Expect(b.out.String()).To(Equal("done\n"))
		Expect(result.ExitCode).To(BeZero())
	})
})

// snapshot returns all that is known of the files below a directory.
func snapshot(dir string) (all []string) {
	Expect(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		Expect(err).NotTo(HaveOccurred())
		info, err := d.Info()
		Expect(err).NotTo(HaveOccurred())
		st := info.Sys().(*syscall.Stat_t)
		all = append(all, path+" "+info.Mode().String()+" "+info.ModTime().String()+" "+strconv.FormatInt(info.Size(), 10)+" "+strconv.FormatUint(st.Ino, 10))
		return nil
	})).To(Succeed())
	return all
}

var _ = Describe("An ordinary user", func() {
	It("gets the same sandbox as root", Label("once"), func() {
		if os.Geteuid() != 0 {
			Skip("this is an ordinary user already")
		}
		dir, err := os.MkdirTemp("/tmp", "sandbox-test-") // $TMPDIR may be closed to others
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(os.RemoveAll, dir)
		Expect(os.Chmod(dir, 0o777)).To(Succeed())
		for from, to := range map[string]string{"/proc/self/exe": "suite", tool: "tool"} {
			content, err := os.ReadFile(from)
			Expect(err).NotTo(HaveOccurred())
			Expect(os.WriteFile(filepath.Join(dir, to), content, 0o755)).To(Succeed())
		}
		Expect(os.Chown(filepath.Join(dir, "tool"), 65534, 65534)).To(Succeed())
		suite := exec.Command(filepath.Join(dir, "suite"), "-ginkgo.no-color", "-ginkgo.label-filter=!once")
		suite.Dir = dir
		suite.Env = []string{toolVariable + "=" + filepath.Join(dir, "tool"), "TMPDIR=" + dir, "PATH=/bin:/usr/bin"}
		suite.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := suite.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		Expect(string(out)).To(And(ContainSubstring("SUCCESS!"), MatchRegexp(`Ran [2-9][0-9] of`)))
	})
})
