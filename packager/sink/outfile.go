package sink

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"laminate/packager/localfile"
	"laminate/packager/scratch"
)

// A newFile is an unfinished file, in a scratch directory beside its destination.
type newFile struct {
	dest   string
	temp   string
	output string // for messages: dest, or the layout that it is a part of
	file   *os.File
	buf    *bufio.Writer
	own    *scratch.Dir // of this file only; nil if it is shared
}

// createFile starts a file for dest. It removes what killed runs have left beside it.
func createFile(dest string) (*newFile, error) {
	dest, err := placeFor(dest)
	if err != nil {
		return nil, err
	}
	return createBeside(dest, dest)
}

// createBeside starts a file in a scratch directory of its own beside dest.
func createBeside(dest, output string) (*newFile, error) {
	scratch.Sweep(filepath.Dir(dest))
	dir, err := scratch.Make(scratch.At(filepath.Dir(dest)))
	if err != nil {
		return nil, wrongOutput(output, err)
	}
	f, err := createIn(dir, dest, output)
	if err != nil {
		return nil, errors.Join(err, dir.Remove())
	}
	f.own = dir
	return f, nil
}

// createIn starts a file in a scratch directory that the caller removes.
func createIn(dir *scratch.Dir, dest, output string) (*newFile, error) {
	temp := tempIn(dir)
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, wrongOutput(output, err)
	}
	return &newFile{dest: dest, temp: temp, output: output, file: file, buf: bufio.NewWriterSize(file, 256<<10)}, nil
}

func wrongOutput(output string, err error) error {
	return fmt.Errorf("output %s: %w", output, localfile.Reason(err))
}

// tempIn returns a unique path in a scratch directory.
func tempIn(dir *scratch.Dir) string { return filepath.Join(dir.Path(), rand.Text()) }

// placeFor checks that a file can be created at dest, and follows a symbolic link there, so that it
// remains a link.
func placeFor(dest string) (string, error) {
	if info, err := os.Lstat(dest); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if real, err := filepath.EvalSymlinks(dest); err == nil {
			dest = real
		}
	}
	dir := filepath.Dir(dest)
	if info, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("output %s: missing directory %s", dest, dir)
	} else if err == nil && !info.IsDir() {
		return "", fmt.Errorf("output %s: %s is not a directory", dest, dir)
	}
	switch info, err := os.Lstat(dest); {
	case errors.Is(err, fs.ErrNotExist):
		return dest, nil
	case err != nil:
		return "", wrongOutput(dest, err)
	case info.IsDir():
		return "", fmt.Errorf("output %s: is a directory", dest)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("output %s: is not a regular file", dest)
	}
	return dest, nil
}

// Write implements io.Writer.
func (f *newFile) Write(p []byte) (int, error) {
	n, err := f.buf.Write(p)
	if err != nil {
		err = wrongOutput(f.output, err)
	}
	return n, err
}

// finish syncs the file to disk, still in its scratch directory.
func (f *newFile) finish() error {
	err := f.buf.Flush()
	if err == nil {
		err = f.file.Sync()
	}
	err = errors.Join(err, f.file.Close())
	f.file = nil
	if err != nil {
		return wrongOutput(f.output, err)
	}
	return nil
}

// place moves the finished file to its destination.
func (f *newFile) place() error {
	if err := os.Rename(f.temp, f.dest); err != nil {
		return wrongOutput(f.output, err)
	}
	f.temp = ""
	return syncDir(filepath.Dir(f.dest))
}

// discard removes the file if it was not placed, and its scratch directory.
func (f *newFile) discard() error {
	var err error
	if f.file != nil {
		// The content is discarded; errors of closing do not matter.
		_ = f.file.Close()
	}
	switch {
	case f.own != nil:
		err = f.own.Remove()
	case f.temp != "":
		err = os.Remove(f.temp)
	}
	return err
}

// syncDir syncs renames in a directory, if the file system supports that.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	_ = d.Sync()
	return d.Close()
}

// WriteFile atomically creates or replaces the file at dest with what write writes.
func WriteFile(dest string, write func(io.Writer) error) (err error) {
	f, err := createFile(dest)
	if err != nil {
		return err
	}
	return f.fill(write)
}

// fill writes the file and places it, or removes it on error.
func (f *newFile) fill(write func(io.Writer) error) (err error) {
	defer func() { err = errors.Join(err, f.discard()) }()
	if err := write(f); err != nil {
		return err
	}
	if err := f.finish(); err != nil {
		return err
	}
	return f.place()
}
