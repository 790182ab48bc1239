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

// readDirectory lists everything below a directory but what is left out.
// Nothing is opened until its content is asked for; symbolic links are not
// followed. LeaveOut may be nil.
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

// listed describes one file of a directory, but for its path below the root.
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

// errChanged is what is wrong with a file that is not what it was when it was listed.
var errChanged = errors.New("it changed while being read")

func changed(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", errChanged, err)
	}
	return err
}

// original is a local file as it was when it was listed.
type original struct {
	path string
	info fs.FileInfo
}

// listOriginal takes a look at a file that is going to be read.
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

// open reads length bytes from offset. It is an error if the file is another
// one, or has another size or time, than when it was listed: before the first
// byte, or after the last.
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

// forTarget keeps what a buildpack has for a target: as many of the folders as
// exist, from the first, lead to what becomes the root. The descriptor of the
// outer root is put there. Files are in no order that matters.
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
	// An own file, as a copy would be: the outer one may have hard links.
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
