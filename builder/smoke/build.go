package smoke

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"laminate/builder/lifecycle"
	"laminate/builder/smoke/ownership"
	"laminate/builder/smoke/sandbox"
	"laminate/packager/image"
	"laminate/packager/location"
	"laminate/packager/source"
	"laminate/packager/stream"
)

// Directories in the sandbox (platform spec, "Operations").
const (
	appDir      = "/workspace"
	layersDir   = "/layers"
	platformDir = "/platform"
	cacheDir    = "/cache"
	layoutDir   = "/layout"
	homeDir     = "/home/cnb"
	orderFile   = "/cnb/order.toml"
)

// appName is the name of the app image in the sandbox.
const appName = "index.docker.io/laminate/app:latest"

// epoch is the creation time of app images, which makes them reproducible.
const epoch = 315532801

// Built is the result of a build.
type Built struct {
	// ExitCode is that of the lifecycle (platform spec, "Exit Codes").
	ExitCode int
	// App is the app image, or nil if there is none. Its layers are those of the run image, and files
	// that exist until the result is closed.
	App *image.Image
	// Took is how long the lifecycle ran.
	Took time.Duration
	// Left are processes that outlived the build, and were ended. Outlived are those that outlived their
	// turns, and ended before.
	Left, Outlived []Outlived
	// Stopped is why the build was ended before its end, so that there is no exit code; else nil.
	Stopped error
	// LayerWrites are what buildpacks wrote into the layers of others, and LayerWritesErr is why these are
	// not all, or nil.
	LayerWrites    []ownership.Write
	LayerWritesErr error

	dir    string // has the files of the image
	remove func() error
}

// Close removes the files of the app image. It does nothing on a nil *Built.
func (b *Built) Close() error {
	if b == nil {
		return nil
	}
	return b.remove()
}

// Build builds an app. A build that fails has a result, which the caller must close; an error means
// that it could not be tried.
func (s *Session) Build(ctx context.Context, a App) (*Built, error) {
	dir, remove, err := s.workDir(a)
	if err != nil {
		return nil, err
	}
	built, err := s.build(ctx, a, dir)
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	built.remove = remove
	return built, nil
}

// build builds an app in an empty directory.
func (s *Session) build(ctx context.Context, a App, dir string) (*Built, error) {
	b := &build{Session: s, App: a, dir: dir}
	if err := b.prepare(); err != nil {
		return nil, err
	}
	spec := b.spec()
	turns, err := b.watch(&spec)
	if err != nil {
		return nil, err
	}
	b.noteBegin(&spec)
	begun := time.Now()
	result, err := sandbox.Run(ctx, spec)
	took := time.Since(begun)
	built := &Built{ExitCode: result.ExitCode, Took: took, dir: dir}
	built.LayerWrites, built.LayerWritesErr = turns.end()
	if built.Stopped = turns.stopped(err); err != nil && built.Stopped == nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // which says all that there is to say
		}
		return nil, err
	}
	built.Outlived, built.Left = turns.outlived(result.Left)
	if result.ExitCode != 0 || built.Stopped != nil {
		return built, nil
	}
	if built.App, err = b.exported(ctx); err != nil {
		return nil, err
	}
	return built, nil
}

// build is the state of a build.
type build struct {
	*Session
	App
	dir string // is the build's own
}

// runImageName returns the reference under which the lifecycle finds the run image. The lifecycle
// takes the colon of a port for that of a tag, so the name has none.
func runImageName(written string) (name.Reference, error) {
	ref, err := name.ParseReference(written, name.WeakValidation)
	if err != nil {
		return nil, err
	}
	plain := "index.docker.io/laminate/run:latest"
	if host := ref.Context().RegistryStr(); !strings.Contains(host, ":") {
		plain = ref.Name()
	}
	return name.ParseReference(plain, name.WeakValidation)
}

// in returns a directory of the build, outside of the sandbox.
func (b *build) in(dir string) string { return filepath.Join(b.dir, filepath.FromSlash(dir)) }

// prepare makes the directories of the build: those of the app, the layers, the platform's
// environment, the cache, and the run image.
func (b *build) prepare() error {
	if b.CacheDir == "" {
		b.CacheDir = b.in(cacheDir)
	}
	var err error
	if b.CacheDir, err = filepath.Abs(b.CacheDir); err != nil { // the sandbox needs it
		return err
	}
	for _, dir := range []string{b.in(appDir), b.in(layersDir), b.in(platformDir + "/env"), b.in(layoutDir), b.in(homeDir), b.in("scratch"), b.CacheDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, v := range b.Env {
		if err := os.WriteFile(filepath.Join(b.in(platformDir), "env", v.Name), []byte(v.Value), 0o644); err != nil {
			return fmt.Errorf("environment variable %s: %w", v.Name, err)
		}
	}
	if err := copyTree(b.in(appDir), b.App.Dir); err != nil {
		return fmt.Errorf("app %s: %w", b.App.Dir, err)
	}
	if b.rebuild != nil {
		if b.rebuild.files, err = filesOf(b.in(appDir)); err != nil {
			return fmt.Errorf("app %s: %w", b.App.Dir, err)
		}
	}
	// The lifecycle exports the mode of the directory; platforms make it so.
	if err := os.Chmod(b.in(appDir), 0o777); err != nil {
		return err
	}
	if err := b.writePrevious(); err != nil {
		return err
	}
	return writeSparse(filepath.Join(b.in(layoutDir), filepath.FromSlash(lifecycle.LayoutPath(b.runName))), b.RunImage)
}

// spec returns what runs in the sandbox.
func (b *build) spec() sandbox.Spec {
	mount := func(dir string) sandbox.Mount { return sandbox.Mount{Source: b.in(dir), Target: dir} }
	spec := sandbox.Spec{
		Root: b.root.Path, Scratch: b.in("scratch"),
		Mounts: []sandbox.Mount{
			mount(appDir), mount(layersDir), mount(layoutDir), mount(homeDir),
			{Source: b.in(platformDir), Target: platformDir, ReadOnly: true},
			{Source: b.CacheDir, Target: cacheDir},
			{Target: "/tmp"},
		},
		Args: b.command(),
		Env:  b.Environment(layoutDir, "HOME="+homeDir, fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch)), Dir: appDir, UID: b.UID, GID: b.GID,
		Network: b.Network, Limits: b.Limits, Stdout: b.Output, Stderr: b.Output,
	}
	if b.added != nil {
		spec.Mounts = append(spec.Mounts, b.added.mounts()...)
		spec.Args = slices.Insert(spec.Args, len(spec.Args)-1, "-order", orderFile)
	}
	return spec
}

// command is the lifecycle's command line.
func (b *build) command() []string {
	args := []string{
		"/cnb/lifecycle/creator", "-app", appDir, "-layers", layersDir, "-platform", platformDir,
		"-cache-dir", cacheDir, "-run-image", b.runName.Name(),
	}
	if b.Previous != nil {
		args = append(args, "-previous-image", previousName)
	}
	return append(args, appName)
}

// exported returns the app image.
func (b *build) exported(ctx context.Context) (*image.Image, error) {
	ref, err := name.ParseReference(appName, name.WeakValidation)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.in(layoutDir), filepath.FromSlash(lifecycle.LayoutPath(ref)))
	opener := &source.Opener{Log: b.Log}
	made, err := opener.Image(ctx, location.Location{Kind: location.OCILayout, Path: dir, Written: "app image"}, b.Builder.Target)
	if err != nil {
		return nil, fmt.Errorf("the lifecycle exported no usable image: %w", err)
	}
	whole, err := b.complete(made)
	if err != nil {
		return nil, err
	}
	return image.New(ctx, image.Raw{Image: whole, Name: "app image", Stored: true, Limits: stream.Limits{}.OrDefault(), WorkDir: b.dir, Log: b.Log})
}

// errNoRunImage is the error for an app image that is not over the run image.
var errNoRunImage = errors.New("the app image does not begin with the layers of the run image")
