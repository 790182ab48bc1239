package sink

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"laminate/packager/progress"
	"laminate/packager/scratch"
)

// linkOrWrite makes the file of a blob in a scratch directory, to be placed at
// path: a second name of the file that holds the blob in another layout, where
// only this user can write to that file, or else a copy. A file that another
// user can write to would let that user change the output afterwards.
func (b blob) linkOrWrite(ctx context.Context, dir *scratch.Dir, path string, log progress.Log) (*newFile, error) {
	if from, ok := b.layer.(interface{ File() string }); ok && from.File() != "" && isPrivate(filepath.Dir(from.File())) {
		f := &newFile{dest: path, temp: tempIn(dir)}
		if os.Link(from.File(), f.temp) == nil {
			if isPrivate(f.temp) {
				err := b.writeTo(ctx, io.Discard, log) // to check it
				if err == nil && isOne(from.File(), f.temp) {
					return f, nil
				}
				if err != nil {
					return nil, errors.Join(err, f.discard())
				}
			}
			if err := f.discard(); err != nil {
				return nil, err
			}
		}
	}
	f, err := createIn(dir, path)
	if err != nil {
		return nil, err
	}
	if err = b.writeTo(ctx, f, log); err == nil {
		err = f.finish()
	}
	if err != nil {
		return nil, errors.Join(err, f.discard())
	}
	return f, nil
}

// isPrivate reports whether this user, and no other but root, can write to a
// file or directory. A symbolic link is neither.
func isPrivate(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm()&0o022 != 0 || info.Mode()&fs.ModeSymlink != 0 {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// isOne reports whether two names are those of one regular file.
func isOne(a, b string) bool {
	x, errX := os.Lstat(a)
	y, errY := os.Lstat(b)
	return errX == nil && errY == nil && x.Mode().IsRegular() && os.SameFile(x, y)
}
