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
	fresh string              // the id directory that was the entry before
	seen  map[string]struct{} // paths, directories aside
	begun map[string]bool
	// untidy is the first reason why the layer is not the one that laminate
	// would have written of the same pieces, "" where it is.
	untidy string
}

// scan walks the tar to its very end, and gives the reason why the layer is
// not in the shape that pieces have in a layer, or "".
func scan(ctx context.Context, r io.Reader, kind flatten.Kind, refs []flatten.Ref, begin func(flatten.Ref, bool) (io.Writer, error)) (untidy string, err error) {
	s := &scanner{
		kind: kind, refs: map[string]flatten.Ref{}, begin: begin,
		idDir: map[string][]byte{}, seen: map[string]struct{}{}, begun: map[string]bool{},
	}
	for _, ref := range refs {
		s.refs[kind.Dir(ref)] = ref
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
			return "", err
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
	return s.untidy, errors.Join(append(missing, s.end())...)
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
	if err != nil {
		return fmt.Errorf("reading the layer's tar: %w", err)
	}
	return nil
}

func (s *scanner) mess(format string, args ...any) {
	if s.untidy == "" {
		s.untidy = fmt.Sprintf(format, args...)
	}
}

// entry deals with one entry. Head is what the header was read from; the
// content is still ahead.
func (s *scanner) entry(h *tar.Header, head []byte) error {
	name, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	head, err = s.absolute(h, head, name)
	if err != nil {
		return err
	}
	root := s.kind.Root()
	below, inRoot := strings.CutPrefix(name, root+"/")
	id, rest, deeper := strings.Cut(below, "/")
	version, _, _ := strings.Cut(rest, "/")
	switch isDir := h.Typeflag == tar.TypeDir; {
	case !inRoot && isDir && strings.HasPrefix(root+"/", strings.TrimSuffix(name, "/")+"/"):
		s.mess("it has an entry for %s", name)
		return nil
	case !inRoot:
		return fmt.Errorf("%s lies outside of %s", h.Name, root)
	case deeper:
		return s.member(h, head, name, root+"/"+id+"/"+version)
	case !isDir:
		return fmt.Errorf("%s is no directory", h.Name)
	}
	if s.fresh != "" {
		s.mess("%s is empty", s.fresh)
	}
	s.idDir[name], s.fresh = bytes.Clone(head), name
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
	if known && (dir != s.now || s.out == nil) {
		if err := s.turnTo(ref, dir, name == dir && h.Typeflag == tar.TypeDir); err != nil {
			return err
		}
	}
	if s.fresh != "" {
		s.mess("%s stands inside of %s", s.fresh, dir)
		s.fresh = ""
	}
	if _, err := s.out.Write(head); err != nil {
		return err
	}
	return s.content()
}

// check refuses entries that no buildpack may have.
func (s *scanner) check(h *tar.Header, name, dir string) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return nil
	case tar.TypeReg, tar.TypeSymlink:
	case tar.TypeLink:
		target, err := cleanName(h.Linkname)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(target, dir+"/") {
			return fmt.Errorf("%s is a hard link out of its buildpack, to %s", h.Name, h.Linkname)
		}
		if _, there := s.seen[target]; !there {
			return fmt.Errorf("%s is a hard link to %s, which is not there", h.Name, h.Linkname)
		}
	case tar.TypeChar, tar.TypeBlock:
		return fmt.Errorf("%s is a device, which a buildpack cannot hold", h.Name)
	case tar.TypeFifo:
		return fmt.Errorf("%s is a fifo, which a buildpack cannot hold", h.Name)
	default:
		return fmt.Errorf("%s is of type %q, which a buildpack cannot hold", h.Name, h.Typeflag)
	}
	if name == dir {
		return fmt.Errorf("%s is no directory", h.Name)
	}
	if strings.HasPrefix(path.Base(name), ".wh.") {
		return fmt.Errorf("%s is a whiteout: the layer changes one below it and does not stand alone", h.Name)
	}
	if _, twice := s.seen[name]; twice {
		return fmt.Errorf("%s is there twice", h.Name)
	}
	s.seen[name] = struct{}{}
	return nil
}

// turnTo makes the piece in dir the current one. A piece begins with its id
// directory and its version directory; what the layer lacks of them is added.
func (s *scanner) turnTo(ref flatten.Ref, dir string, atRoot bool) (err error) {
	again := s.begun[dir]
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
	if s.fresh != idDir {
		s.mess("%s does not begin with %s", dir, idDir)
	} else {
		s.fresh = ""
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

// absolute gives the header bytes of an entry with the name, and the name of
// the file that it links to, made absolute. Where they are, it is head.
func (s *scanner) absolute(h *tar.Header, head []byte, name string) ([]byte, error) {
	link := h.Typeflag == tar.TypeLink && !strings.HasPrefix(h.Linkname, "/")
	if strings.HasPrefix(h.Name, "/") && !link {
		return head, nil
	}
	s.mess("%s is no absolute name", h.Name)
	absolute := *h
	absolute.Name = name
	if h.Typeflag == tar.TypeLink {
		absolute.Linkname = path.Clean("/" + h.Linkname)
	}
	return encodeHeader(&absolute)
}

// cleanName makes a name absolute and refuses those that lead upwards.
func cleanName(name string) (string, error) {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("path %q leads out of its buildpack", name)
		}
	}
	return path.Clean("/" + name), nil
}

func encodeHeader(h *tar.Header) ([]byte, error) {
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(h); err != nil {
		return nil, fmt.Errorf("%s: %w", h.Name, err)
	}
	return b.Bytes(), nil
}

// tape records what the tar reader reads: the bytes of a header in head, those
// of a content, with the padding after it, in w.
type tape struct {
	r       io.Reader
	head    bytes.Buffer
	w       io.Writer
	content int64 // bytes of content so far
	padding int64 // bytes of padding that come before the next header
	inHead  bool
	werr    error // the first error of w
}

func (t *tape) startHead() {
	t.head.Reset()
	t.inHead, t.padding = true, -t.content&511
	t.content = 0
}

func (t *tape) startContent(w io.Writer) { t.inHead, t.w, t.content = false, w, 0 }

func (t *tape) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	b := p[:n]
	if t.inHead {
		pad := min(t.padding, int64(n))
		t.padding -= pad
		t.head.Write(b[pad:])
		b = b[:pad]
	} else {
		t.content += int64(n)
	}
	if len(b) > 0 && t.werr == nil {
		_, t.werr = t.w.Write(b)
	}
	if t.werr != nil {
		return n, t.werr
	}
	return n, err
}
