package sandbox

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// stage is the process that becomes the program.
type stage struct {
	pid  int
	task *os.File
	says *gob.Decoder
	// watch is the socket through which the listener of a watch comes, or nil.
	watch *os.File
}

// ready is what a stage says first, when nothing more is loaded from the old root.
const ready = "ready"

// startStage starts the program's stage in its user namespace, and returns when it is ready.
func startStage(t task) (*stage, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, step("opening /dev/null", err)
	}
	defer null.Close()
	theirTask, ourTask, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirTask.Close()
	ourReport, theirReport, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirReport.Close()
	files := []uintptr{null.Fd(), 1, 2, theirTask.Fd(), theirReport.Fd()}
	var watch *os.File
	if t.Watch != nil {
		ours, theirs, err := socketPair(unix.SOCK_STREAM)
		if err != nil {
			return nil, err
		}
		defer theirs.Close()
		watch, files = ours, append(files, theirs.Fd())
		unix.CloseOnExec(t.WatchFD)
	}
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"sandbox", Argument, "program"}, &syscall.ProcAttr{
		Env:   []string{},
		Files: files,
		Sys: &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: t.UID, HostID: 0, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: t.GID, HostID: 0, Size: 1}},
			AmbientCaps: []uintptr{unix.CAP_SETPCAP}, // it drops the bounding set, and then this
			Setsid:      true,
		},
	})
	if err != nil {
		return nil, step("making the program's user namespace", err)
	}
	s := &stage{pid: pid, task: ourTask, says: gob.NewDecoder(ourReport), watch: watch}
	var first failure
	if err := s.says.Decode(&first); err != nil || first.Step != ready {
		return nil, step("starting the program's stage", fmt.Errorf("unexpected end: %v", err))
	}
	return s, nil
}

// goOn lets the stage become the program, and returns when it has.
func (s *stage) goOn(t task) error {
	err := gob.NewEncoder(s.task).Encode(t)
	if err = errors.Join(err, s.task.Close()); err != nil {
		return step("starting the program", err)
	}
	var said failure
	switch err := s.says.Decode(&said); {
	case err == io.EOF: // closed by exec
		return nil
	case err != nil:
		return step("starting the program", err)
	case said.Errno != 0:
		return step(said.Step, said.Errno)
	}
	return step(said.Step, errors.New(said.Text))
}

// becomeProgram is the last stage: it gives up everything and becomes the program.
func becomeProgram() int {
	runtime.LockOSThread() // all of it belongs to the thread that calls exec
	in := gob.NewDecoder(os.NewFile(taskFD, "task"))
	out := gob.NewEncoder(os.NewFile(reportFD, "report"))
	var t task
	if out.Encode(failure{Step: ready}) != nil || in.Decode(&t) != nil {
		return 1
	}
	err := execute(t)
	if err == nil {
		return 0 // a probe
	}
	_ = out.Encode(failed(err))
	return 1
}
