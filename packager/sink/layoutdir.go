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

// A layoutDir is a layout that is written to: in its place where a directory is
// there, else beside it. No other run writes to it meanwhile.
type layoutDir struct {
	place  string
	exists bool // a directory is at its place
	dir    string
	log    progress.Log
	unlock func() error

	scratch   *scratch.Dir // holds what is unfinished: blobs, or all of a new layout
	made      []string     // files and directories that were made, outer ones first
	published bool         // index.json refers to what was written

	mu    sync.Mutex
	wrote []string // blobs that were not there before
}

// openLayout locks the place of a layout, sees what is there, and makes it ready
// to take blobs. What killed runs have left there and beside it goes. The caller
// closes it.
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

// lock locks the layout's directory or, where there is none, its name: two runs
// must not both read index.json before either has written it.
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
			continue // the run that had made it failed, and has removed it
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

// inspectLayout reports whether a directory stands at path, and refuses what is
// neither a layout nor empty. Scratch directories do not count.
func inspectLayout(path string) (dir string, exists bool, err error) {
	if dir, err = filepath.EvalSymlinks(path); err != nil {
		dir = filepath.Clean(path)
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if info, err := os.Stat(filepath.Dir(dir)); err != nil || !info.IsDir() {
			return "", false, fmt.Errorf("output %s: there is no directory %s", path, filepath.Dir(dir))
		}
		return dir, false, nil
	case err != nil:
		return "", false, fmt.Errorf("output %s: %w", path, localfile.Reason(err))
	case !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !scratch.Is(e.Name()) }):
		return dir, true, nil
	}
	mark, err := localfile.Read(filepath.Join(dir, layoutFile), registry.DocumentLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, fmt.Errorf("output %s: the directory holds other things than an OCI layout; name an empty or a new one", path)
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
		return "", false, fmt.Errorf("output %s: the OCI layout has version %q, not 1.0.0", path, layout.Version)
	}
	_, err = readIndex(dir)
	return dir, true, err
}

// prepare makes the directories and the file oci-layout, which comes first: with
// it the directory is a layout, if an empty one.
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

// replaceFile writes a small file of the layout, whole or not at all.
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

// close returns the layout free for others. Where it failed before index.json
// referred to them, the things that this run put into an existing directory go,
// the file oci-layout last: until then the directory is a layout.
func (l *layoutDir) close(failed bool) error {
	var err error
	if l.scratch != nil {
		err = l.scratch.Remove()
	}
	if failed && l.exists && !l.published {
		for _, path := range l.wrote {
			_ = os.Remove(path) // nothing refers to it: harmless where it stays
		}
		for _, path := range slices.Backward(l.made) {
			_ = os.Remove(path) // a directory goes only if it is empty
		}
	}
	return errors.Join(err, l.unlock())
}
