package layer

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strings"

	"laminate/flatten"
)

const (
	// FileLimit is the maximum size of a file that [Survey] returns.
	FileLimit = 1 << 20
	// filesLimit is the maximum size of all of them, with their names.
	filesLimit = 16 << 20
	// namesLimit is the maximum length of the names of module directories and whiteouts in total.
	namesLimit = 16 << 20
	// modulesLimit is the maximum number of module directories in a layer.
	modulesLimit = 2 * flatten.MaxModules
)

// Surveyed describes the tar of a layer, whatever it holds.
type Surveyed struct {
	// Length is the length of the tar in bytes, with its end.
	Length int64
	// Entries is the number of entries.
	Entries int
	// Modules are the directories of modules, in the order of their first entries.
	Modules []ModuleDir
	// Duplicate is the first path with two entries, or "". See [Report].
	Duplicate string
	// Whiteouts are the paths of the whiteouts that hide something in /cnb, in the order of the
	// layer.
	Whiteouts []string
	// Files are the contents of the wanted files, by clean absolute name.
	Files map[string][]byte
	// Unread are the wanted paths that exist, but are not in Files, with the reason, such as "is a
	// link to ../buildpack.toml".
	Unread map[string]string
}

// ModuleDir is the directory of a module in a layer. Its ref does not follow from its path, in which
// "/" is escaped as "_".
type ModuleDir struct {
	Kind flatten.Kind
	// Path is /cnb/buildpacks/<id>/<version>, or the same below /cnb/extensions.
	Path string
	// Entries is the number of entries at and below the path, and Bytes their length in the tar.
	Entries int
	Bytes   int64
	// IDDir is the length of the entry of its id directory; 0 if the layer has none before it.
	IDDir int64
}

// Survey reads the tar of a layer, which may hold anything: also that of a base image, with
// devices, whiteouts and sparse files. It returns the contents of the regular files that want
// reports true for; want is called with clean absolute names.
//
// Names are made absolute, as engines do, and must not have "..". If a file has several entries, the
// last counts, as when the layer is unpacked.
func Survey(ctx context.Context, open Opener, want func(name string) bool) (Surveyed, error) {
	rc, err := open(ctx)
	if err != nil {
		return Surveyed{}, err
	}
	s := &surveyor{
		want: want, paths: paths{}, dirs: map[string]int{}, ids: map[string]int64{},
		Surveyed: Surveyed{Files: map[string][]byte{}, Unread: map[string]string{}},
	}
	s.r.r = bufio.NewReaderSize(contextReader{ctx, rc}, 128<<10)
	if err := errors.Join(s.read(), rc.Close()); err != nil {
		return Surveyed{}, err
	}
	return s.Surveyed, nil
}

// surveyor is the state of a survey.
type surveyor struct {
	Surveyed
	want  func(string) bool
	r     headReader
	tr    *tar.Reader
	paths paths
	dirs  map[string]int   // module directory -> index in Modules
	ids   map[string]int64 // id directory -> length of its entry
	names int              // length of the names that are kept
	files int              // length of the files that are kept
}

// headReader counts what the tar reader reads, and limits its headers.
type headReader struct {
	r     io.Reader
	n     int64
	limit int64 // of n
}

func (h *headReader) Read(p []byte) (int, error) {
	if h.n >= h.limit {
		return 0, fmt.Errorf("header is longer than %d bytes", maxHead)
	}
	n, err := h.r.Read(p[:min(int64(len(p)), h.limit-h.n)])
	h.n += int64(n)
	return n, err
}

func (s *surveyor) read() error {
	s.tr = tar.NewReader(&s.r)
	s.r.limit = maxHead
	for end := int64(0); ; { // end of the entry before
		h, err := s.tr.Next()
		switch {
		case errors.Is(err, io.EOF) && s.r.n >= end:
			return s.rest()
		case errors.Is(err, io.EOF):
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("reading the layer's tar: %w", err)
		}
		begin := end
		if end = s.r.n + contentOf(h); IsSparse(h) {
			s.r.limit = math.MaxInt64
		} else {
			s.r.limit = end + maxHead
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if err := s.entry(h, end-begin); err != nil {
			return err
		}
	}
}

// contentOf returns the length of an entry's content in the tar, with its padding; 0 for a sparse
// file, whose header does not tell.
func contentOf(h *tar.Header) int64 {
	switch h.Typeflag {
	case tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeDir, tar.TypeFifo:
		return 0
	}
	if IsSparse(h) {
		return 0
	}
	return (min(h.Size, math.MaxInt64/4) + 511) &^ 511
}

// rest reads what follows the end of the archive.
func (s *surveyor) rest() error {
	n, err := io.Copy(io.Discard, s.r.r)
	s.Length = s.r.n + n
	return err
}

// entry records an entry that takes so many bytes of the tar.
func (s *surveyor) entry(h *tar.Header, bytes int64) error {
	if s.Entries++; s.Entries > maxEntries {
		return fmt.Errorf("too many entries; the limit is %d", maxEntries)
	}
	name, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	if s.paths.addDir(name) && s.Duplicate == "" {
		s.Duplicate = name
	}
	if isWhiteout(name) && hidesModules(name) {
		if err := s.keep(name); err != nil {
			return err
		}
		s.Whiteouts = append(s.Whiteouts, name)
	}
	if err := s.module(h, name, bytes); err != nil {
		return err
	}
	if s.want(name) {
		return s.file(h, name)
	}
	return nil
}

// keep counts a name that is kept in memory.
func (s *surveyor) keep(name string) error {
	if s.names += len(name); s.names > namesLimit {
		return fmt.Errorf("names of module directories and whiteouts are longer than %d MiB in total", namesLimit>>20)
	}
	return nil
}

// hidesModules reports whether a whiteout hides something at, below or above /cnb.
func hidesModules(name string) bool {
	dir, base := path.Split(name)
	if base == opaque {
		return strings.HasPrefix("/cnb/", dir) || strings.HasPrefix(dir, "/cnb/")
	}
	hidden := dir + strings.TrimPrefix(base, ".wh.") + "/"
	return strings.HasPrefix(hidden, "/cnb/")
}

// opaque is the name of the whiteout that hides all that lower layers have in its directory.
const opaque = ".wh..wh..opq"

// module counts an entry that belongs to a module's directory.
func (s *surveyor) module(h *tar.Header, name string, bytes int64) error {
	for _, kind := range []flatten.Kind{flatten.Buildpack, flatten.Extension} {
		below, is := strings.CutPrefix(name, kind.Root()+"/")
		if !is {
			continue
		}
		parts := strings.SplitN(below, "/", 3)
		if len(parts) == 1 && h.Typeflag == tar.TypeDir {
			return s.idDir(name, bytes)
		}
		if len(parts) < 2 || isWhiteout(name) || len(parts) == 2 && h.Typeflag != tar.TypeDir {
			return nil
		}
		dir := kind.Root() + "/" + parts[0] + "/" + parts[1]
		i, known := s.dirs[dir]
		if !known {
			if len(s.Modules) == modulesLimit {
				return fmt.Errorf("too many module directories; the limit is %d", modulesLimit)
			}
			if err := s.keep(dir); err != nil {
				return err
			}
			i = len(s.Modules)
			s.dirs[dir] = i
			s.Modules = append(s.Modules, ModuleDir{Kind: kind, Path: dir, IDDir: s.ids[path.Dir(dir)]})
		}
		s.Modules[i].Entries++
		s.Modules[i].Bytes += bytes
	}
	return nil
}

// idDir records the entry of an id directory.
func (s *surveyor) idDir(name string, bytes int64) error {
	if _, known := s.ids[name]; !known {
		if err := s.keep(name); err != nil {
			return err
		}
	}
	s.ids[name] = bytes
	return nil
}

// file reads a wanted file.
func (s *surveyor) file(h *tar.Header, name string) error {
	s.files -= len(s.Files[name]) // the last entry counts
	delete(s.Files, name)
	delete(s.Unread, name)
	if s.files += len(name); s.files > filesLimit {
		return errTooManyFiles
	}
	if why := unreadable(h); why != "" {
		s.Unread[name] = why
		return nil
	}
	if s.files += int(h.Size); s.files > filesLimit {
		return errTooManyFiles
	}
	content := make([]byte, h.Size)
	if _, err := io.ReadFull(s.tr, content); err != nil {
		return fmt.Errorf("reading the layer's tar: %s: %w", name, err)
	}
	s.Files[name] = content
	return nil
}

var errTooManyFiles = fmt.Errorf("descriptors are larger than %d MiB in total", filesLimit>>20)

// unreadable returns why the content of a wanted path is not read, or "".
func unreadable(h *tar.Header) string {
	switch {
	case h.Typeflag == tar.TypeDir:
		return "is a directory"
	case h.Typeflag == tar.TypeSymlink || h.Typeflag == tar.TypeLink:
		return "is a link to " + h.Linkname
	case IsSparse(h):
		return "is a sparse file"
	case h.Typeflag != tar.TypeReg:
		return "is not a regular file"
	case h.Size > FileLimit:
		return fmt.Sprintf("is larger than %d KiB", FileLimit>>10)
	}
	return ""
}
