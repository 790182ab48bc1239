// Command tool is what the sandbox's tests run inside: it does what a program may and may not do, and
// says how it went, one "name: error" a line.
package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if _, err := os.Stat("/root-of-the-test"); err != nil {
		fmt.Println("this does harm outside of the sandbox's tests")
		os.Exit(125)
	}
	runtime.LockOSThread()
	args := os.Args[2:]
	commands[os.Args[1]](args)
}

var commands = map[string]func(args []string){
	"exit":   func(args []string) { os.Exit(number(args[0])) },
	"print":  func(args []string) { fmt.Println(strings.Join(args, " ")) },
	"stderr": func(args []string) { fmt.Fprintln(os.Stderr, strings.Join(args, " ")) },
	"env":    func([]string) { fmt.Println(strings.Join(os.Environ(), "\n")) },
	"kill": func(args []string) {
		_ = unix.Kill(os.Getpid(), syscall.Signal(number(args[0])))
		time.Sleep(time.Minute)
	},
	"sleep":      func([]string) { fmt.Println("sleeping"); time.Sleep(time.Hour) },
	"stay":       func([]string) { signal.Ignore(); time.Sleep(time.Hour) },
	"trail":      func(args []string) { start(args...) },
	"burn":       burn,
	"become":     become,
	"await":      func(args []string) { await(args[0]) },
	"relay":      func(args []string) { await(args[0]); put(args[1], "") },
	"late":       late,
	"flood":      flood,
	"leave-open": leaveOpen,
	"hold":       hold,
	"reach":      reach,
	"facts":      facts,
	"leave":      leave,
	"orphans":    orphans,
	"bomb":       bomb,
	"threads":    threads,
	"fill":       fill,
	"removed":    removed,
	"deep":       deep,
	"tiny":       tiny,
	"large":      large,
	"tiny-exit":  func(args []string) { tiny(append(args, "exit")) },
	"spray":      spray,
	"try":        try,
	"cat":        cat,
	"write":      func(args []string) { say("write", os.WriteFile(args[0], []byte("x"), 0o644)) },
	"tree":       tree,
	"sigpipe": func([]string) {
		fmt.Println(signal.Ignored(unix.SIGPIPE), signal.Ignored(unix.SIGHUP), signal.Ignored(unix.SIGUSR1))
	},
	"attack1":     attackSupervisor,
	"serve":       serve,
	"exec":        execute,
	"execs":       execs,
	"exec-fd":     func(args []string) { execAt(args, false) },
	"exec-empty":  func(args []string) { execAt(args, true) },
	"exec-nested": execNested,
}

func number(s string) int { n, _ := strconv.Atoi(s); return n }

func say(name string, err error) { fmt.Printf("%s: %v\n", name, err) }

func flood(args []string) {
	block := bytes.Repeat([]byte("0123456789abcde\n"), 4096)
	for left := number(args[0]); left > 0; left -= len(block) {
		if _, err := os.Stdout.Write(block); err != nil {
			os.Exit(3)
		}
	}
}

// facts prints what the program sees of itself.
func facts([]string) {
	fds, _ := os.ReadDir("/proc/self/fd")
	var open []string
	for _, fd := range fds {
		target, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err != nil || strings.HasPrefix(target, "anon_inode") || target == "/proc/"+strconv.Itoa(os.Getpid())+"/fd" {
			continue
		}
		open = append(open, fd.Name())
	}
	input, _ := os.Readlink("/proc/self/fd/0")
	dir, _ := os.Getwd()
	host, _ := os.Hostname()
	fmt.Printf("fds: %s\nstdin: %s\ndir: %s\nhost: %s\nuid: %d %d\ngid: %d %d\n", strings.Join(open, " "), input, dir, host,
		os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid())
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "NoNewPrivs") || strings.HasPrefix(line, "Seccomp:") {
			fmt.Print(line)
		}
	}
	var visible []string
	all, _ := os.ReadDir("/proc")
	for _, e := range all {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			visible = append(visible, e.Name())
		}
	}
	fmt.Println("processes:", len(visible))
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	fmt.Println("mounts:", strings.Count(string(mounts), "\n"))
	interfaces, _ := net.Interfaces()
	for _, i := range interfaces {
		fmt.Println("interface:", i.Name, i.Flags&net.FlagUp != 0)
	}
	for _, kind := range []string{"user", "mnt", "pid", "ipc", "uts", "cgroup", "net"} {
		ns, _ := os.Readlink("/proc/self/ns/" + kind)
		fmt.Println("namespace "+kind+":", ns)
	}
	var core unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_CORE, &core)
	var files unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &files)
	fmt.Println("core:", core.Max, "files:", files.Max)
}

func start(args ...string) *exec.Cmd {
	c := exec.Command("/proc/self/exe", args...)
	c.Args[0] = "tool"
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		fmt.Println("start:", err)
	}
	return c
}

func leave([]string) {
	start("stay", "in-the-background")
	fmt.Println("left")
}

// become executes this program with other arguments, not at once.
func become(args []string) {
	burn(nil)
	say("exec", syscall.Exec("/proc/self/exe", append([]string{"tool"}, args...), os.Environ()))
}

// await waits until a file is there.
func await(file string) {
	for {
		if _, err := os.Stat(file); err == nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// put makes a file, which has all of its text as soon as it is there.
func put(file, text string) {
	if err := os.WriteFile(file+".new", []byte(text), 0o644); err != nil {
		say("put", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		say("put", err)
	}
}

// burn uses a processor for longer than the sandbox gives processes that sleep, however long that takes.
func burn([]string) {
	for used := time.Duration(0); used < 100*time.Millisecond; {
		var use unix.Rusage
		_ = unix.Getrusage(unix.RUSAGE_THREAD, &use)
		used = time.Duration(use.Utime.Nano() + use.Stime.Nano())
	}
}

// orphans starts processes that start processes and end: pid 1 has to reap those.
func orphans(args []string) {
	for range number(args[0]) {
		pid, err := syscall.ForkExec("/proc/self/exe", []string{"tool", "exit", "0"}, &syscall.ProcAttr{})
		if err != nil || pid < 0 {
			fmt.Println("start:", err)
		}
	}
	_ = unix.Exec("/proc/self/exe", []string{"tool", "exit", "7"}, nil)
}

func bomb([]string) {
	for {
		c := exec.Command("/proc/self/exe", "bomb")
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		_ = c.Start()
	}
}

func threads(args []string) {
	for range number(args[0]) {
		go func() { runtime.LockOSThread(); _ = unix.Pause() }()
	}
	time.Sleep(time.Hour)
}

func fill(args []string) {
	block := make([]byte, 1<<20)
	for i := 0; ; i++ {
		f, err := os.Create(filepath.Join(args[0], strconv.Itoa(i)))
		for n := 0; err == nil && n < 16; n++ {
			_, err = f.Write(block)
		}
		if err != nil {
			say("fill", err)
			time.Sleep(time.Hour)
		}
		f.Close()
	}
}

func removed(args []string) {
	block := make([]byte, 1<<20)
	f, err := os.Create(filepath.Join(args[0], "file"))
	say("create", err)
	say("remove", os.Remove(f.Name()))
	for i := 0; i < number(args[1]); i++ {
		if _, err := f.Write(block); err != nil {
			say("write", err)
			os.Exit(4)
		}
	}
	time.Sleep(time.Hour)
}

func deep(args []string) {
	say("dir", os.Chdir(args[0]))
	for range number(args[1]) {
		_ = os.Mkdir("d", 0o755)
		_ = os.Chdir("d")
	}
	time.Sleep(time.Hour)
}

func large(args []string) {
	f, err := os.Create(filepath.Join(args[0], "large"))
	say("create", err)
	signal.Notify(make(chan os.Signal, 1), unix.SIGXFSZ)
	for err == nil {
		_, err = f.Write(make([]byte, 1<<16))
	}
	say("write", err)
	os.Exit(1)
}

func tiny(args []string) {
	for i := range number(args[1]) {
		_ = os.WriteFile(filepath.Join(args[0], strconv.Itoa(i)), nil, 0)
	}
	_ = os.Mkdir(filepath.Join(args[0], "closed"), 0)
	if len(args) == 2 {
		time.Sleep(time.Hour)
	}
}

func cat(args []string) {
	b, err := os.ReadFile(args[0])
	if err != nil {
		say(args[0], err)
	}
	os.Stdout.Write(b)
}

// spray tries to write in every directory and to every file, and prints where it could.
func spray([]string) {
	_ = filepath.WalkDir("/", func(path string, d os.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(path, "/proc/") && strings.Count(path, "/") > 1 && path[6] >= '0' && path[6] <= '9' {
			return filepath.SkipDir
		}
		switch {
		case path == "/proc/self" || path == "/proc/thread-self":
		case d.IsDir():
			name := filepath.Join(path, "sprayed")
			if os.WriteFile(name, []byte("x"), 0o644) == nil {
				fmt.Println("made:", name)
			}
			if os.Chmod(path, 0o777) == nil {
				fmt.Println("mode:", path)
			}
		case d.Type().IsRegular():
			if f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
				if info, err := f.Stat(); err == nil && info.Mode().IsRegular() { // not a mask
					fmt.Println("opened:", path)
				}
				f.Close()
			}
			if os.Remove(path) == nil {
				fmt.Println("removed:", path)
			}
		}
		return nil
	})
}

func tree([]string) {
	_ = filepath.WalkDir("/", func(path string, d os.DirEntry, err error) error {
		if path == "/proc" {
			return filepath.SkipDir
		}
		fmt.Println(path)
		return nil
	})
}
