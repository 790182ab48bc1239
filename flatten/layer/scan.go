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

	"laminate/flatten"
)

// trailerSize is the length of the end of an archive: two blocks of zeros.
const trailerSize = 1024

// maxHead is the most bytes that the header of one entry may have, including its extended headers.
const maxHead = 1 << 20

// scanner reads the uncompressed tar of a layer, and writes the unchanged bytes of every entry to
// the piece that it belongs to.
type scanner struct {
	kind flatten.Kind
	refs map[string]flatten.Ref // directory -> ref
	// begin starts a piece, or continues it (again) if it is not contiguous in the layer.
	begin func(r flatten.Ref, again bool) (io.Writer, error)

	tape  tape
	tr    *tar.Reader
	out   io.Writer // of the current piece; nil between pieces
	now   string    // directory of the current piece
	idDir map[string][]byte
	fresh string // the id directory of the previous entry, or ""
	paths paths
	begun map[string]bool
	flaws
}

// flaws describe how a layer differs from what laminate writes. It can be split nevertheless.
type flaws struct {
	// nonCanonical is the first difference from the layer that laminate would write for the same
	// pieces, or "".
	nonCanonical string
	// duplicate is the first path that has two entries, or "".
	duplicate string
}

// scan reads the tar to its end, and returns its flaws. With onlyCanonical, it stops at the first
// flaw.
func scan(ctx context.Context, r io.Reader, kind flatten.Kind, refs []flatten.Ref, onlyCanonical bool, begin func(flatten.Ref, bool) (io.Writer, error)) (flaws, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	return scanChunks(&readChunks{r: contextReader{ctx, r}, buf: *buf}, kind, refs, onlyCanonical, begin)
}

// scanChunks is scan for a tar that is lent in chunks.
func scanChunks(r chunked, kind flatten.Kind, refs []flatten.Ref, onlyCanonical bool, begin func(flatten.Ref, bool) (io.Writer, error)) (flaws, error) {
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
	s.tape.r = r
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
		s.flaw("%s is empty", s.fresh)
	}
	var missing []error
	for _, ref := range refs {
		if !s.begun[kind.Dir(ref)] {
			missing = append(missing, fmt.Errorf("%s has no files in the layer", ref))
		}
	}
	err := s.end() // may add a flaw
	return s.flaws, errors.Join(append(missing, err)...)
}

// next returns the next header and the bytes it was read from.
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

// end reads to the end of the stream. Nothing may follow the end of the archive.
func (s *scanner) end() error {
	got := s.tape.head.Len()
	rest, err := s.tape.rest()
	if got+int(min(rest, 1<<20)) != trailerSize {
		s.flaw("the archive does not end in exactly two blocks of zeros")
	}
	if err == nil && bytes.ContainsFunc(s.tape.head.Bytes(), func(r rune) bool { return r != 0 }) {
		err = io.ErrUnexpectedEOF // an extended header without its entry
	}
	if err != nil {
		return fmt.Errorf("reading the layer's tar: %w", err)
	}
	return nil
}

// again records a duplicate entry of a directory. Pieces get only the first.
func (s *scanner) again(name string) {
	s.flaw("duplicate entry for %s", name)
	if s.duplicate == "" {
		s.duplicate = name
	}
}

func (s *scanner) flaw(format string, args ...any) {
	if s.nonCanonical == "" {
		s.nonCanonical = fmt.Sprintf(format, args...)
	}
}

// turnTo makes the piece in dir the current one. A piece begins with its id directory and its
// version directory; turnTo adds those that the layer lacks. Neighbours share the entry of their id
// directory, before the first of them.
func (s *scanner) turnTo(ref flatten.Ref, dir string, atRoot bool) (err error) {
	again, before := s.begun[dir], s.now
	if s.out, err = s.begin(ref, again); err != nil {
		return err
	}
	s.now, s.begun[dir] = dir, true
	if again {
		s.flaw("%s is not contiguous", dir)
		return nil
	}
	idDir := path.Dir(dir)
	head := s.idDir[idDir]
	switch {
	case s.fresh == idDir:
		s.fresh = ""
	case head == nil || path.Dir(before) != idDir:
		s.flaw("%s does not begin with %s", dir, idDir)
	}
	if head == nil {
		if head, err = encodeHeader(header(idDir, fs.ModeDir)); err != nil {
			return err
		}
	}
	if _, err := s.out.Write(head); err != nil || atRoot {
		return err
	}
	s.flaw("missing entry for %s", dir)
	s.paths.addDir(dir)
	if head, err = encodeHeader(header(dir, fs.ModeDir)); err != nil {
		return err
	}
	_, err = s.out.Write(head)
	return err
}

// content copies the content of the current entry, unchanged. Its padding follows with the next
// header.
func (s *scanner) content() error {
	s.tape.startContent(s.out)
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{s.tr}, *buf) // which the tape copies nothing to
	if s.tape.werr != nil {
		return s.tape.werr
	}
	if err != nil {
		return fmt.Errorf("reading the layer's tar: %w", err)
	}
	return nil
}
