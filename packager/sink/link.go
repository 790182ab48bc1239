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

// linkOrWrite creates the file of a blob in the scratch directory, to be moved to path: a hard link
// to the file in another layout if only this user can write to it, otherwise a copy. A link to a
// file that others can write to would let them change the output later.
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

// link hard-links the file of a blob, and verifies it. It returns nil if the blob must be copied.
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
	if !isOne(from.File(), f.temp) { // the file was replaced
		return nil, f.discard()
	}
	return f, nil
}

// isPrivate reports whether only this user and root can write to a file or directory. It returns
// false for symbolic links.
func isPrivate(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm()&0o022 != 0 || info.Mode()&fs.ModeSymlink != 0 {
		return false
	}
	owner, ok := filesys.OwnerOf(info)
	return ok && owner.UID == os.Geteuid()
}

// isOne reports whether two names refer to the same regular file.
func isOne(a, b string) bool {
	x, errX := os.Lstat(a)
	y, errY := os.Lstat(b)
	return errX == nil && errY == nil && x.Mode().IsRegular() && os.SameFile(x, y)
}
