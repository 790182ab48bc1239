package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"laminate/packager/localfile"
	"laminate/packager/progress"
	"laminate/packager/registry"
	"laminate/packager/scratch"
)

// A layoutDir is a layout that is being written: in place if the directory exists, otherwise beside
// it. It is locked against other runs.
type layoutDir struct {
	place  string
	exists bool // the directory exists
	dir    string
	log    progress.Log
	unlock func() error

	scratch   *scratch.Dir // for unfinished blobs, or for all of a new layout
	made      []string     // created files and directories, outer ones first
	published bool         // index.json references what was written

	mu    sync.Mutex
	wrote []string // blobs that did not exist before
}

// openLayout locks and inspects the destination of a layout, removes what killed runs have left,
// and prepares it for blobs. The caller must close it.
func openLayout(ctx context.Context, path string, log progress.Log) (*layoutDir, error) {
	l := &layoutDir{log: log}
	if err := l.lock(ctx, path); err != nil {
		return nil, err
	}
	if err := l.prepare(); err != nil {
		return nil, errors.Join(err, l.close(true))
	}
	return l, nil
}

// lock locks the layout's directory or, if it does not exist, its name: two runs must not both read
// index.json before either has written it.
func (l *layoutDir) lock(ctx context.Context, path string) error {
	for {
		dir, exists, err := inspectLayout(path)
		if err != nil {
			return err
		}
		lock := lockName
		if exists {
			lock = lockDir
		}
		unlock, err := lock(ctx, dir, l.log)
		if exists && errors.Is(err, fs.ErrNotExist) {
			continue // the run that created it failed, and removed it
		}
		if err != nil {
			return fmt.Errorf("output %s: %w", path, localfile.Reason(err))
		}
		// Another run may have written while this one waited.
		now, existsNow, err := inspectLayout(path)
		if err == nil && now == dir && existsNow == exists {
			l.place, l.dir, l.exists, l.unlock = dir, dir, exists, unlock
			return nil
		}
		if err := errors.Join(err, unlock()); err != nil {
			return err
		}
	}
}

// inspectLayout reports whether there is a directory at path, and refuses one that is neither a
// layout nor empty. It ignores scratch directories.
func inspectLayout(path string) (dir string, exists bool, err error) {
	if dir, err = filepath.EvalSymlinks(path); err != nil {
		dir = filepath.Clean(path)
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if info, err := os.Stat(filepath.Dir(dir)); err != nil || !info.IsDir() {
			return "", false, fmt.Errorf("output %s: missing directory %s", path, filepath.Dir(dir))
		}
		return dir, false, nil
	case err != nil:
		return "", false, fmt.Errorf("output %s: %w", path, localfile.Reason(err))
	case !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !scratch.Is(e.Name()) }):
		return dir, true, nil
	}
	mark, err := localfile.Read(filepath.Join(dir, layoutFile), registry.DocumentLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, fmt.Errorf("output %s: directory is neither empty nor an OCI layout; use an empty or a new one", path)
	}
	if err != nil {
		return "", false, fmt.Errorf("output %s: %s: %w", path, layoutFile, localfile.Reason(err))
	}
	var layout struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(mark, &layout); err != nil {
		return "", false, fmt.Errorf("output %s: %s: %w", path, layoutFile, err)
	}
	if layout.Version != "1.0.0" {
		return "", false, fmt.Errorf("output %s: unsupported OCI layout version %q; the supported one is 1.0.0", path, layout.Version)
	}
	_, err = readIndex(dir)
	return dir, true, err
}

// prepare creates the file oci-layout, which makes the directory an (empty) layout, and then the
// directories.
func (l *layoutDir) prepare() (err error) {
	beside := filepath.Dir(l.place)
	scratch.Sweep(beside)
	if !l.exists {
		if l.scratch, err = scratch.Make(scratch.At(beside)); err != nil {
			return l.wrong(err)
		}
		l.dir = filepath.Join(l.scratch.Path(), "layout")
		if err := os.Mkdir(l.dir, 0o777); err != nil {
			return l.wrong(err)
		}
	}
	scratch.Sweep(l.dir)
	mark := filepath.Join(l.dir, layoutFile)
	if _, err := os.Lstat(mark); errors.Is(err, fs.ErrNotExist) {
		l.made = append(l.made, mark)
		if err := l.replaceFile(layoutFile, []byte(layoutMark)); err != nil {
			return err
		}
	}
	blobs := filepath.Join(l.dir, "blobs", "sha256")
	for _, d := range []string{filepath.Dir(blobs), blobs} {
		switch err := os.Mkdir(d, 0o777); {
		case err == nil:
			l.made = append(l.made, d)
		case !errors.Is(err, fs.ErrExist):
			return l.wrong(err)
		}
	}
	if l.exists {
		scratch.Sweep(blobs)
		if l.scratch, err = scratch.Make(scratch.At(blobs)); err != nil {
			return l.wrong(err)
		}
	}
	return nil
}

func (l *layoutDir) wrong(err error) error { return wrongOutput(l.place, err) }

// replaceFile atomically writes a small file of the layout.
func (l *layoutDir) replaceFile(name string, content []byte) error {
	dest, err := placeFor(filepath.Join(l.dir, name))
	if err != nil {
		return err
	}
	f, err := createBeside(dest, l.place)
	if err != nil {
		return err
	}
	return f.fill(func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

func (l *layoutDir) writeBlobs(ctx context.Context, blobs []blob, jobs int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(jobs)
	for _, b := range blobs {
		group.Go(func() error { return l.writeBlob(ctx, b) })
	}
	return group.Wait()
}

// close unlocks the layout. If writing failed before index.json was replaced, it removes what this
// run added to an existing directory, the file oci-layout last: until then the directory is a
// layout.
func (l *layoutDir) close(failed bool) error {
	var err error
	if l.scratch != nil {
		err = l.scratch.Remove()
	}
	if failed && l.exists && !l.published {
		for _, path := range l.wrote {
			_ = os.Remove(path) // unreferenced: harmless if it remains
		}
		for _, path := range slices.Backward(l.made) {
			_ = os.Remove(path) // removes only empty directories
		}
	}
	return errors.Join(err, l.unlock())
}
