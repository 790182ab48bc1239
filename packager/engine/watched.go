package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/image"
)

// watched is a source's layer that was not read, because laminate's own label
// says what it holds. If it is read after all, on its way to where the image
// is written, it is looked at in passing: it must be what the label says, and
// nothing else. The error comes at the end of the stream, in the place of
// io.EOF. What is only mounted is not seen by anybody here. A layer without
// pieces holds something else; of it only the diffID is checked.
type watched struct {
	*image.Layer
	kind   flatten.Kind
	source string          // for messages
	pieces []flatten.Facts // whose Length may be 0: not known
}

// watch returns the layer in the shape in which it goes into another image.
func watch(l *image.Layer, kind flatten.Kind, from string, pieces []flatten.Facts) v1.Layer {
	w := &watched{Layer: l, kind: kind, source: from, pieces: pieces}
	if l.Mountable == nil {
		return w
	}
	return &remote.MountableLayer{Layer: w, Reference: l.Mountable}
}

// Compressed reads the blob.
func (w *watched) Compressed() (io.ReadCloser, error) {
	blob, err := w.Layer.Compressed()
	if err != nil {
		return nil, err
	}
	return w.look(blob, w.Unpack), nil
}

// Uncompressed reads the tar.
func (w *watched) Uncompressed() (io.ReadCloser, error) {
	tar, err := w.Layer.Uncompressed()
	if err != nil {
		return nil, err
	}
	return w.look(tar, func(tar io.ReadCloser) (io.ReadCloser, error) { return tar, nil }), nil
}

// look returns the stream, and shows it to an inspection beside.
func (w *watched) look(stream io.ReadCloser, unpack func(io.ReadCloser) (io.ReadCloser, error)) io.ReadCloser {
	r, pipe := io.Pipe()
	l := &looker{stream: stream, pipe: pipe, found: make(chan error, 1)}
	go func() {
		err := w.inspect(r, unpack)
		r.CloseWithError(err)
		l.found <- err
	}()
	return l
}

func (w *watched) inspect(stream io.ReadCloser, unpack func(io.ReadCloser) (io.ReadCloser, error)) error {
	if w.pieces == nil {
		tar, err := unpack(stream)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, tar)
		return errors.Join(err, tar.Close())
	}
	open := func(context.Context) (io.ReadCloser, error) { return unpack(stream) }
	report, err := layer.Inspect(context.Background(), w.kind, refsOf(w.pieces), open) // ends with the stream
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", w.source, err)
	case report.NonCanonical != "":
		return fmt.Errorf("%s: layer %s is not what label %s says: %s", w.source, w.Diff, flatten.RecipesLabelKey, report.NonCanonical)
	case !slices.EqualFunc(report.Pieces, w.pieces, isAsSaid):
		return fmt.Errorf("%s: layer %s is not what label %s says: it holds other content", w.source, w.Diff, flatten.RecipesLabelKey)
	}
	return nil
}

func isAsSaid(found, said flatten.Facts) bool {
	return found.Ref == said.Ref && found.ContentID == said.ContentID && (said.Length == 0 || found.Length == said.Length)
}

// looker reads a stream and hands on what it reads.
type looker struct {
	stream io.ReadCloser
	pipe   *io.PipeWriter
	found  chan error
	ended  bool
	err    error // what the inspection found
}

func (l *looker) Read(p []byte) (int, error) {
	n, err := l.stream.Read(p)
	if n > 0 && !l.ended {
		if _, wrong := l.pipe.Write(p[:n]); wrong != nil {
			return n, l.end(nil)
		}
	}
	if errors.Is(err, io.EOF) {
		if wrong := l.end(nil); wrong != nil {
			return n, wrong
		}
	}
	return n, err
}

// end waits for what the inspection finds.
func (l *looker) end(err error) error {
	if !l.ended {
		l.ended = true
		l.pipe.CloseWithError(err)
		l.err = <-l.found
	}
	return l.err
}

// Close implements io.Closer. What was not read to its end was not inspected.
func (l *looker) Close() error {
	_ = l.end(errors.New("nobody reads on"))
	return l.stream.Close()
}
