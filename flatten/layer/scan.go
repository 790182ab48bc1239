package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"laminate/flatten"
)

// trailerSize is the length of an archive's end: two blocks of zeros.
const trailerSize = 1024

// maxHead is how much of a tar may stand before the content of one entry: its
// header, and extended headers that say more of it.
const maxHead = 1 << 20

// scanner walks the uncompressed tar of a layer and hands every entry, as the
// bytes it has there, to the piece it belongs to.
type scanner struct {
	kind flatten.Kind
	refs map[string]flatten.Ref // directory -> ref
	// begin opens the next stretch of a piece. A piece that is whole has one.
	begin func(r flatten.Ref, again bool) (io.Writer, error)

	tape  tape
	tr    *tar.Reader
	out   io.Writer // where the current piece goes, nil between pieces
	now   string    // directory of the current piece
	idDir map[string][]byte
	fresh string // the id directory that was the entry before
	paths paths
	begun map[string]bool
	flaws
}

// flaws are what is wrong with the shape of a layer. It can be split
// nevertheless.
type flaws struct {
	// nonCanonical is the first reason why the layer is not the one that laminate
	// would have written of the same pieces, "" where it is.
	nonCanonical string
	// duplicate is the first path that has two entries, "" where there is none.
	duplicate string
}

// scan walks the tar to its very end, and returns why the layer is not in the
// shape that pieces have in a layer, if it is not. Where only that shape is of
// use, it walks no farther than to the first entry that is out of it.
func scan(ctx context.Context, r io.Reader, kind flatten.Kind, refs []flatten.Ref, onlyCanonical bool, begin func(flatten.Ref, bool) (io.Writer, error)) (flaws, error) {
	s := &scanner{
		kind: kind, refs: map[string]flatten.Ref{}, begin: begin,
		idDir: map[string][]byte{}, paths: paths{}, begun: map[string]bool{},
	}
	for _, ref := range refs {
		if other, taken := s.refs[kind.Dir(ref)]; taken && other != ref {
			return flaws{}, fmt.Errorf("%s and %s would have the same directory %s", other, ref, kind.Dir(ref))
		}
		s.refs[kind.Dir(ref)], s.idDir[kind.IDDir(ref)] = ref, nil
	}
	s.tape.r = contextReader{ctx, r}
	s.tr = tar.NewReader(&s.tape)
	for {
		h, head, err := s.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = s.entry(h, head)
		}
		if err != nil {
			return flaws{}, err
		}
		if onlyCanonical && s.nonCanonical != "" {
			return s.flaws, nil
		}
	}
	if s.fresh != "" {
		s.mess("%s is empty", s.fresh)
	}
	var missing []error
	for _, ref := range refs {
		if !s.begun[kind.Dir(ref)] {
			missing = append(missing, fmt.Errorf("%s has no files in the layer", ref))
		}
	}
	err := s.end() // which may find a flaw
	return s.flaws, errors.Join(append(missing, err)...)
}

// next gives the next header and the bytes it was read from.
func (s *scanner) next() (*tar.Header, []byte, error) {
	s.tape.startHead()
	h, err := s.tr.Next()
	switch {
	case s.tape.werr != nil:
		err = s.tape.werr
	case errors.Is(err, io.EOF) && s.tape.padding > 0:
		err = fmt.Errorf("reading the layer's tar: %w", io.ErrUnexpectedEOF)
	case err != nil && !errors.Is(err, io.EOF):
		err = fmt.Errorf("reading the layer's tar: %w", err)
	}
	return h, s.tape.head.Bytes(), err
}

// end reads what follows the archive's end, which must be no more than that.
func (s *scanner) end() error {
	got := s.tape.head.Len()
	rest, err := io.Copy(io.Discard, s.tape.r)
	if got+int(min(rest, 1<<20)) != trailerSize {
		s.mess("the archive does not end in two blocks of zeros, and nothing more")
	}
	if err == nil && bytes.ContainsFunc(s.tape.head.Bytes(), func(r rune) bool { return r != 0 }) {
		err = io.ErrUnexpectedEOF // an extended header of an entry that does not come
	}
	if err != nil {
		return fmt.Errorf("reading the layer's tar: %w", err)
	}
	return nil
}

// again notes the entry of a directory that has one already. It is left out of
// the piece that it belongs to: the first counts.
func (s *scanner) again(name string) {
	s.mess("%s stands twice", name)
	if s.duplicate == "" {
		s.duplicate = name
	}
}

func (s *scanner) mess(format string, args ...any) {
	if s.nonCanonical == "" {
		s.nonCanonical = fmt.Sprintf(format, args...)
	}
}

// entry deals with one entry. Head is what the header was read from; the
// content is still ahead.
func (s *scanner) entry(h *tar.Header, head []byte) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return errors.New("it has a header for all entries that follow, which cannot be kept when they are taken apart")
	}
	name, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	if isWhiteout(name) {
		return fmt.Errorf("%s is a whiteout: the layer changes one below it and does not stand alone", h.Name)
	}
	root := s.kind.Root()
	below, inRoot := strings.CutPrefix(name, root+"/")
	id, rest, deeper := strings.Cut(below, "/")
	version, _, _ := strings.Cut(rest, "/")
	switch isDir := h.Typeflag == tar.TypeDir; {
	case !inRoot && isDir && strings.HasPrefix(root+"/", strings.TrimSuffix(name, "/")+"/"):
		s.mess("it has an entry for %s", name)
		if s.paths.addDir(name) {
			s.again(name)
		}
		return nil
	case !inRoot:
		return fmt.Errorf("%s lies outside of %s", h.Name, root)
	case !deeper && !isDir:
		return fmt.Errorf("%s is no directory", h.Name)
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
		s.mess("%s is empty", s.fresh)
	}
	if _, wanted := s.idDir[name]; wanted {
		s.idDir[name] = bytes.Clone(head)
	}
	s.fresh = name
	return nil
}

// member hands an entry of the piece in dir on, head first.
func (s *scanner) member(h *tar.Header, head []byte, name, dir string) error {
	ref, known := s.refs[dir]
	if !known {
		s.mess("it holds %s, which nobody asked for", dir)
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
		s.mess("%s stands inside of %s", s.fresh, dir)
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

// check refuses entries that no buildpack may have.
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
			return fmt.Errorf("%s is a hard link to %s, which is not there", h.Name, h.Linkname)
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
		return fmt.Errorf("%s is no directory", h.Name)
	}
	return nil
}

// IsSparse reports whether the header is that of a file with holes: a few bytes
// of it could claim to be exabytes of zeros, and take for ever to read.
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

// turnTo makes the piece in dir the current one. A piece begins with its id
// directory and its version directory; what the layer lacks of them is added.
// Pieces that stand next to each other share the entry of their id directory,
// before the first of them.
func (s *scanner) turnTo(ref flatten.Ref, dir string, atRoot bool) (err error) {
	again, before := s.begun[dir], s.now
	if s.out, err = s.begin(ref, again); err != nil {
		return err
	}
	s.now, s.begun[dir] = dir, true
	if again {
		s.mess("%s is not in one stretch", dir)
		return nil
	}
	idDir := path.Dir(dir)
	head := s.idDir[idDir]
	switch {
	case s.fresh == idDir:
		s.fresh = ""
	case head == nil || path.Dir(before) != idDir:
		s.mess("%s does not begin with %s", dir, idDir)
	}
	if head == nil {
		if head, err = encodeHeader(header(idDir, fs.ModeDir)); err != nil {
			return err
		}
	}
	if _, err := s.out.Write(head); err != nil || atRoot {
		return err
	}
	s.mess("%s has no entry of its own", dir)
	s.paths.addDir(dir)
	if head, err = encodeHeader(header(dir, fs.ModeDir)); err != nil {
		return err
	}
	_, err = s.out.Write(head)
	return err
}

// content copies the content of the current entry as the tar has it. Its
// padding follows with the next header.
func (s *scanner) content() error {
	s.tape.startContent(s.out)
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{s.tr}, *buf)
	if s.tape.werr != nil {
		return s.tape.werr
	}
	if err != nil {
		return fmt.Errorf("reading the layer's tar: %w", err)
	}
	return nil
}
