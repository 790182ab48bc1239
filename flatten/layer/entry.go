package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// entry processes one entry. Head is the bytes of the header; the content is still to be read.
func (s *scanner) entry(h *tar.Header, head []byte) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return errors.New("unsupported pax global header")
	}
	name, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	if isWhiteout(name) {
		return fmt.Errorf("%s is a whiteout: the layer depends on layers below it", h.Name)
	}
	root := s.kind.Root()
	below, inRoot := strings.CutPrefix(name, root+"/")
	id, rest, deeper := strings.Cut(below, "/")
	version, _, _ := strings.Cut(rest, "/")
	switch isDir := h.Typeflag == tar.TypeDir; {
	case !inRoot && isDir && strings.HasPrefix(root+"/", strings.TrimSuffix(name, "/")+"/"):
		s.flaw("it has an entry for %s", name)
		if s.paths.addDir(name) {
			s.again(name)
		}
		return nil
	case !inRoot:
		return fmt.Errorf("%s is outside of %s", h.Name, root)
	case !deeper && !isDir:
		return fmt.Errorf("%s is not a directory", h.Name)
	}
	if head, err = s.absolute(h, head, name); err != nil {
		return err
	}
	if deeper {
		return s.member(h, head, name, root+"/"+id+"/"+version)
	}
	if s.paths.addDir(name) {
		s.again(name)
	}
	if s.fresh != "" {
		s.flaw("%s is empty", s.fresh)
	}
	if _, wanted := s.idDir[name]; wanted {
		s.idDir[name] = bytes.Clone(head)
	}
	s.fresh = name
	return nil
}

// member writes an entry of the piece in dir, head first.
func (s *scanner) member(h *tar.Header, head []byte, name, dir string) error {
	ref, known := s.refs[dir]
	if !known {
		s.flaw("unexpected %s", dir)
		s.now, s.out, s.fresh = dir, io.Discard, ""
	}
	if err := s.check(h, name, dir); err != nil {
		return err
	}
	again, err := s.paths.add(name, dir, h.Typeflag == tar.TypeDir)
	if err != nil {
		return err
	}
	if again {
		s.again(name)
	}
	if known && (dir != s.now || s.out == nil) {
		if err := s.turnTo(ref, dir, name == dir && h.Typeflag == tar.TypeDir); err != nil {
			return err
		}
	}
	if s.fresh != "" {
		s.flaw("%s is inside of %s", s.fresh, dir)
		s.fresh = ""
	}
	if again {
		return nil
	}
	if _, err := s.out.Write(head); err != nil {
		return err
	}
	return s.content()
}

// check refuses entries that a buildpack cannot have.
func (s *scanner) check(h *tar.Header, name, dir string) error {
	switch h.Typeflag {
	case tar.TypeDir, tar.TypeReg, tar.TypeSymlink:
	case tar.TypeLink:
		target, err := cleanName(h.Linkname)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(target, dir+"/") {
			return fmt.Errorf("%s is a hard link out of its buildpack, to %s", h.Name, h.Linkname)
		}
		if !s.paths.hasFile(target) {
			return fmt.Errorf("%s is a hard link to %s, which does not exist", h.Name, h.Linkname)
		}
	case tar.TypeChar, tar.TypeBlock:
		return fmt.Errorf("%s is a device, which a buildpack cannot hold", h.Name)
	case tar.TypeFifo:
		return fmt.Errorf("%s is a fifo, which a buildpack cannot hold", h.Name)
	default:
		return fmt.Errorf("%s is of type %q, which a buildpack cannot hold", h.Name, h.Typeflag)
	}
	switch {
	case IsSparse(h):
		return fmt.Errorf("%s is a sparse file, which a buildpack cannot hold", h.Name)
	case name == dir && h.Typeflag != tar.TypeDir:
		return fmt.Errorf("%s is not a directory", h.Name)
	}
	return nil
}

// IsSparse reports whether the header is of a sparse file: a few bytes could expand to exabytes of
// zeros.
func IsSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}
