package source

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"laminate/flatten/layer"
	"laminate/packager/localfile"
	"laminate/packager/stream"
)

// errNoTar is the error for a file that does not begin with a tar header.
var errNoTar = errors.New("not a tar")

// errNoWorkDir is a mistake of the caller; see [Opener].
var errNoWorkDir = errors.New("missing work directory to unpack it into")

// spooler keeps contents that can be read only once from their source.
type spooler struct {
	dir   string
	spool *layer.Spool
}

// keep spools r, which must have size bytes.
func (s *spooler) keep(r io.Reader, size int64) (func() (io.ReadCloser, error), error) {
	if s.dir == "" {
		return nil, errNoWorkDir
	}
	if s.spool == nil {
		var err error
		if s.spool, err = layer.NewSpool(s.dir); err != nil {
			return nil, err
		}
	}
	n, err := io.Copy(s.spool, r) // readers of tar and zip return no more than size
	if err != nil {
		return nil, err
	}
	if n != size {
		return nil, fmt.Errorf("%d bytes, expected %d: %w", n, size, io.ErrUnexpectedEOF)
	}
	at, err := s.spool.End()
	if err != nil {
		return nil, err
	}
	spool := s.spool
	return func() (io.ReadCloser, error) { return spool.Open(at) }, nil
}

func (s *spooler) close() error {
	if s.spool == nil {
		return nil
	}
	return s.spool.Close()
}

// readTarFile lists an uncompressed tar file. Contents are read from the file on demand.
func (o *Opener) readTarFile(ctx context.Context, file original) (_ *archive, err error) {
	f, err := localfile.Open(file.path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	spool := &spooler{dir: o.WorkDir}
	defer func() { err = errors.Join(err, spool.close()) }()
	end := int64(0)
	a, err := readTar(ctx, f, o.Limits.OrDefault(), file.info.Size(), func(h *tar.Header, r io.Reader) (func() (io.ReadCloser, error), error) {
		if layer.IsSparse(h) {
			return spool.keep(r, h.Size)
		}
		// The tar reader stops at the end of the last entry.
		offset, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		end = max(end, offset+h.Size)
		return func() (io.ReadCloser, error) { return file.open(offset, h.Size) }, nil
	})
	if err == nil && end > file.info.Size() {
		err = fmt.Errorf("reading tar: %w", io.ErrUnexpectedEOF)
	}
	return a, err
}

// readTarStream lists a tar that can be read only once, unpacked from packed bytes. It spools
// contents.
func (o *Opener) readTarStream(ctx context.Context, r io.Reader, packed int64) (_ *archive, err error) {
	spool := &spooler{dir: o.WorkDir}
	defer func() { err = errors.Join(err, spool.close()) }()
	a, err := readTar(ctx, r, o.Limits.OrDefault(), packed, func(h *tar.Header, r io.Reader) (func() (io.ReadCloser, error), error) {
		return spool.keep(r, h.Size)
	})
	if err != nil {
		return nil, err
	}
	// What follows the end of the tar must be valid too: it is the end of the compressed stream.
	_, err = io.Copy(io.Discard, stream.WithContext(ctx, r))
	return a, err
}

// keeper returns a function to read the content of the current entry later.
type keeper func(h *tar.Header, r io.Reader) (func() (io.ReadCloser, error), error)

// readTar lists a tar, unpacked from packed bytes. It reports all invalid entries together.
func readTar(ctx context.Context, r io.Reader, limits stream.Limits, packed int64, keep keeper) (*archive, error) {
	a := newArchive(limits, packed)
	last := &tail{r: r}
	tr := tar.NewReader(last)
	if s, ok := r.(io.Seeker); ok { // skip contents by seeking
		tr = tar.NewReader(struct {
			io.Reader
			io.Seeker
		}{last, s})
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			if !last.zero() {
				a.problem("reading tar: missing end: %w", io.ErrUnexpectedEOF)
			}
			return a, a.err()
		}
		if err != nil {
			if errors.Is(err, tar.ErrHeader) && len(a.files) == 0 && len(a.errs) == 0 {
				err = errNoTar
			}
			return nil, errors.Join(append(a.errs, fmt.Errorf("reading tar: %w", err))...)
		}
		if err := globalProblem(h); err != nil {
			return nil, err
		}
		if isMeta(h) {
			continue
		}
		if err := a.begin(h.Name, h.Linkname, h.Size); err != nil {
			return nil, err
		}
		f, err := a.tarEntry(h)
		if err != nil {
			if !a.problem("%w", err) {
				return nil, a.err()
			}
			continue
		}
		if f.Path == "" && f.Mode.IsDir() {
			continue
		}
		if f.Mode.IsRegular() && f.Open == nil {
			if f.Open, err = keep(h, stream.WithContext(ctx, tr)); err != nil {
				return nil, fmt.Errorf("%s: %w", f.Path, err)
			}
		}
		if err := a.add(f); err != nil && !a.problem("%w", err) {
			return nil, a.err()
		}
	}
}

// tarEntry converts the header of an entry. Hard links are returned with Open set.
func (a *archive) tarEntry(h *tar.Header) (layer.File, error) {
	name, err := a.place(h.Name)
	if err != nil {
		return layer.File{}, err
	}
	f := layer.File{Path: name, Mode: fs.FileMode(h.Mode).Perm(), Size: h.Size}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
	case tar.TypeDir, typeDumpDir:
		f.Mode |= fs.ModeDir
		f.Size = 0
	case tar.TypeSymlink:
		f.Mode |= fs.ModeSymlink
		f.Link, f.Size = h.Linkname, 0
	case tar.TypeLink:
		return a.hardLink(name, h.Linkname, f.Mode)
	case typeMultiVolume:
		return f, fmt.Errorf("%s begins in another volume, which is unsupported; make one archive, without tar --multi-volume", name)
	case tar.TypeChar, tar.TypeBlock:
		return f, fmt.Errorf("%s is a device, which a buildpack cannot hold", name)
	case tar.TypeFifo:
		return f, fmt.Errorf("%s is a fifo, which a buildpack cannot hold", name)
	default:
		return f, fmt.Errorf("%s is of type %q, which a buildpack cannot hold", name, h.Typeflag)
	}
	if name == "" && !f.Mode.IsDir() {
		return f, fmt.Errorf("entry %q is the root but not a directory", h.Name)
	}
	return f, nil
}

// Entry types of GNU tar ("Basic Tar Format" in its manual).
const (
	typeDumpDir     = 'D' // --listed-incremental: a directory; the content lists its names
	typeMultiVolume = 'M' // --multi-volume: the rest of a file
	typeVolume      = 'V' // --label: the name is the label
)

// isMeta reports whether an entry is metadata of the archive, not a file.
func isMeta(h *tar.Header) bool {
	return h.Typeflag == tar.TypeXGlobalHeader || h.Typeflag == typeVolume
}

// globalProblem returns an error for a global header that changes names or sizes of later entries,
// which archive/tar ignores. Other records, such as git's comment, are harmless.
func globalProblem(h *tar.Header) error {
	if h.Typeflag != tar.TypeXGlobalHeader {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(h.PAXRecords)) {
		switch {
		case key == "path", key == "linkpath", key == "size", strings.HasPrefix(key, "GNU.sparse."):
			return fmt.Errorf("unsupported global pax header: it sets %s for all entries; make the archive without it", key)
		case key == "GNU.volume.offset":
			return errors.New("archive begins in another volume, which is unsupported; make one archive, without tar --multi-volume")
		}
	}
	return nil
}

// tail keeps the last block read; a complete tar ends with zeros.
type tail struct {
	r    io.Reader
	last []byte
}

func (t *tail) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.last = append(t.last, p[max(0, n-512):n]...)
	t.last = append(t.last[:0], t.last[max(0, len(t.last)-512):]...)
	return n, err
}

func (t *tail) zero() bool {
	return len(t.last) == 512 && !slices.ContainsFunc(t.last, func(b byte) bool { return b != 0 })
}
