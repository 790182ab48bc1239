package smoke

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"laminate/builder/smoke/rootfs"
	"laminate/builder/smoke/sandbox"
	"laminate/packager/config"
	"laminate/packager/image"
	"laminate/packager/progress"
)

// processDir holds a link to the launcher for each process type (platform spec, "Launch").
const processDir = "/cnb/process"

// launcher is the program that starts processes.
const launcher = "/cnb/lifecycle/launcher"

// launchLog is the name of the file with what a process prints.
const launchLog = "launch.log"

// launchOptions are the options of launch.
type launchOptions struct {
	app *image.Image
	// want is nil if the launcher only has to start the default process.
	want    *config.SmokeLaunch
	limits  sandbox.Limits
	workDir string // an empty directory
	log     progress.Log
}

const (
	// stopGrace is how long a process that is stopped may take to end.
	stopGrace = 5 * time.Second
	// tries is how often a process is launched whose environment is expected, and that ends before it can
	// be read.
	tries = 3
)

// launch starts a process of an app image in a sandbox of its own, without a network, until it has ended,
// has answered, or its time is over.
func launch(ctx context.Context, o launchOptions) (*Launched, error) {
	root, err := rootfs.Unpack(ctx, o.app, rootfs.Options{WorkDir: o.workDir, Log: o.log})
	if err != nil {
		return nil, err
	}
	defer root.Close()
	file := filepath.Join(o.workDir, launchLog)
	for try := 1; ; try++ {
		l := &Launched{Log: func() (io.ReadCloser, error) { return os.Open(file) }}
		v := &visit{launchOptions: o, Launched: l}
		result, err := o.run(ctx, root.Path, file, v.meet)
		if setup := new(sandbox.SetupError); errors.As(err, &setup) {
			l.Err = err
			return l, nil
		}
		if err != nil {
			return nil, err
		}
		if v.complete(result) || try == tries {
			return l, nil
		}
	}
}

// visit is what is done with a running process.
type visit struct {
	launchOptions
	*Launched
	stopped bool
}

// meet waits for what is expected of a process, and stops it. The context is the process's.
func (v *visit) meet(ctx context.Context, in sandbox.Inside) {
	timeout := config.LaunchTimeout
	if v.want != nil {
		timeout = v.want.Timeout
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch {
	case v.want == nil:
		awaitProcess(limited, in)
	case v.want.HTTP != nil:
		v.Answer, v.NoAnswer = Ask(limited, in.Dial, *v.want.HTTP)
	default:
		<-limited.Done()
	}
	if ctx.Err() == nil {
		v.stopped = true
		in.Stop(stopGrace)
	}
}

// awaitProcess waits until the launcher has become another program.
func awaitProcess(ctx context.Context, in sandbox.Inside) {
	for ctx.Err() == nil {
		if p, err := in.Program(); err == nil && p.Executable != launcher {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// complete takes over how the process ended. It reports whether all that is expected is known: the
// environment is not if the process ended right after the launcher had become it.
func (v *visit) complete(r sandbox.Result) bool {
	v.Ended, v.ExitCode = !v.stopped, r.ExitCode
	if r.Program != nil && r.Program.Executable != launcher {
		v.Env = r.Program.Env
		return true
	}
	switch {
	case v.stopped && v.want == nil:
		v.Err = fmt.Errorf("the launcher did not start it within %s", config.LaunchTimeout)
	case v.Ended && ofLauncher(r.ExitCode) && !v.mayEnd(r.ExitCode):
		v.Err = fmt.Errorf("the launcher ended with exit code %d", r.ExitCode)
	case v.want != nil && len(v.want.Env) > 0:
		v.NoEnv = errors.New("the process ended too soon")
		if v.stopped {
			v.NoEnv = errors.New("the launcher had not started the process yet")
		}
		return v.stopped
	}
	return true
}

// mayEnd reports whether the launcher may end with an exit code. Without a default process it does, unless
// it gets a command.
func (o launchOptions) mayEnd(code int) bool {
	if o.want == nil {
		command := o.command()
		return len(command) == 1 && command[0] == launcher
	}
	return o.want.HTTP == nil && o.want.ExitCode == code
}

// ofLauncher reports whether an exit code is one of the launcher's own (platform spec, "Launch").
func ofLauncher(code int) bool { return code == 11 || code == 12 || code >= 80 && code <= 99 }

// command returns the command line of the process.
func (o launchOptions) command() []string {
	var args []string
	if o.want != nil {
		args = o.want.Args
		if o.want.Type != "" {
			return append([]string{processDir + "/" + o.want.Type}, args...)
		}
	}
	entrypoint := o.app.Config.Config.Entrypoint
	if len(entrypoint) == 0 {
		entrypoint = []string{launcher}
	}
	return slices.Concat(entrypoint, args)
}

// run runs the process, and writes what it prints to a file.
func (o launchOptions) run(ctx context.Context, root, file string, meet func(context.Context, sandbox.Inside)) (sandbox.Result, error) {
	uid, gid, err := userOf(o.app)
	if err != nil {
		return sandbox.Result{}, err
	}
	scratch, err := os.MkdirTemp(o.workDir, "scratch-")
	if err != nil {
		return sandbox.Result{}, err
	}
	f, err := os.Create(file)
	if err != nil {
		return sandbox.Result{}, err
	}
	c := o.app.Config.Config
	result, err := sandbox.Run(ctx, sandbox.Spec{
		Root: root, Writable: true, Scratch: scratch, Mounts: []sandbox.Mount{{Target: "/tmp"}},
		Args: o.command(), Env: c.Env, Dir: c.WorkingDir, UID: uid, GID: gid, Limits: o.limits, Stdout: f, Stderr: f, Started: meet,
	})
	return result, errors.Join(err, f.Close())
}

// userOf returns the numeric user and group of an image.
func userOf(img *image.Image) (uid, gid int, err error) {
	user, group, has := strings.Cut(img.Config.Config.User, ":")
	uid, err = strconv.Atoi(user)
	if err == nil && has {
		gid, err = strconv.Atoi(group)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("user %q of the app image is not numeric, as platforms need it", img.Config.Config.User)
	}
	return uid, gid, nil
}
