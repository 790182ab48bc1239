package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"laminate/flatten/layer"
	"laminate/packager/filesys"
	"laminate/packager/localfile"
	"laminate/packager/stream"
)

// readDirectory lists everything below a directory, except what leaveOut reports. It opens no
// files, and follows no symbolic links. LeaveOut may be nil.
func readDirectory(ctx context.Context, dir string, leaveOut func(string) bool, limits stream.Limits) ([]layer.File, error) {
	root, err := filepath.EvalSymlinks(dir)
	if err == nil {
		root, err = filepath.Abs(root)
	}
	if err != nil {
		return nil, err
	}
	var files []layer.File
	all := census{limits: limits}
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if file == root {
			return nil
		}
		if leaveOut != nil && leaveOut(file) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return changed(err)
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		f, err := listed(file, info)
		if err != nil {
			return err
		}
		f.Path = filepath.ToSlash(rel)
		files = append(files, f)
		return all.add(len(f.Path) + len(f.Link))
	})
	return files, err
}

// listed describes a file of a directory, without its path below the root.
func listed(file string, info fs.FileInfo) (layer.File, error) {
	f := layer.File{Mode: filesys.Mode(info)}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		link, err := os.Readlink(file)
		if err != nil {
			return f, changed(err)
		}
		f.Link = filepath.ToSlash(link)
	case info.Mode().IsRegular():
		f.Size = info.Size()
		o := original{path: file, info: info}
		f.Open = func() (io.ReadCloser, error) { return o.open(0, info.Size()) }
		f.Same = filesys.SharedBy(info)
	}
	return f, nil
}

// errChanged is the error for a file that changed after it was listed.
var errChanged = errors.New("changed while being read")

func changed(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", errChanged, err)
	}
	return err
}

// original is the state of a local file when it was listed.
type original struct {
	path string
	info fs.FileInfo
}

// listOriginal records the state of a file that will be read.
func listOriginal(file string) (original, error) {
	info, err := os.Stat(file)
	if err != nil {
		return original{}, err
	}
	if err := localfile.Check(info.Mode()); err != nil {
		return original{}, err
	}
	path, err := filepath.EvalSymlinks(file)
	return original{path: path, info: info}, err
}

// open opens length bytes at offset. Before the first byte and after the last, it compares
// identity, size and time of the file with those when it was listed.
func (o original) open(offset, length int64) (io.ReadCloser, error) {
	// Not to follow a link that took the file's place, not to wait for the
	// other end of a fifo that did.
	f, err := os.OpenFile(o.path, os.O_RDONLY|filesys.NoFollow|filesys.NoWait, 0)
	if err != nil {
		if errors.Is(err, syscall.ELOOP) {
			return nil, errChanged
		}
		return nil, changed(err)
	}
	r := &originalReader{Reader: io.NewSectionReader(f, offset, length), file: f, original: o, left: length}
	if err := r.check(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

type originalReader struct {
	io.Reader
	file     *os.File
	original original
	left     int64
}

func (r *originalReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.left -= int64(n)
	if errors.Is(err, io.EOF) {
		if changed := r.check(); changed != nil {
			return n, changed
		}
		if r.left > 0 {
			return n, errChanged
		}
	}
	return n, err
}

func (r *originalReader) check() error {
	now, err := r.file.Stat()
	if err != nil {
		return err
	}
	was := r.original.info
	if !os.SameFile(was, now) || was.Size() != now.Size() || !was.ModTime().Equal(now.ModTime()) || was.Mode() != now.Mode() {
		return errChanged
	}
	return nil
}

func (r *originalReader) Close() error { return r.file.Close() }

// forTarget returns the files of a buildpack for a target: it follows the folders as far as they
// exist; the last one becomes the root, with the descriptor of the outer root. The order of the
// files does not matter.
func forTarget(files []layer.File, folders []string, descriptor string) []layer.File {
	has := func(dir string) bool {
		return slices.ContainsFunc(files, func(f layer.File) bool {
			return f.Mode.IsDir() && f.Path == dir || strings.HasPrefix(f.Path, dir+"/")
		})
	}
	root := ""
	for _, folder := range folders {
		if folder == "" || strings.ContainsRune(folder, '/') || !has(root+folder) {
			break
		}
		root += folder + "/"
	}
	outer := slices.IndexFunc(files, func(f layer.File) bool { return f.Path == descriptor })
	if root == "" || outer < 0 {
		return files
	}
	// A separate file, like a copy: the outer one may have hard links.
	inner := files[outer]
	inner.Same, inner.Mode = "", 0o644
	kept := []layer.File{inner}
	for _, f := range files {
		rel, below := strings.CutPrefix(f.Path, root)
		if below && rel != "" && rel != descriptor {
			f.Path = rel
			kept = append(kept, f)
		}
	}
	return kept
}
