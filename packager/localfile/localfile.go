// Package localfile opens the files that a user names, and those in a
// directory that a user names. A named pipe without a writer would block the
// reader for ever, and a device may never end: only regular files are opened.
package localfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"laminate/packager/filesys"
)

// NotRegularError says that something is not a regular file. As the error of
// an *fs.PathError it follows the path.
type NotRegularError struct{ Mode fs.FileMode }

func (e *NotRegularError) Error() string {
	switch kind := e.Mode.Type(); {
	case kind&fs.ModeDir != 0:
		return "it is a directory, not a file"
	case kind&fs.ModeNamedPipe != 0:
		return "it is a named pipe, not a regular file; write its content to a file first"
	case kind&fs.ModeSocket != 0:
		return "it is a socket, not a regular file"
	case kind&fs.ModeDevice != 0:
		return "it is a device, not a regular file"
	}
	return "it is not a regular file"
}

// Check returns a *NotRegularError unless the mode is that of a regular file.
func Check(mode fs.FileMode) error {
	if mode.IsRegular() {
		return nil
	}
	return &NotRegularError{mode}
}

// Open opens a regular file for reading, following symbolic links. It never
// blocks: it is an *fs.PathError if the path leads to anything else.
func Open(path string) (*os.File, error) {
	// Opening a device may do something to it (rewind a tape), so it is not
	// opened at all, unless it takes the file's place in between.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := Check(info.Mode()); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return checked(os.OpenFile(path, flags, 0))
}

// OpenIn is Open for a path below a directory. Symbolic links do not lead out
// of it.
func OpenIn(dir, path string) (_ *os.File, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	info, err := root.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := Check(info.Mode()); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return checked(root.OpenFile(path, flags, 0))
}

// flags keep a named pipe from blocking, and a terminal from becoming the
// process's own.
const flags = os.O_RDONLY | filesys.NoWait | filesys.NoTerminal

// checked closes a file that is not a regular one.
func checked(f *os.File, err error) (*os.File, error) {
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		if err = Check(info.Mode()); err != nil {
			err = &fs.PathError{Op: "open", Path: f.Name(), Err: err}
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Read reads a regular file that has at most limit bytes.
func Read(path string, limit int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it is larger than the limit of %d bytes", limit)}
	}
	return data, errors.Join(err, f.Close())
}
