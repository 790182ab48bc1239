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

// A newFile is a file in the making, in a scratch directory beside the place
// that it will take.
type newFile struct {
	dest   string
	temp   string
	output string // what messages call it: dest, or the layout that it is a part of
	file   *os.File
	buf    *bufio.Writer
	own    *scratch.Dir // made for this file alone; nil where it is shared
}

// createFile begins a file that is to stand at dest. It removes what killed
// runs have left beside it.
func createFile(dest string) (*newFile, error) {
	dest, err := placeFor(dest)
	if err != nil {
		return nil, err
	}
	return createBeside(dest, dest)
}

// createBeside begins a file in a scratch directory of its own beside dest.
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

// createIn begins a file in a scratch directory that the caller removes.
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

// tempIn is the path of a new file in a scratch directory.
func tempIn(dir *scratch.Dir) string { return filepath.Join(dir.Path(), rand.Text()) }

// placeFor checks that a file can stand at dest. A symbolic link there is
// followed, so that it stays a link.
func placeFor(dest string) (string, error) {
	if info, err := os.Lstat(dest); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if real, err := filepath.EvalSymlinks(dest); err == nil {
			dest = real
		}
	}
	dir := filepath.Dir(dest)
	if info, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("output %s: there is no directory %s", dest, dir)
	} else if err == nil && !info.IsDir() {
		return "", fmt.Errorf("output %s: %s is not a directory", dest, dir)
	}
	switch info, err := os.Lstat(dest); {
	case errors.Is(err, fs.ErrNotExist):
		return dest, nil
	case err != nil:
		return "", wrongOutput(dest, err)
	case info.IsDir():
		return "", fmt.Errorf("output %s: it is a directory", dest)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("output %s: it is not a regular file", dest)
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

// finish brings everything to the disk. The file is still in its scratch directory.
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

// place returns the finished file its name.
func (f *newFile) place() error {
	if err := os.Rename(f.temp, f.dest); err != nil {
		return wrongOutput(f.output, err)
	}
	f.temp = ""
	return syncDir(filepath.Dir(f.dest))
}

// discard removes what has not been placed, and the file's scratch directory.
func (f *newFile) discard() error {
	var err error
	if f.file != nil {
		// What was written is thrown away: how closing went says nothing.
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

// syncDir makes renames in a directory last. Where the file system cannot do
// that, renames are as safe as they are.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	_ = d.Sync()
	return d.Close()
}

// WriteFile makes the file at dest, or makes it anew, of what write writes:
// whole, or not at all.
func WriteFile(dest string, write func(io.Writer) error) (err error) {
	f, err := createFile(dest)
	if err != nil {
		return err
	}
	return f.fill(write)
}

// fill writes the file, and places it whole or not at all.
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
