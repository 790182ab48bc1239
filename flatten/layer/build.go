package layer

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"laminate/flatten"
)

// Member is a piece and whose it is.
type Member struct {
	Ref   flatten.Ref
	Piece Piece
}

// BuildOptions say how a layer is built.
type BuildOptions struct {
	Kind        flatten.Kind
	Compression Compression // Uncompressed means Gzip: layers are always compressed
	// Path is the file that is written; it must not exist.
	Path string
	// Progress is told of uncompressed bytes as they go by; nil is fine.
	Progress func(n int64)
}

// Build writes the layer that holds the members in order, reading each piece
// once, and checks while it does so that the layer holds what it should: it is
// split again as its readers will, and each piece must come out as it went in.
// A file that could not be completed is removed.
func Build(ctx context.Context, members []Member, o BuildOptions) (*Built, error) {
	return create(o, func(b *Built, f io.Writer) error { return b.write(ctx, f, members, o) })
}

// BuildTar writes a layer of other things than modules: the entries that write
// gives it, and the archive's end. Of the options Kind does not count.
func BuildTar(ctx context.Context, write func(context.Context, *tar.Writer) error, o BuildOptions) (*Built, error) {
	return create(o, func(b *Built, f io.Writer) error {
		w := newLayerWriter(ctx, f, b.compression, o.Progress)
		tw := tar.NewWriter(w)
		return b.end(w, errors.Join(write(ctx, tw), tw.Close()))
	})
}

// DiffIDOf gives the diffID of the layer that [BuildTar] would write.
func DiffIDOf(ctx context.Context, write func(context.Context, *tar.Writer) error) (v1.Hash, error) {
	h := sha256.New()
	tw := tar.NewWriter(h)
	err := errors.Join(write(ctx, tw), tw.Close())
	return sum(h), err
}

// create makes the file of a layer, and removes it if it could not be completed.
func create(o BuildOptions, write func(*Built, io.Writer) error) (*Built, error) {
	if o.Compression == Uncompressed {
		o.Compression = Gzip
	}
	f, err := os.OpenFile(o.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	b := &Built{path: o.Path, compression: o.Compression}
	if err := errors.Join(write(b, f), f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(o.Path))
	}
	return b, nil
}

func (b *Built) write(ctx context.Context, f io.Writer, members []Member, o BuildOptions) (err error) {
	w := newLayerWriter(ctx, f, b.compression, o.Progress)
	w.check = startCheck(context.WithoutCancel(ctx), o.Kind, members) // ends with the pipe
	if b.Pieces, err = w.writeMembers(ctx, members); err == nil {
		err = w.writeTrailer()
	}
	// What the check says counts first: a failing output has come by it, too.
	written := b.end(w, nil)
	if err := w.check.end(err, b.Pieces); err != nil {
		return err
	}
	return written
}

// end completes a layer whose tar was written, or failed to be.
func (b *Built) end(w *layerWriter, err error) error {
	b.diffID = sum(w.diffID)
	digest, size, zerr := w.z.close()
	b.digest, b.size = digest, size
	if err != nil {
		return err
	}
	return zerr
}

// layerWriter takes the tar of a layer to everybody who wants it: one pass.
type layerWriter struct {
	diffID   hash.Hash
	z        *compressor
	check    *check // nil for layers without modules
	progress func(int64)
}

// newLayerWriter starts a compressor, which [Built.end] ends.
func newLayerWriter(ctx context.Context, f io.Writer, c Compression, progress func(int64)) *layerWriter {
	return &layerWriter{diffID: sha256.New(), z: newCompressor(ctx, f, c), progress: progress}
}

func (w *layerWriter) Write(p []byte) (int, error) {
	w.diffID.Write(p)
	if w.check != nil {
		if _, err := w.check.Write(p); err != nil {
			return 0, err
		}
	}
	n, err := w.z.Write(p)
	if w.progress != nil {
		w.progress(int64(n))
	}
	return n, err
}

func (w *layerWriter) writeMembers(ctx context.Context, members []Member) ([]flatten.Facts, error) {
	var pieces []flatten.Facts
	for _, m := range members {
		t := newTally()
		if err := m.Piece.WriteEntries(ctx, io.MultiWriter(t, w)); err != nil {
			return nil, fmt.Errorf("buildpack %s: %w", m.Ref, err)
		}
		if err := w.z.cut(); err != nil {
			return nil, err
		}
		pieces = append(pieces, t.facts(m.Ref))
	}
	return pieces, nil
}

func (w *layerWriter) writeTrailer() error {
	if _, err := w.Write(trailer[:]); err != nil {
		return err
	}
	return w.z.cut()
}

// A FaultError says that a layer does not hold what it was built of. It is a
// bug in laminate, whatever the input.
type FaultError struct {
	Refs  []flatten.Ref // of the layer
	Fault string
}

func (e *FaultError) Error() string {
	return fmt.Sprintf("layer of %v: %s", e.Refs, e.Fault)
}

// check reads the layer again while it is written.
type check struct {
	pipe   *io.PipeWriter
	result chan error
	report Report
	refs   []flatten.Ref
}

func startCheck(ctx context.Context, kind flatten.Kind, members []Member) *check {
	r, w := io.Pipe()
	c := &check{pipe: w, result: make(chan error, 1)}
	for _, m := range members {
		c.refs = append(c.refs, m.Ref)
	}
	go func() {
		var err error
		// The reader stays open, so that who writes is told the reason.
		open := func(context.Context) (io.ReadCloser, error) { return io.NopCloser(r), nil }
		c.report, err = Inspect(ctx, kind, c.refs, open)
		r.CloseWithError(err)
		c.result <- err
	}()
	return c
}

func (c *check) Write(p []byte) (int, error) { return c.pipe.Write(p) }

// end gives what the writing came to: its own error, or what the check found.
func (c *check) end(err error, pieces []flatten.Facts) error {
	c.pipe.CloseWithError(err)
	found := <-c.result
	fault := func(s string) error { return &FaultError{Refs: c.refs, Fault: s} }
	switch {
	case err != nil && !errors.Is(err, found):
		return err
	case found != nil:
		return fault(found.Error())
	case c.report.Untidy != "":
		return fault(c.report.Untidy)
	case !slices.Equal(c.report.Pieces, pieces):
		return fault(fmt.Sprintf("it holds %v where %v went in", c.report.Pieces, pieces))
	}
	return nil
}
