package sink

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"laminate/packager/filesys"
)

// linkOrWrite makes the file of a blob in the scratch directory, to be placed at
// path: a second name of the file that holds the blob in another layout, where
// only this user can write to that file, or else a copy. A file that another
// user can write to would let that user change the output afterwards.
func (l *layoutDir) linkOrWrite(ctx context.Context, b blob, path string) (f *newFile, err error) {
	j := b.writing(l.log)
	defer func() { j.end(err) }()
	if f, err := l.link(ctx, b, path, j); f != nil || err != nil {
		return f, err
	}
	if f, err = createIn(l.scratch, path, l.place); err != nil {
		return nil, err
	}
	if err = j.copyTo(ctx, f); err == nil {
		err = f.finish()
	}
	if err != nil {
		return nil, errors.Join(err, f.discard())
	}
	return f, nil
}

// link returns the file of a blob a second name, and reads it to check it. It
// returns nil where the blob has to be copied.
func (l *layoutDir) link(ctx context.Context, b blob, path string, j *journey) (*newFile, error) {
	from, ok := b.layer.(interface{ File() string })
	if !ok || from.File() == "" || !isPrivate(filepath.Dir(from.File())) {
		return nil, nil
	}
	f := &newFile{dest: path, temp: tempIn(l.scratch), output: l.place}
	if os.Link(from.File(), f.temp) != nil {
		return nil, nil
	}
	if !isPrivate(f.temp) {
		return nil, f.discard()
	}
	if err := j.copyTo(ctx, io.Discard); err != nil {
		return nil, errors.Join(err, f.discard())
	}
	if !isOne(from.File(), f.temp) { // another file took its place, and was read
		return nil, f.discard()
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
	owner, ok := filesys.OwnerOf(info)
	return ok && owner.UID == os.Geteuid()
}

// isOne reports whether two names are those of one regular file.
func isOne(a, b string) bool {
	x, errX := os.Lstat(a)
	y, errY := os.Lstat(b)
	return errX == nil && errY == nil && x.Mode().IsRegular() && os.SameFile(x, y)
}
