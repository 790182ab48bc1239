package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"strings"

	"laminate/flatten/layer"
	"laminate/packager/stream"
)

// archive is a listed tar or zip file.
type archive struct {
	files  []layer.File // in the archive's order
	byPath map[string]int
	// rooted is the first name with a leading slash, or "". Image archives may have such names,
	// buildpacks may not.
	rooted string
	limits stream.Limits
	packed int64 // size of the file
	bytes  int64 // unpacked size of all entries
	census census
	dirs   map[string]bool // directories that were counted
	errs   []error
}

// problemLimit is how many problems of an archive are collected before reading ends.
const problemLimit = 20

// newArchive returns an empty archive for a file of packed bytes.
func newArchive(l stream.Limits, packed int64) *archive {
	return &archive{byPath: map[string]int{}, dirs: map[string]bool{}, limits: l, packed: max(packed, 1), census: census{limits: l}}
}

// problem adds a problem with the archive. It returns false if there are enough to stop reading.
func (a *archive) problem(format string, args ...any) bool {
	a.errs = append(a.errs, fmt.Errorf(format, args...))
	return len(a.errs) < problemLimit
}

func (a *archive) err() error {
	if len(a.errs) == problemLimit {
		return errors.Join(append(a.errs, errors.New("and possibly more: reading stopped here"))...)
	}
	return errors.Join(a.errs...)
}

// place returns the clean path of an entry, or "" for the archive's root.
func (a *archive) place(name string) (string, error) {
	switch {
	case len(name) > nameLimit:
		return "", fmt.Errorf("entry %.40q… has a name of more than %d bytes", name, nameLimit)
	case name == "" || strings.ContainsRune(name, 0):
		return "", fmt.Errorf("entry %q has an invalid name", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("entry %q leads out of the archive", name)
		}
	}
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	if isDeep(clean) {
		return "", fmt.Errorf("entry %.40q… has a path of more than %d components", name, depthLimit)
	}
	if a.rooted == "" && name[0] == '/' {
		a.rooted = name
	}
	return clean, nil
}

// begin counts an entry, and the directories that it needs, against the limits. Size is the
// unpacked size in its header, which is checked before content is read: a sparse file is a few
// bytes that expand to gigabytes of zeros, and entries of a zip file may share bytes.
func (a *archive) begin(name, link string, size int64) error {
	if err := a.census.add(len(name) + len(link)); err != nil {
		return err
	}
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if len(name) > nameLimit || isDeep(name) {
		name = "" // refused by place
	}
	for at := strings.LastIndexByte(name, '/'); at > 0 && !a.dirs[name[:at]]; at = strings.LastIndexByte(name[:at], '/') {
		a.dirs[name[:at]] = true
		if err := a.census.add(at); err != nil {
			return err
		}
	}
	a.bytes += size
	if size < 0 || a.bytes < 0 {
		a.bytes = math.MaxInt64
	}
	if err := a.limits.Check(a.bytes, a.packed); err != nil {
		return fmt.Errorf("%w; reached at entry %.100q", err, name)
	}
	return nil
}

// add adds an entry. Duplicate directories are allowed, other duplicates are not.
func (a *archive) add(f layer.File) error {
	if i, twice := a.byPath[f.Path]; twice {
		if f.Mode.IsDir() && a.files[i].Mode.IsDir() {
			return nil
		}
		return fmt.Errorf("duplicate path %s", f.Path)
	}
	if f.Mode.IsDir() {
		a.dirs[f.Path] = true
	}
	a.byPath[f.Path] = len(a.files)
	a.files = append(a.files, f)
	return nil
}

// hardLink returns the entry for another name of an earlier file.
func (a *archive) hardLink(name, target string, mode fs.FileMode) (layer.File, error) {
	to, err := a.place(target)
	if err != nil {
		return layer.File{}, fmt.Errorf("%s is a hard link out of the archive, to %s", name, target)
	}
	i, there := a.byPath[to]
	if !there || !a.files[i].Mode.IsRegular() {
		return layer.File{}, fmt.Errorf("%s is a hard link to %s, which is not an earlier file", name, target)
	}
	first := &a.files[i]
	if first.Same == "" {
		first.Same = first.Path
	}
	f := *first
	f.Path, f.Mode = name, mode
	return f, nil
}

// has reports whether the archive holds a regular file of this path.
func (a *archive) has(name string) bool {
	i, there := a.byPath[name]
	return there && a.files[i].Mode.IsRegular()
}

// open opens a regular file. It follows symbolic links within the archive, which old Docker
// archives have.
func (a *archive) open(name string) (io.ReadCloser, int64, error) {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	for range 8 {
		i, there := a.byPath[name]
		if !there {
			return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		f := a.files[i]
		if f.Mode.IsRegular() {
			rc, err := f.Open()
			return rc, f.Size, err
		}
		if f.Mode&fs.ModeSymlink == 0 {
			return nil, 0, fmt.Errorf("%s is not a regular file", name)
		}
		name = strings.TrimPrefix(path.Join("/", path.Dir(name), f.Link), "/")
	}
	return nil, 0, fmt.Errorf("%s: too many symbolic links", name)
}
