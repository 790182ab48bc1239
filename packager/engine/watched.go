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

// watched is a source's layer that was not read because laminate's own label describes it. If it is
// read while the image is written, it is inspected in passing: it must match the label exactly.
// Errors come at the end of the stream, instead of io.EOF. A mounted layer is not inspected. For a
// layer without pieces, only the diffID is verified.
type watched struct {
	*image.Layer
	kind   flatten.Kind
	source string          // for messages
	pieces []flatten.Facts // Length may be 0 for unknown
}

// watch returns the layer for another image.
func watch(l *image.Layer, kind flatten.Kind, from string, pieces []flatten.Facts) v1.Layer {
	w := &watched{Layer: l, kind: kind, source: from, pieces: pieces}
	if l.Mountable == nil {
		return w
	}
	return &remote.MountableLayer{Layer: w, Reference: l.Mountable}
}

// Compressed opens the blob.
func (w *watched) Compressed() (io.ReadCloser, error) {
	blob, err := w.Layer.Compressed()
	if err != nil {
		return nil, err
	}
	return w.look(blob, w.Unpack), nil
}

// Uncompressed opens the tar.
func (w *watched) Uncompressed() (io.ReadCloser, error) {
	tar, err := w.Layer.Uncompressed()
	if err != nil {
		return nil, err
	}
	return w.look(tar, func(tar io.ReadCloser) (io.ReadCloser, error) { return tar, nil }), nil
}

// look returns the stream, which a concurrent inspection reads as well.
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
		return fmt.Errorf("%s: layer %s does not match label %s: %s", w.source, w.Diff, flatten.RecipesLabelKey, report.NonCanonical)
	case !slices.EqualFunc(report.Pieces, w.pieces, isAsSaid):
		return fmt.Errorf("%s: layer %s does not match label %s: other content", w.source, w.Diff, flatten.RecipesLabelKey)
	}
	return nil
}

func isAsSaid(found, said flatten.Facts) bool {
	return found.Ref == said.Ref && found.ContentID == said.ContentID && (said.Length == 0 || found.Length == said.Length)
}

// looker reads a stream, and copies it to the inspection.
type looker struct {
	stream io.ReadCloser
	pipe   *io.PipeWriter
	found  chan error
	ended  bool
	err    error // error of the inspection
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

// end waits for the result of the inspection.
func (l *looker) end(err error) error {
	if !l.ended {
		l.ended = true
		l.pipe.CloseWithError(err)
		l.err = <-l.found
	}
	return l.err
}

// Close implements io.Closer. A stream that was not read to the end is not inspected.
func (l *looker) Close() error {
	_ = l.end(errors.New("reader closed"))
	return l.stream.Close()
}
