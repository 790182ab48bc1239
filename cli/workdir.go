package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"laminate/packager/scratch"
)

// makeWorkDir removes what killed runs left beside it, and then creates the work directory.
func (s *session) makeWorkDir() (*scratch.Dir, error) {
	temp := s.tempDir()
	scratch.Sweep(temp)
	work, err := scratch.Make(scratch.At(temp))
	if err != nil {
		return nil, inTempDir(temp, err)
	}
	s.workDir = work.Path()
	return work, nil
}

// inTempDir names TMPDIR in an error about a file in the work directory, which no longer exists
// when the user reads the error.
func inTempDir(temp string, err error) error {
	var at *fs.PathError
	if !errors.As(err, &at) || !strings.HasPrefix(at.Path, filepath.Clean(temp)+string(filepath.Separator)+scratch.Prefix) {
		return err
	}
	return &workDirError{temp, at.Err, err}
}

// workDirError is the error of a work directory that cannot be written to.
type workDirError struct {
	temp        string
	reason, err error
}

func (e *workDirError) Error() string {
	message := fmt.Sprintf("work directory in %s: %v", e.temp, e.reason)
	if errors.Is(e.reason, syscall.ENOSPC) || errors.Is(e.reason, syscall.EDQUOT) {
		message += "; free some space there, or set TMPDIR to another directory"
	}
	return message
}

func (e *workDirError) Unwrap() error { return e.err }
