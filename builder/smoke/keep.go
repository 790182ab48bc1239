package smoke

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// keepLogs copies the whole logs of all phases to a directory, and names the copies in the phases.
func (r *Result) keepLogs(in func() (string, error)) error {
	if in == nil || len(r.Phases) == 0 {
		return nil
	}
	dir, err := in()
	if err != nil || dir == "" {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	for i := range r.Phases {
		p := &r.Phases[i]
		if info, err := os.Stat(p.file); err == nil && info.Size() == 0 {
			continue // it printed nothing, or was not begun
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		to := filepath.Join(dir, p.Name+".log")
		if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) { // of an earlier run
			return err
		}
		err := copyFile(to, p.file, 0o644)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the phase began, and printed nothing
		}
		if err != nil {
			return errors.Join(err, os.RemoveAll(to))
		}
		p.LogFile = to
	}
	return nil
}
