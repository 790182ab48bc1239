package layer

import (
	"context"
	"io"
	"sync"
)

var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// copyContext is io.Copy with a context.
func copyContext(ctx context.Context, w io.Writer, r io.Reader) (int64, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{w}, contextReader{ctx, r}, *buf)
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
