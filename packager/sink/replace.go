package sink

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"laminate/packager/filesys"
	"laminate/packager/localfile"
)

// Replacement is new content for a file.
type Replacement struct {
	Path string
	// Old is what the file is expected to hold.
	Old, New []byte
}

// ReplaceFiles replaces the content of files. It writes all of the new files beside the old ones
// before it renames any. Modes are kept, and owners where that is allowed; symbolic links stay, and
// the files that they lead to are replaced. A file that does not hold what is expected is an error:
// then none is replaced.
func ReplaceFiles(files []Replacement) (err error) {
	written := make([]*newFile, len(files))
	defer func() {
		for _, f := range written {
			if f != nil {
				err = errors.Join(err, f.discard())
			}
		}
	}()
	for i, r := range files {
		if written[i], err = r.prepare(); err != nil {
			return err
		}
	}
	for _, r := range files { // the time since is short
		if err := r.check(); err != nil {
			return err
		}
	}
	for i, f := range written {
		if err := f.place(); err != nil {
			if i > 0 {
				err = fmt.Errorf("%w; %s is replaced already", err, files[i-1].Path)
			}
			return err
		}
	}
	return nil
}

// prepare writes the new file beside the old one.
func (r Replacement) prepare() (*newFile, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	f, err := createFile(r.Path)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(r.New)
	if err == nil {
		err = f.like(r.Path)
	}
	if err == nil {
		err = f.finish()
	}
	if err != nil {
		return nil, errors.Join(err, f.discard())
	}
	return f, nil
}

// check returns an error if the file has other content than expected.
func (r Replacement) check() error {
	now, err := localfile.Read(r.Path, int64(len(r.Old)))
	var larger *fs.PathError
	switch {
	case err == nil && bytes.Equal(now, r.Old):
		return nil
	case err == nil, errors.As(err, &larger) && larger.Op == "read":
		return fmt.Errorf("%s has changed meanwhile, and was not written; run the command again", r.Path)
	}
	return wrongOutput(r.Path, err)
}

// like gives the unfinished file mode and owner of another one.
func (f *newFile) like(path string) error {
	info, err := os.Stat(path)
	if err == nil {
		err = f.file.Chmod(info.Mode().Perm())
	}
	if err != nil {
		return wrongOutput(f.output, err)
	}
	if owner, known := filesys.OwnerOf(info); known {
		_ = f.file.Chown(owner.UID, owner.GID) // only root may, and then it matters
	}
	return nil
}
