// Package step is what runs in the build step, beside the lifecycle: it gives the lifecycle the app image
// of the build before, and completes and keeps the one that it exports.
//
// The step has these directories; all but /cache and the output last as long as it does:
//
//	/workspace    the app
//	/layers       layers of buildpacks
//	/layout       images as OCI layouts, where the lifecycle finds and leaves them
//	/cache        is kept from build to build: build/ is the lifecycle's cache, app/ the app image
//	[Output]      the app image: the step's result
//	[PreviousDir] may have the files of a previous image from a registry
package step

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"laminate/builder/lifecycle"
)

// Directories of the step.
const (
	AppDir    = "/workspace"
	LayersDir = "/layers"
	LayoutDir = "/layout"
	CacheDir  = "/cache"
	// PreviousDir has the root file system of the previous image, if that is in a registry.
	PreviousDir = "/laminate-previous"
)

// The names of images below [LayoutDir], and the directories that these mean.
const (
	App      = "index.docker.io/laminate/app:latest"
	Run      = "index.docker.io/laminate/run:latest"
	Previous = "index.docker.io/laminate/previous:latest"
	// Imported is the previous image if the cache has none.
	Imported = "index.docker.io/laminate/imported:latest"
)

// Output is the directory above the layout of the app image.
const Output = LayoutDir + "/index.docker.io/laminate/app"

// Dir returns the directory of an image below [LayoutDir].
func Dir(image string) string {
	repository, tag, _ := strings.Cut(image, ":")
	return filepath.Join(repository, tag)
}

// Step is a run of the lifecycle.
type Step struct {
	// Root is "" but in tests: the directory that the paths above are in.
	Root string
	// Warnings are printed first.
	Warnings []string
	// Command is the lifecycle's creator with its arguments, without the name of the previous image.
	Command        []string
	Stdout, Stderr io.Writer
}

// Do runs the lifecycle. It returns the exit code of the lifecycle, or an error for what else fails.
func (s *Step) Do(ctx context.Context) (code int, err error) {
	for _, w := range s.Warnings {
		fmt.Fprintln(s.Stderr, "warning: "+w)
	}
	build := s.in(CacheDir, "build")
	if err := os.MkdirAll(build, 0o755); err != nil {
		return 0, fmt.Errorf("cache: %w", err)
	}
	// The lifecycle exports the mode of the directory, and this is what platforms give it. BuildKit's own
	// directories have what its umask leaves.
	if err := os.Chmod(s.in(AppDir), 0o777); err != nil {
		return 0, fmt.Errorf("app: %w", err)
	}
	before := s.before()
	args := append(slices.Clone(s.Command[1:]), App)
	if name := s.previous(before); name != "" {
		args = slices.Insert(args, len(args)-1, "-previous-image", name)
	}
	cmd := exec.CommandContext(ctx, s.Command[0], args...)
	cmd.Stdout, cmd.Stderr = s.Stdout, s.Stderr
	if err := cmd.Run(); err != nil {
		exit := (*exec.ExitError)(nil)
		if !errors.As(err, &exit) || exit.ExitCode() < 1 {
			return 0, fmt.Errorf("lifecycle: %w", err)
		}
		return exit.ExitCode(), nil
	}
	made, err := openLayout(s.in(LayoutDir, Dir(App)))
	if err != nil {
		return 0, fmt.Errorf("the lifecycle exported no usable image: %w", err)
	}
	if err := made.takeMissing(before); err != nil {
		return 0, fmt.Errorf("app image: %w", err)
	}
	if err := s.keep(made, before); err != nil {
		fmt.Fprintln(s.Stderr, "warning: the app image could not be kept for the next build:", err)
	}
	return 0, nil
}

func (s *Step) in(elements ...string) string {
	return filepath.Join(append([]string{s.Root}, elements...)...)
}

// before opens the app image that the cache has, or returns nil. One that is damaged, by a build that was
// killed or a full disk, counts as none, and is removed.
func (s *Step) before() *layout {
	dir := s.in(CacheDir, "app")
	l, err := openLayout(dir)
	if err == nil {
		err = l.verify()
	}
	if err == nil {
		return l
	}
	if !errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(s.Stderr, "warning: the app image of the build before is not reused:", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(s.Stderr, "warning: cache:", err)
	}
	return nil
}

// previous returns the name of the previous image, or "" if there is none: one that was asked for, that of
// the build before, or an imported one.
func (s *Step) previous(before *layout) string {
	if exists(s.in(LayoutDir, Dir(Previous))) {
		s.restoreSBOM()
		return Previous
	}
	if before != nil {
		at := s.in(LayoutDir, Dir(Previous))
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.Symlink(before.dir, at)); err == nil {
			return Previous
		}
	}
	if exists(s.in(LayoutDir, Dir(Imported))) {
		s.restoreSBOM()
		return Imported
	}
	return ""
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// keep puts the app image into the cache, in the place of that of the build before.
func (s *Step) keep(made, before *layout) error {
	at, next, old := s.in(CacheDir, "app"), s.in(CacheDir, "app.next"), s.in(CacheDir, "app.old")
	if err := errors.Join(os.RemoveAll(next), os.RemoveAll(old)); err != nil {
		return err
	}
	if err := made.copyTo(next, before); err != nil {
		return errors.Join(err, os.RemoveAll(next))
	}
	if before != nil {
		if err := os.Rename(at, old); err != nil {
			return err
		}
	}
	return errors.Join(os.Rename(next, at), os.RemoveAll(old))
}

// Failure returns the sentence that says why a build failed, for an exit code of the lifecycle.
func Failure(code int) string {
	switch code {
	case 20:
		return "no buildpacks fit this app: no group of the order passed detection (exit code 20); see the lifecycle's lines above"
	case 51:
		return "a buildpack failed to build this app (exit code 51); see its lines above"
	}
	if means := lifecycle.ExitCode(code); means != "" {
		return fmt.Sprintf("%s (exit code %d); see the lifecycle's lines above", means, code)
	}
	return fmt.Sprintf("the lifecycle ended with exit code %d; see its lines above", code)
}
