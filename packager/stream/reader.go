package stream

import (
	"context"
	"io"
)

// WithContext returns a reader that returns the context's error once the context is done.
func WithContext(ctx context.Context, r io.Reader) io.Reader { return interruptible{ctx, r} }

type interruptible struct {
	ctx context.Context
	io.Reader
}

func (r interruptible) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// ReadCloser combines a reader and a closer.
type ReadCloser struct {
	io.Reader
	io.Closer
}

// Unpacker closes a decompressor and the stream that it reads. It ignores the error of closing the
// decompressor, which Read has already returned.
type Unpacker struct{ Decompressor, Packed io.Closer }

// Close implements io.Closer.
func (u Unpacker) Close() error {
	_ = u.Decompressor.Close()
	return u.Packed.Close()
}
