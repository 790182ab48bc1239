package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"laminate/packager/config"
	"laminate/packager/location"
)

// checkPaths checks the directories on the command line, before anything is built, and returns all errors.
func (s *smokeRun) checkPaths() error {
	var errs []error
	for _, dir := range s.c.StringSlice("app") {
		if err := checkApp(dir); err != nil {
			errs = append(errs, fmt.Errorf("--app %s: %w", dir, err))
		}
	}
	for _, o := range []struct{ flag, dir string }{{"cache", s.c.String("cache")}, {"logs", s.c.String("logs")}, {"output-layout", s.layout.Path}} {
		if o.dir == "" {
			continue
		}
		if err := checkWritable(o.dir); err != nil {
			errs = append(errs, fmt.Errorf("--%s %s: %w", o.flag, o.dir, err))
		}
	}
	return errors.Join(errs...)
}

// checkApp checks that there is an app that can be read.
func checkApp(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("no such directory; name the directory of an app")
	case err != nil:
		return reason(err)
	case !info.IsDir():
		return errors.New("it is a file; name the directory of an app")
	}
	if _, err := os.ReadDir(dir); err != nil {
		return reason(err)
	}
	f, err := os.Open(filepath.Join(dir, config.SmokeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", config.SmokeFile, reason(err))
	}
	return f.Close()
}

// checkWritable checks that files can be written to a directory, or to one that is yet to be made. It leaves
// nothing.
func checkWritable(dir string) error {
	at, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for {
		info, err := os.Stat(at)
		if errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
			at = filepath.Dir(at)
			continue
		}
		if err != nil {
			return reason(err)
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is a file; name a directory", at)
		}
		break
	}
	probe, err := os.MkdirTemp(at, ".laminate-")
	if err != nil {
		return fmt.Errorf("nothing can be written to %s: %w", at, reason(err))
	}
	return os.Remove(probe)
}

// reason returns an error about a file without the name of the file, which the caller has.
func reason(err error) error {
	if at := new(fs.PathError); errors.As(err, &at) {
		return at.Err
	}
	return err
}

// isYetToBeWritten reports whether a previous image is that of --output-layout, which is not there before the
// first run.
func (s *smokeRun) isYetToBeWritten(previous location.Location) bool {
	one, errOne := filepath.Abs(previous.Path)
	other, errOther := filepath.Abs(s.layout.Path)
	if previous.Kind != location.OCILayout || s.layout.Path == "" || errOne != nil || errOther != nil || one != other {
		return false
	}
	_, err := os.Lstat(filepath.Join(one, "index.json"))
	return errors.Is(err, fs.ErrNotExist)
}
