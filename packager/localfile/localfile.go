// Package localfile opens files that a user names. It opens regular files only: reading a named
// pipe may block forever, and a device may never end.
package localfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"laminate/packager/filesys"
)

// NotRegularError reports that a file is not a regular one. It is the Err of an *fs.PathError.
type NotRegularError struct{ Mode fs.FileMode }

func (e *NotRegularError) Error() string {
	switch kind := e.Mode.Type(); {
	case kind&fs.ModeDir != 0:
		return "is a directory, not a file"
	case kind&fs.ModeNamedPipe != 0:
		return "is a named pipe, not a regular file; write its content to a file first"
	case kind&fs.ModeSocket != 0:
		return "is a socket, not a regular file"
	case kind&fs.ModeDevice != 0:
		return "is a device, not a regular file"
	}
	return "is not a regular file"
}

// Check returns a *NotRegularError unless the mode is that of a regular file.
func Check(mode fs.FileMode) error {
	if mode.IsRegular() {
		return nil
	}
	return &NotRegularError{mode}
}

// Open opens a regular file for reading, following symbolic links. It never blocks: for anything
// but a regular file it returns an *fs.PathError.
func Open(path string) (*os.File, error) {
	// Opening a device may have effects (rewind a tape), so the type is checked before and after.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := Check(info.Mode()); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return checked(os.OpenFile(path, flags, 0))
}

// OpenIn is like Open for a path below a directory. Symbolic links must not lead out of it.
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

// flags prevent blocking on a named pipe, and acquiring a controlling terminal.
const flags = os.O_RDONLY | filesys.NoWait | filesys.NoTerminal

// checked returns f, or closes it if it is not a regular file.
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

// Read reads a regular file of at most limit bytes.
func Read(path string, limit int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("is larger than the limit of %d bytes", limit)}
	}
	return data, errors.Join(err, f.Close())
}

// Reason returns the cause of an error of package os, without the operation and the path, which is
// often that of a temporary file. It returns other errors unchanged.
func Reason(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
