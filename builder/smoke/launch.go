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

// launchOptions are the options of launch.
type launchOptions struct {
	app     *image.Image
	want    config.SmokeLaunch
	limits  sandbox.Limits
	workDir string // an empty directory
	log     progress.Log
}

// launch starts a process of an app image in a sandbox of its own, without a network, and waits for
// its end.
func launch(ctx context.Context, o launchOptions) (*Launched, error) {
	root, err := rootfs.Unpack(ctx, o.app, rootfs.Options{WorkDir: o.workDir, Log: o.log})
	if err != nil {
		return nil, err
	}
	defer root.Close()
	file := filepath.Join(o.workDir, "launch.log")
	started := &Launched{Log: func() (io.ReadCloser, error) { return os.Open(file) }}
	ctx, cancel := context.WithTimeoutCause(ctx, o.want.Timeout, errTimeout)
	defer cancel()
	result, err := o.run(ctx, root.Path, file, o.command())
	switch setup := new(sandbox.SetupError); {
	case errors.Is(err, errTimeout):
		return started, nil
	case errors.As(err, &setup):
		started.Err = err
		return started, nil
	case err != nil:
		return nil, err
	}
	started.Ended, started.ExitCode = true, result.ExitCode
	if len(o.want.Env) > 0 {
		started.Env, err = o.environment(ctx, root.Path)
	}
	return started, err
}

// errTimeout is the cause of a process that took too long.
var errTimeout = errors.New("the process did not end in time")

// command returns the command line of the process.
func (o launchOptions) command() []string {
	if o.want.Type != "" {
		return append([]string{processDir + "/" + o.want.Type}, o.want.Args...)
	}
	entrypoint := o.app.Config.Config.Entrypoint
	if len(entrypoint) == 0 {
		entrypoint = []string{launcher}
	}
	return slices.Concat(entrypoint, o.want.Args)
}

// environment returns the environment of what the launcher starts.
func (o launchOptions) environment(ctx context.Context, root string) ([]string, error) {
	file := filepath.Join(o.workDir, "env.log")
	if _, err := o.run(ctx, root, file, []string{launcher, "--", "env"}); err != nil {
		return nil, fmt.Errorf("environment of the process: %w", err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), nil
}

// run runs a command in the app image, and writes what it prints to a file.
func (o launchOptions) run(ctx context.Context, root, file string, args []string) (sandbox.Result, error) {
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
		Args: args, Env: c.Env, Dir: c.WorkingDir, UID: uid, GID: gid, Limits: o.limits, Stdout: f, Stderr: f,
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
