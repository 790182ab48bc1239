package step

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// sbomDir has the SBOMs of an app image (buildpack spec, "Software-Bill-of-Materials"), relative to the root.
const sbomDir = "layers/sbom/launch"

// restoreSBOM puts the SBOMs of a previous image from a registry where the lifecycle leaves those that it
// finds by itself: it gives them to buildpacks whose layers it reuses.
func (s *Step) restoreSBOM() {
	if err := copyTree(s.in("/"), s.in(PreviousDir), sbomDir); err != nil {
		fmt.Fprintln(s.Stderr, "warning: the SBOMs of the previous image are not reused:", err)
	}
}

// copyTree copies the regular files of a directory from one root to another. The directory and
// its root may be missing.
func copyTree(to, from, dir string) error {
	root, err := os.OpenRoot(from) // whose links lead nowhere else
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), dir, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && name == dir:
			return nil
		case err != nil:
			return err
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		case !entry.Type().IsRegular():
			return nil
		}
		return copyFile(filepath.Join(to, name), root, name)
	})
}

func copyFile(to string, root *os.Root, name string) (err error) {
	in, err := root.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
