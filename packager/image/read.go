package image

import (
	"context"
	"hash"
	"io"
	"strings"

	"laminate/packager/progress"
	"laminate/packager/registry"
	"laminate/packager/stream"
)

// blobReader reads a blob, and adds the names of source and layer to errors.
type blobReader struct {
	io.Closer
	layer *Layer
	r     io.Reader
	task  progress.Task
	ended bool
}

func (b *blobReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.task.Add(int64(n))
	if err != nil && err != io.EOF {
		err = b.layer.wrong(err)
	}
	if err != nil {
		b.end(err)
	}
	return n, err
}

// end ends the task, once.
func (b *blobReader) end(err error) {
	if b.ended {
		return
	}
	b.ended = true
	if err == io.EOF {
		err = nil
	}
	b.task.Done(err)
}

func (b *blobReader) Close() error {
	b.end(nil)
	return b.Closer.Close()
}

// unpackedLayer reads a layer's tar and verifies its diffID.
type unpackedLayer struct {
	io.Closer
	layer  *Layer
	r      *stream.Bounded
	packed *stream.Counted // nil for uncompressed layers
	sum    hash.Hash
	wrong  error
}

func (u *unpackedLayer) Read(p []byte) (int, error) {
	if u.wrong != nil {
		return 0, u.wrong
	}
	n, err := u.r.Read(p)
	u.sum.Write(p[:n])
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF:
		err = u.end()
	default:
		err = u.layer.wrong(err)
	}
	u.wrong = err
	return n, err
}

// end reads the rest of the blob, so that its digest is verified, and verifies the diffID.
func (u *unpackedLayer) end() error {
	if u.packed != nil {
		if _, err := io.Copy(io.Discard, u.packed); err != nil {
			return u.layer.wrong(err)
		}
	}
	got := stream.Digest(u.sum)
	if got != u.layer.Diff {
		return u.layer.wrong(&DiffIDError{Got: got, Want: u.layer.Diff})
	}
	return io.EOF
}

// forPiece is like Open, without the name of the source in errors.
func (l *Layer) forPiece(ctx context.Context) (io.ReadCloser, error) {
	rc, err := l.Open(ctx)
	if err != nil {
		return nil, l.unnamed(err)
	}
	return stream.ReadCloser{Reader: unnamedReader{rc, l}, Closer: rc}, nil
}

// blobForPiece is like blob, without the name of the source in errors.
func (l *Layer) blobForPiece(ctx context.Context) (io.ReadCloser, error) {
	rc, err := l.blob(ctx)
	if err != nil {
		return nil, l.unnamed(err)
	}
	return stream.ReadCloser{Reader: unnamedReader{rc, l}, Closer: rc}, nil
}

func (l *Layer) unnamed(err error) error {
	if rest, ok := strings.CutPrefix(err.Error(), l.image.Name+": "); ok {
		return registry.Reword(err, rest)
	}
	return err
}

type unnamedReader struct {
	io.Reader
	layer *Layer
}

func (r unnamedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = r.layer.unnamed(err)
	}
	return n, err
}
