package smoke

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// copyTree copies a directory, which may be named by a symbolic link: files with their permission bits,
// directories, and symbolic links in it as they are. It refuses anything else.
func copyTree(to, from string) error {
	from, err := filepath.EvalSymlinks(from)
	if err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil || rel == "." {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		dest := filepath.Join(to, rel)
		switch mode := info.Mode(); {
		case mode.IsDir():
			return errors.Join(os.Mkdir(dest, 0o700), os.Chmod(dest, mode.Perm()|0o700))
		case mode&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(target, dest)
		case mode.IsRegular():
			return inCopy(dest, rel, copyFile(dest, path, mode.Perm()))
		}
		return fmt.Errorf("%s is neither a file, a directory nor a symbolic link", rel)
	})
}

// inCopy names a file as the original has it in an error about its copy, which is gone when the user reads
// the error.
func inCopy(to, rel string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) && at.Path == to {
		return fmt.Errorf("copying %s to the work directory: %w", rel, at.Err)
	}
	return err
}

func copyFile(to, from string, mode fs.FileMode) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Chmod(mode), w.Close()) // whatever the umask
}
