package smoke

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"laminate/builder/smoke/sandbox"
	"laminate/builder/smoke/tardiff"
)

// noteBegin lets a second build note when its first bin/build begins. What was restored from the cache
// has changed before that, in the time of the file system, and what buildpacks write has after it.
func (b *build) noteBegin(spec *sandbox.Spec) {
	if b.rebuild == nil {
		return
	}
	w := sandbox.Watch{Programs: []string{buildpacksDir + "*/*/bin/build"}}
	if spec.Watch != nil {
		w = *spec.Watch
	}
	before, once := w.Began, sync.Once{}
	w.Began = func(e sandbox.Exec) (*sandbox.Access, error) {
		var err error
		once.Do(func() { b.rebuild.begin, err = fileTime(filepath.Join(b.dir, "begin")) })
		if err != nil || before == nil {
			return nil, err
		}
		return before(e)
	}
	spec.Watch = &w
}

// fileTime returns a time that later changes of files are after, in nanoseconds of the file system's
// clock, which ticks every few milliseconds. It creates a file.
func fileTime(file string) (int64, error) {
	var first int64
	for tries := 0; ; tries++ {
		if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Chmod(file, 0o600)); err != nil {
			return 0, err
		}
		info, err := os.Lstat(file)
		if err != nil {
			return 0, err
		}
		now := changeTime(info)
		if first == 0 {
			first = now
		}
		if now > first || tries == 1000 {
			return first, nil
		}
		time.Sleep(time.Millisecond)
	}
}

// writtenSince returns the size of files of a layer that have changed after a time, and reports whether
// any file or link has. A layer without a directory was not made.
func writtenSince(layers, layer string, begin int64) (bytes int64, wrote bool, err error) {
	root, err := os.OpenRoot(layers) // nothing outside is looked at, wherever links lead
	if err != nil {
		return 0, false, err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), layer, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if changeTime(info) > begin {
			wrote = true
			if info.Mode().IsRegular() {
				bytes += info.Size()
			}
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	return bytes, wrote, err
}

// filesOf returns the files of a directory.
func filesOf(dir string) (*tardiff.Files, error) {
	var files tardiff.Files
	return &files, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return files.Add(filepath.ToSlash(rel), info.Size(), f)
	})
}
