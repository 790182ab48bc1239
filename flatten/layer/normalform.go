package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"laminate/flatten"
)

// Epoch is the time of every entry in normal form.
var Epoch = time.Date(1980, 1, 1, 0, 0, 1, 0, time.UTC)

// File is one path below a module's root.
type File struct {
	// Path is relative to the root, with slashes and without dot components.
	Path string
	// Mode holds the type bits and the permissions.
	Mode fs.FileMode
	// Size is the length of a regular file in bytes.
	Size int64
	// Link is the target of a symbolic link, verbatim.
	Link string
	// Same identifies hard links: files with equal, non-empty Same are one file under several
	// names.
	Same string
	// Open opens a regular file. The stream must have Size bytes. The caller must close it.
	Open func() (io.ReadCloser, error)
}

// NormalForm returns the piece that holds the files in normal form. Files may be in any order;
// missing directories are added, sockets are skipped. It reports all errors in the list at once,
// with source as their prefix.
func NormalForm(kind flatten.Kind, ref flatten.Ref, source string, files []File) (Piece, error) {
	if err := ref.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	files, err := arrange(files)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return &tree{source: source, idDir: kind.IDDir(ref), dir: kind.Dir(ref), files: files}, nil
}

// Limits of one module, including the directories that its list leaves out, so that a short list
// cannot become a huge layer or fill the memory.
const (
	maxDepth   = 256       // components of a path
	maxEntries = 1_000_000 // files, directories and links
	maxNames   = 64 << 20  // bytes of all paths and symbolic link targets
)

// maxProblems is how many errors of one list are reported.
const maxProblems = 20

// tooMany returns an error if n entries with so many bytes of names exceed the limits.
func tooMany(n, names int) error {
	switch {
	case n > maxEntries:
		return fmt.Errorf("too many files and directories; the limit is %d", maxEntries)
	case names > maxNames:
		return fmt.Errorf("names of files and directories are longer than %d MiB in total", maxNames>>20)
	}
	return nil
}

// arrange sorts the files, adds missing parents, drops sockets, and reports everything that normal
// form cannot represent.
func arrange(files []File) ([]File, error) {
	var errs []error
	names := 0
	byPath := make(map[string]fs.FileMode, len(files))
	kept := make([]File, 0, len(files))
	for _, f := range files {
		if err := checkFile(f); err != nil {
			errs = append(errs, err)
			continue
		}
		if f.Mode&fs.ModeSocket != 0 {
			continue
		}
		if _, twice := byPath[f.Path]; twice {
			errs = append(errs, fmt.Errorf("duplicate path %s", f.Path))
			continue
		}
		byPath[f.Path] = f.Mode
		kept = append(kept, f)
		names += len(f.Path) + len(f.Link)
		if err := tooMany(len(kept), names); err != nil {
			return nil, err
		}
	}
	for i := range len(kept) {
		for dir := path.Dir(kept[i].Path); dir != "."; dir = path.Dir(dir) {
			mode, known := byPath[dir]
			if known && !mode.IsDir() {
				errs = append(errs, fmt.Errorf("%s is below %s, which is not a directory", kept[i].Path, dir))
			}
			if known {
				break
			}
			byPath[dir] = fs.ModeDir
			kept = append(kept, File{Path: dir, Mode: fs.ModeDir})
			names += len(dir)
			if err := tooMany(len(kept), names); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(kept, func(a, b File) int { return comparePaths(a.Path, b.Path) })
	if more := len(errs) - maxProblems; more > 0 {
		errs = append(errs[:maxProblems], fmt.Errorf("and %d more", more))
	}
	return kept, errors.Join(errs...)
}

func checkFile(f File) error {
	clean := f.Path != "" && f.Path != "." && path.Clean("/"+f.Path) == "/"+f.Path
	switch {
	case !clean || strings.ContainsRune(f.Path, 0):
		return fmt.Errorf("path %q is outside of the buildpack or not clean", f.Path)
	case len(f.Path) > maxFilePath:
		return fmt.Errorf("path %.40q... is longer than %d bytes", f.Path, maxFilePath)
	case strings.Count(f.Path, "/") >= maxDepth:
		return fmt.Errorf("path %.40q... has more than %d components", f.Path, maxDepth)
	case isWhiteout(f.Path):
		return fmt.Errorf("%s is the name of a whiteout, which an image layer cannot hold as a file", f.Path)
	case f.Mode&fs.ModeSymlink != 0 && (f.Link == "" || len(f.Link) > maxPath || strings.ContainsRune(f.Link, 0)):
		return fmt.Errorf("%s is a symbolic link with the invalid target %.40q", f.Path, f.Link)
	case f.Mode&(fs.ModeDevice|fs.ModeCharDevice) != 0:
		return fmt.Errorf("%s is a device, which a buildpack cannot hold", f.Path)
	case f.Mode&fs.ModeNamedPipe != 0:
		return fmt.Errorf("%s is a fifo, which a buildpack cannot hold", f.Path)
	case f.Mode&fs.ModeIrregular != 0:
		return fmt.Errorf("%s is neither a file, a directory nor a symbolic link", f.Path)
	case f.Size < 0:
		return fmt.Errorf("%s has a negative size", f.Path)
	}
	return nil
}

// comparePaths compares paths by component, in the order of a walk: everything below "bin" sorts
// before "bin-x".
func comparePaths(a, b string) int {
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, "/")
		y, b, _ = strings.Cut(b, "/")
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
	return strings.Compare(a, b)
}

func isExecutable(f File) bool {
	switch f.Path {
	case "bin/build", "bin/detect", "bin/generate":
		return true
	}
	return f.Mode&0o111 != 0
}

// header returns the entry of a path in normal form; a regular file is not executable.
func header(name string, mode fs.FileMode) *tar.Header {
	h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, ModTime: Epoch}
	switch {
	case mode.IsDir():
		h.Typeflag, h.Mode = tar.TypeDir, 0o755
	case mode&fs.ModeSymlink != 0:
		h.Typeflag, h.Mode = tar.TypeSymlink, 0o755
	}
	return h
}

// tree is a piece in normal form. It opens files, and makes their headers, only when it writes
// them: a million headers would fill the memory.
type tree struct {
	source     string
	idDir, dir string
	files      []File // arranged
}

func (t *tree) WriteEntries(ctx context.Context, w io.Writer) error {
	tw := tar.NewWriter(w)
	for _, dir := range []string{t.idDir, t.dir} {
		if err := tw.WriteHeader(header(dir, fs.ModeDir)); err != nil {
			return fmt.Errorf("%s: %s: %w", t.source, dir, err)
		}
	}
	first := map[string]string{}
	for _, f := range t.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		h := t.headerOf(f, first)
		if err := tw.WriteHeader(h); err != nil {
			return fmt.Errorf("%s: %s: %w", t.source, h.Name, err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := f.copyTo(ctx, tw); err != nil {
			return fmt.Errorf("%s: %s: %w", t.source, f.Path, err)
		}
	}
	return tw.Flush() // pads the last entry; the trailer belongs to the layer
}

// length returns the length of what WriteEntries writes. It ignores headers that cannot be encoded;
// WriteEntries reports them.
func (t *tree) length() int64 {
	var n counter
	n.w = io.Discard
	add := func(h *tar.Header) { _ = tar.NewWriter(&n).WriteHeader(h) }
	for _, dir := range []string{t.idDir, t.dir} {
		add(header(dir, fs.ModeDir))
	}
	first := map[string]string{}
	for _, f := range t.files {
		h := t.headerOf(f, first)
		add(h)
		n.n += (h.Size + 511) &^ 511
	}
	return n.n
}

// headerOf returns the header of a file; first has the names under which hard links were written
// first.
func (t *tree) headerOf(f File, first map[string]string) *tar.Header {
	h := header(t.dir+"/"+f.Path, f.Mode)
	switch {
	case h.Typeflag == tar.TypeSymlink:
		h.Linkname = f.Link
	case h.Typeflag == tar.TypeReg && f.Same != "" && first[f.Same] != "":
		h.Typeflag, h.Linkname = tar.TypeLink, first[f.Same]
	case h.Typeflag == tar.TypeReg:
		h.Size = f.Size
		if f.Same != "" {
			first[f.Same] = h.Name
		}
	}
	if isExecutable(f) {
		h.Mode = 0o755
	}
	return h
}

func (f File) copyTo(ctx context.Context, w io.Writer) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	n, err := copyContext(ctx, w, r)
	switch {
	case errors.Is(err, tar.ErrWriteTooLong):
		err = fmt.Errorf("grew beyond %d bytes while being read", f.Size)
	case err == nil && n != f.Size:
		err = fmt.Errorf("has %d bytes, expected %d: it changed while being read", n, f.Size)
	}
	return errors.Join(err, r.Close())
}
