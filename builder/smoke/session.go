package smoke

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"

	"laminate/builder/smoke/rootfs"
	"laminate/builder/smoke/sandbox"
	"laminate/flatten"
	"laminate/packager/cache"
	"laminate/packager/config"
	"laminate/packager/image"
	"laminate/packager/progress"
	"laminate/packager/source"
)

// Options are the options of [Open].
type Options struct {
	// Builder is the builder, from anywhere.
	Builder *image.Image
	// RunImage is the run image. If it is nil, Opener opens the one that the builder names.
	RunImage *image.Image
	Opener   *source.Opener
	// Buildpacks, if there are any, are the buildpacks that builds have in their order, instead of the
	// builder's order. They are added to the builder, or replace its own of the same id and version.
	// Each is one of these:
	//
	//   - [FromBuilder]: the builder's order, at this place
	//   - ID or ID@VERSION, also behind "urn:cnb:builder:" or "from=builder:": a buildpack of the builder
	//   - the location of a buildpack or a buildpackage (see [location.ParseSource]). A local path
	//     takes precedence over a buildpack of the builder, and that over an image
	Buildpacks []string
	// Cache keeps the root file system of the builder; nil keeps it until the session is closed.
	Cache *cache.Cache
	// WorkDir is for everything else. The session makes directories of its own in it.
	WorkDir string
	Limits  sandbox.Limits
	// Log is [progress.Discard] by default.
	Log progress.Log
}

// A Session is a builder whose root file system is unpacked, and a run image: what is needed to build
// apps. Its methods may be called at the same time.
type Session struct {
	Options
	*platform
	root    *rootfs.Root
	added   *added // nil for the builder's order
	runName name.Reference
}

// App says which app to build, and how.
type App struct {
	// Dir is the directory of the app, which is copied.
	Dir string
	// Env is set for the buildpacks. It takes precedence over what a smoke.toml sets.
	Env []config.EnvVar
	// Network is what the build can reach.
	Network sandbox.Network
	// LayerWrites says what is done about writes of buildpacks into the layers of others.
	LayerWrites LayerWrites
	// CacheDir is the directory of the build cache of this app; "" means a new one.
	CacheDir string
	// Previous is an earlier image of the app, whose layers are reused where they are the same; it may be nil.
	Previous *image.Image
	// Output receives what the lifecycle prints.
	Output io.Writer
	// KeepIn is an empty directory for everything that the build has, which the caller keeps for a look;
	// "" means one in the session's work directory, which is removed.
	KeepIn string
	// Logs returns the directory for the whole logs of an app that does not pass or is interrupted, which is
	// made if it is missing. It is called only then. If it is nil or returns "", none are kept.
	Logs func() (string, error)
	// Twice builds the app again, from the cache and the image of the first build, and compares the layers.
	Twice bool

	rebuild *rebuild // nil for the first build
}

// RunImageError is the error of a run image that cannot be used: another one may be.
type RunImageError struct{ Err error }

func (e *RunImageError) Error() string { return "run image " + e.Err.Error() }

func (e *RunImageError) Unwrap() error { return e.Err }

// Open prepares a builder for building apps: it finds the run image, unpacks the root file system of
// the builder and the added buildpacks, and checks that there is a sandbox. The caller must close the
// session.
func Open(ctx context.Context, o Options) (*Session, error) {
	if o.Log == nil {
		o.Log = progress.Discard
	}
	s := &Session{Options: o}
	var err error
	if s.platform, err = platformOf(o.Builder); err != nil {
		return nil, err
	}
	if s.runName, err = runImageName(s.platform.runImage()); err != nil {
		return nil, fmt.Errorf("%s: run image: %w", o.Builder.Name, err)
	}
	if s.RunImage == nil {
		at, err := RunImage(o.Builder)
		if err != nil {
			return nil, err
		}
		if s.RunImage, err = o.Opener.Image(ctx, at, o.Builder.Target); err != nil {
			return nil, &RunImageError{err}
		}
	}
	if err := checkRunImage(s.RunImage); err != nil {
		return nil, &RunImageError{err}
	}
	s.warn()
	if len(s.Buildpacks) == 0 && len(s.labels.Order) == 0 {
		return nil, fmt.Errorf("%s: %w", s.Builder.Name, ErrNoOrder)
	}
	if len(s.Buildpacks) > 0 {
		if s.added, err = s.add(ctx); err != nil {
			return nil, err
		}
	}
	if s.root, err = rootfs.Unpack(ctx, o.Builder, rootfs.Options{Cache: o.Cache, WorkDir: o.WorkDir, Log: o.Log}); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := errors.Join(s.warnOfInterpreters(), sandbox.Check(s.root.Path)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// ErrNoOrder is the error of a builder without an order of buildpacks, which builds nothing unless buildpacks
// are added.
var ErrNoOrder = errors.New("its labels have no order of buildpacks")

// checkRunImage checks that app images can be over an image, and launched.
func checkRunImage(img *image.Image) error {
	if kind := img.Kind(); kind == image.Buildpackage || kind == image.Builder || kind == image.Extension {
		return fmt.Errorf("%s: not a run image, but of the kind %s", img.Name, kind)
	}
	if img.Target.OS != "linux" {
		return fmt.Errorf("%s: it is for %s, not for linux", img.Name, img.Target.OS)
	}
	if _, _, err := userOf(img); err != nil {
		return fmt.Errorf("%s: %w", img.Name, err)
	}
	return nil
}

// warn warns of builders whose builds fail for reasons that the lifecycle does not explain.
func (s *Session) warn() {
	var extensions []flatten.Ref
	for _, e := range s.labels.OrderExtensions.Entries() {
		extensions = append(extensions, e.Ref())
	}
	if len(extensions) > 0 {
		s.Log.Warn(fmt.Sprintf("%s has image extensions (%s), which cannot extend images in the sandbox; a build that one of them wants to take part in fails", s.Builder.Name, flatten.Few(extensions)))
	}
}

// Close releases the root file system, and removes the added buildpacks. Images that were built stay
// until they are closed themselves.
func (s *Session) Close() error { return errors.Join(s.root.Close(), s.added.close()) }

// Root is the directory with the root file system of the builder. It must not be changed.
func (s *Session) Root() string { return s.root.Path }

// workDir returns the directory of a build, and a function that removes it unless it is to be kept.
func (s *Session) workDir(a App) (dir string, remove func() error, err error) {
	if a.KeepIn != "" {
		dir, err = filepath.Abs(a.KeepIn)
		return dir, func() error { return nil }, err
	}
	dir, err = os.MkdirTemp(s.WorkDir, "app-")
	return dir, func() error { return os.RemoveAll(dir) }, err
}
