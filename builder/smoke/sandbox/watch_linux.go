package sandbox

import (
	"encoding/gob"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// event is what the supervisor tells the caller, who answers the first two.
type event struct {
	Kind    eventKind
	Exec    Exec
	Program Program
}

type eventKind int

const (
	eventBegan eventKind = iota
	eventEnding
	eventEnded
	eventBecame
)

// reply is the caller's answer.
type reply struct {
	Access *Access
	Stop   bool // the sandbox ends
}

// watching is the caller's part of a watch.
type watching struct {
	*Watch
	ours, theirs *os.File
	fd           int // of the supervisor
	done         chan struct{}
	err          error    // that a function returned
	program      *Program // what the process of the spec has become last
}

// attach starts the caller's part of a watch, which may be nil, for a supervisor that is yet to start.
func (w *Watch) attach(supervisor *exec.Cmd) (*watching, error) {
	if w == nil {
		return &watching{}, nil
	}
	ours, theirs, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	supervisor.ExtraFiles = append(supervisor.ExtraFiles, theirs)
	c := &watching{Watch: w, ours: ours, theirs: theirs, fd: 2 + len(supervisor.ExtraFiles), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.serve()
	}()
	return c, nil
}

// end returns when the caller was told everything. The supervisor has ended, or was not started. It can be
// called again.
func (c *watching) end() {
	if c.done == nil {
		return
	}
	c.theirs.Close()
	<-c.done
	c.ours.Close()
}

// serve calls the caller's functions until the supervisor ends.
func (c *watching) serve() {
	in, out := gob.NewDecoder(c.ours), gob.NewEncoder(c.ours)
	for {
		var e event
		if in.Decode(&e) != nil {
			return
		}
		switch e.Kind {
		case eventEnded:
			if c.Ended != nil {
				c.Ended(e.Exec)
			}
			continue
		case eventBecame:
			c.program = &e.Program
			c.Became(e.Program)
			continue
		}
		call := c.Began
		if e.Kind == eventEnding {
			call = c.Ending
		}
		var r reply
		if call != nil {
			r.Access, c.err = call(e.Exec)
			r.Stop = c.err != nil
		}
		if out.Encode(r) != nil || r.Stop {
			return
		}
	}
}
