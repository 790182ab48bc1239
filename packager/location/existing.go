package location

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// CheckDest returns an error with the form to write if a destination is an existing file that would
// be read as a plain REF or as a directory, or that would be replaced although it is not an image.
// A user who forgets DEST and names an input would lose that file.
func CheckDest(l Location) error {
	file := l.Path
	isPlainRef := file == "" && l.Written == l.Ref
	if isPlainRef {
		file = l.Ref
	}
	info, err := os.Stat(file)
	if file == "" || err != nil || !info.Mode().IsRegular() {
		return nil // other kinds are checked when they are written
	}
	switch {
	case isPlainRef:
		return fmt.Errorf("destination %q is an existing file; write FILE.cnb, oci:DIR or docker://REF, or docker-daemon:%s for an image of that name", l, l.Ref)
	case l.Kind == OCILayout:
		return fmt.Errorf("destination %q is an existing file, not a directory; write oci:DIR with a new directory or an OCI layout, or oci-archive:FILE", l)
	case isArchiveName(file), info.Size() == 0, isTar(file):
		return nil
	}
	return fmt.Errorf("destination %q is an existing file and not an image; write FILE.cnb, oci:DIR, docker://REF or docker-daemon:REF, or remove the file first", l)
}

// isTar reports whether a file begins with the header of a tar archive.
func isTar(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	magic := make([]byte, 5)
	_, err = io.ReadFull(io.NewSectionReader(f, 257, int64(len(magic))), magic)
	return err == nil && bytes.Equal(magic, []byte("ustar"))
}
