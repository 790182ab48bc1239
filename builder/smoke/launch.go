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

// stopGrace is how long a process that is stopped may take to end.
const stopGrace = 5 * time.Second

// launch starts a process of an app image in a sandbox of its own, without a network, until it has ended,
// has answered, or its time is over.
func launch(ctx context.Context, o launchOptions) (*Launched, error) {
	root, err := rootfs.Unpack(ctx, o.app, rootfs.Options{WorkDir: o.workDir, Log: o.log})
	if err != nil {
		return nil, err
	}
	defer root.Close()
	file := filepath.Join(o.workDir, launchLog)
	l := &Launched{Log: func() (io.ReadCloser, error) { return os.Open(file) }}
	v := &visit{launchOptions: o, Launched: l, started: make(chan struct{})}
	result, err := v.run(ctx, root.Path, file)
	if setup := new(sandbox.SetupError); errors.As(err, &setup) {
		l.Err = err
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	v.complete(result)
	return l, nil
}

// visit is what is done with a running process.
type visit struct {
	launchOptions
	*Launched
	started chan struct{} // closed when the launcher has become another program
	stopped bool
}

// became is called when the launcher has become a program, and when that becomes another one.
func (v *visit) became(p sandbox.Program) {
	if p.Executable == launcher {
		return
	}
	if v.Env == nil {
		close(v.started)
	}
	v.Env = append([]string{}, p.Env...)
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
		select {
		case <-v.started:
		case <-limited.Done():
		}
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

// complete takes over how the process ended, if the launcher has become it.
func (v *visit) complete(r sandbox.Result) {
	v.Ended, v.ExitCode = !v.stopped, r.ExitCode
	switch {
	case v.Env != nil:
	case v.Ended && !v.mayEnd(r.ExitCode):
		v.Err = fmt.Errorf("the launcher ended with exit code %d", r.ExitCode)
	case v.stopped && v.want == nil:
		v.Err = fmt.Errorf("the launcher did not start it within %s", config.LaunchTimeout)
	case v.want != nil && len(v.want.Env) > 0:
		v.NoEnv = errors.New("the launcher has not started the process")
	}
}

// mayEnd reports whether the launcher may end with an exit code.
func (o launchOptions) mayEnd(code int) bool {
	return o.want != nil && o.want.HTTP == nil && o.want.ExitCode == code
}

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
func (v *visit) run(ctx context.Context, root, file string) (sandbox.Result, error) {
	uid, gid, err := userOf(v.app)
	if err != nil {
		return sandbox.Result{}, err
	}
	scratch, err := os.MkdirTemp(v.workDir, "scratch-")
	if err != nil {
		return sandbox.Result{}, err
	}
	f, err := os.Create(file)
	if err != nil {
		return sandbox.Result{}, err
	}
	c := v.app.Config.Config
	result, err := sandbox.Run(ctx, sandbox.Spec{
		Root: root, Writable: true, Scratch: scratch, Mounts: []sandbox.Mount{{Target: "/tmp"}},
		Args: v.command(), Env: c.Env, Dir: c.WorkingDir, UID: uid, GID: gid, Limits: v.limits, Stdout: f, Stderr: f,
		Started: v.meet, Watch: &sandbox.Watch{Became: v.became},
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
		return 0, 0, fmt.Errorf("user %q is not numeric, as platforms need it", img.Config.Config.User)
	}
	return uid, gid, nil
}
