package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"laminate/packager/location"
	"laminate/packager/sink"
)

// digestLines matches the contents of a digest file, as an earlier run may have left it.
var digestLines = regexp.MustCompile(`^(sha256:[0-9a-f]{64}\n?)*$`)

// clearDigests removes the digest file of an earlier run, so that there is none unless this run
// makes the output. A file that holds anything else is left alone, and is an error.
func (o *output) clearDigests() error {
	file := o.c.String("digest-file")
	if file == "" || o.c.Bool("dry-run") {
		return nil
	}
	dir := filepath.Dir(file)
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("--digest-file %s: no directory %s; make it, or name another file", file, dir)
	}
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("--digest-file: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("--digest-file %s: it is not a regular file; name another file", file)
	}
	var before []byte
	if info.Size() < 64<<10 {
		if before, err = os.ReadFile(file); err != nil {
			return fmt.Errorf("--digest-file: %w", err)
		}
	}
	if int64(len(before)) != info.Size() || !digestLines.Match(before) {
		return fmt.Errorf("--digest-file %s: it exists and holds something else than digests; remove it, or name another file", file)
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("--digest-file: %w", err)
	}
	return nil
}

// writeDigests writes the digest file: the digest of DEST or, if each target has its own file, the
// digests of all of them, one per line.
func (o *output) writeDigests(written []sink.Written) error {
	file := o.c.String("digest-file")
	if file == "" || len(written) == 0 {
		return nil
	}
	switch o.dest.Kind {
	case location.Path, location.OCIArchive, location.DockerArchive:
	default:
		written = written[:1] // the others are tags
	}
	err := sink.WriteFile(file, func(w io.Writer) error {
		for _, one := range written {
			if _, err := fmt.Fprintln(w, one.Digest); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("--digest-file: %w; the output itself was written", err)
	}
	return nil
}

// isOutput returns a function that reports whether a path is an output of this run, and so not part
// of the input.
func (o *output) isOutput() func(path string) bool {
	isDest := sink.IsOutput(o.dest)
	file := o.c.String("digest-file")
	if file == "" {
		return isDest
	}
	isDigests := sink.IsOutput(location.Location{Kind: location.OCILayout, Path: file}) // one file, whatever the targets
	return func(path string) bool { return isDest(path) || isDigests(path) }
}
