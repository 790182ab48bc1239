package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func call(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

func open(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_NONBLOCK, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// try does what must fail, each with its error; args[0] is a writable directory.
func try(args []string) {
	dir := args[0]
	pid1 := "/proc/1/"
	say("root of 1", open(pid1+"root/", unix.O_RDONLY))
	say("cwd of 1", open(pid1+"cwd/", unix.O_RDONLY))
	say("exe of 1", open(pid1+"exe", unix.O_RDONLY))
	say("mem of 1", open(pid1+"mem", unix.O_RDONLY))
	say("environ of 1", open(pid1+"environ", unix.O_RDONLY))
	say("fd of 1", open(pid1+"fd/3", unix.O_RDONLY))
	say("ns of 1", open(pid1+"ns/user", unix.O_RDONLY))
	say("ptrace 1", unix.PtraceAttach(1))
	say("vm read 1", readOther(1))
	say("mknod", unix.Mknod(dir+"/mem", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 1))))
	say("mknod null", unix.Mknod(dir+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	say("/dev/mem", open("/dev/mem", unix.O_RDONLY))
	say("/dev/vda", open("/dev/vda", unix.O_RDONLY))
	say("/dev/tty", open("/dev/tty", unix.O_RDWR))
	say("mount tmpfs", unix.Mount("x", dir, "tmpfs", 0, ""))
	say("bind", unix.Mount("/", dir, "", unix.MS_BIND, ""))
	say("remount", unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND, ""))
	say("umount", unix.Unmount("/proc", unix.MNT_DETACH))
	_, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE)
	say("open_tree", err)
	_, err = unix.Fsopen("tmpfs", 0)
	say("fsopen", err)
	say("pivot_root", unix.PivotRoot("/", dir))
	say("chroot", unix.Chroot(dir))
	for name, flag := range map[string]int{"user": unix.CLONE_NEWUSER, "mnt": unix.CLONE_NEWNS, "pid": unix.CLONE_NEWPID, "net": unix.CLONE_NEWNET, "cgroup": unix.CLONE_NEWCGROUP} {
		say("unshare "+name, forked(flag))
	}
	say("setns", setns())
	say("setuid 0", unix.Setuid(0))
	say("setgroups", unix.Setgroups([]int{0}))
	say("chown", os.Chown(dir, 0, 0))
	say("sethostname", unix.Sethostname([]byte("x")))
	say("keyctl", keyring())
	say("bpf", call(unix.SYS_BPF, 0, 0, 0))
	say("io_uring", call(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(new([120]byte)))))
	say("perf", call(unix.SYS_PERF_EVENT_OPEN, 0, 0, ^uintptr(0), ^uintptr(0), 0))
	_, err = unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0)
	say("vsock", err)
	_, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	say("raw socket", err)
	say("sysctl", os.WriteFile("/proc/sys/kernel/core_pattern", []byte("|/x"), 0))
	say("sysctl of user", os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("9"), 0))
	say("sysrq", os.WriteFile("/proc/sysrq-trigger", []byte("h"), 0))
	say("sys", os.WriteFile("/sys/kernel/uevent_helper", []byte("x"), 0))
	say("kcore", notEmpty("/proc/kcore"))
	say("uid_map", os.WriteFile("/proc/self/uid_map", []byte("0 0 1"), 0))
	say("setuid file", setuidFile())
	say("escape by link", open("/host-link/passwd-of-host", unix.O_RDONLY))
	say("escape by dots", open("/../../../../../../../../../../"+os.Getenv("HOST_FILE"), unix.O_RDONLY))
	say("host file", open(os.Getenv("HOST_FILE"), unix.O_RDONLY))
	pid, _ := strconv.Atoi(os.Getenv("HOST_PID"))
	say("kill host", unix.Kill(pid, 0))
	say("reboot", unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF))
	say("settime", unix.ClockSettime(unix.CLOCK_REALTIME, &unix.Timespec{Sec: 1}))
	network()
}

// readOther reads the memory of another process: any address answers EPERM first.
func readOther(pid int) error {
	b := make([]byte, 8)
	local := []unix.Iovec{{Base: &b[0], Len: 8}}
	_, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: 0x400000, Len: 8}}, 0)
	return err
}

// forked unshares in a process of its own: threads cannot.
func forked(flag int) error {
	c := exec.Command("/proc/self/exe", "exit", "0")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: uintptr(flag)}
	err := c.Run()
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

func setns() error {
	runtime.LockOSThread()
	fd, err := unix.Open("/proc/self/ns/net", unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	return unix.Setns(fd, unix.CLONE_NEWNET)
}

func keyring() error {
	_, err := unix.AddKey("user", "laminate-test", []byte("x"), unix.KEY_SPEC_USER_KEYRING)
	return err
}

// setuidFile runs a copy of this program that has the set-id bits.
func setuidFile() error {
	out, err := exec.Command("/bin/setuid", "print-uid").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w %s", err, out)
	}
	return fmt.Errorf("uid %s", out)
}

func notEmpty(path string) error {
	b := make([]byte, 1)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Read(b)
	return err
}

func network() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		var c net.Conn
		if c, err = net.DialTimeout("tcp", l.Addr().String(), time.Second); err == nil {
			c.Close()
		}
	}
	say("loopback", err)
	_, err = net.LookupHost("localhost")
	say("localhost", err)
	for name, address := range map[string]string{"outside": "1.1.1.1:53", "listener": os.Getenv("HOST_LISTENER")} {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			c.Close()
		}
		var errno syscall.Errno
		if errors.As(err, &errno) {
			err = errno
		}
		say(name, err)
	}
	c, err := net.Dial("unix", "@"+os.Getenv("HOST_ABSTRACT"))
	if err == nil {
		c.Close()
	}
	say("abstract socket", err)
}

// attackSupervisor sends every signal to pid 1 in the ways that the Go runtime tells apart.
func attackSupervisor([]string) {
	for s := 1; s <= 64; s++ {
		if s == 32 || s == 33 || s == 34 {
			continue
		}
		_ = unix.Kill(1, syscall.Signal(s))
		_ = unix.Tgkill(1, 1, syscall.Signal(s))
	}
	time.Sleep(100 * time.Millisecond)
	fmt.Println("done")
}

func init() {
	commands["print-uid"] = func([]string) { fmt.Print(os.Geteuid()) }
}
