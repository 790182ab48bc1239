package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// execs starts programs one after the other, each with the arguments behind it up to the next comma, and
// says how it went. A program with a prefix is started in another way.
func execs(args []string) {
	for _, words := range strings.Split(strings.Join(args, " "), " , ") {
		line := strings.Fields(words)
		how, program, _ := strings.Cut(line[0], ":")
		self, _ := os.Executable()
		cmd := exec.Command(program, line[1:]...)
		switch how {
		case "":
		case "relative":
			cmd.Path, cmd.Dir = "bin/../bin/"+filepath.Base(program), filepath.Dir(filepath.Dir(program))
		case "fd", "empty", "nested": // by this program in another process
			cmd = exec.Command(self, append([]string{"exec-" + how, program}, line[1:]...)...)
		}
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		say(line[0], cmd.Run())
	}
}

// execAt becomes a program by execveat.
func execAt(args []string, empty bool) {
	dir, name, flags := filepath.Dir(args[0]), filepath.Base(args[0]), 0
	if empty {
		dir, name, flags = args[0], "", unix.AT_EMPTY_PATH
	}
	fd, err := unix.Open(dir, unix.O_PATH, 0)
	if err == nil {
		err = execveat(fd, name, args, os.Environ(), flags)
	}
	fmt.Println(err)
	os.Exit(1)
}

func execNested(args []string) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	say("nested", cmd.Run())
}

func execveat(fd int, name string, args, env []string, flags int) error {
	pointers := func(words []string) []*byte {
		var out []*byte
		for _, w := range words {
			p, _ := unix.BytePtrFromString(w)
			out = append(out, p)
		}
		return append(out, nil)
	}
	path, _ := unix.BytePtrFromString(name)
	argv, envv := pointers(args), pointers(env)
	_, _, errno := unix.Syscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(path)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envv[0])), uintptr(flags), 0)
	return errno
}
