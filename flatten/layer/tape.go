package layer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// chunked is a stream of bytes that are lent to the reader, not copied.
type chunked interface {
	// next returns the next bytes, n at most and at least one, or an error. They are valid until the
	// next call.
	next(n int) ([]byte, error)
}

// readChunks reads a stream of chunks from r.
type readChunks struct {
	r   io.Reader
	buf []byte
	err error // of r
}

func (c *readChunks) next(n int) ([]byte, error) {
	for range 100 {
		if c.err != nil {
			return nil, c.err
		}
		var k int
		if k, c.err = c.r.Read(c.buf[:min(n, len(c.buf))]); k > 0 {
			return c.buf[:k], nil
		}
	}
	return nil, io.ErrNoProgress
}

// tape records what the tar reader reads: headers in head; contents, including their padding, in w.
// The tar reader does not get the contents.
type tape struct {
	r       chunked
	head    bytes.Buffer
	w       io.Writer
	content int64 // bytes of content so far
	padding int64 // bytes of padding before the next header
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
	if len(p) == 0 {
		return 0, nil
	}
	b, err := t.r.next(len(p))
	n := len(b)
	if t.inHead {
		copy(p, b)
		pad := min(t.padding, int64(n))
		t.padding -= pad
		t.head.Write(b[pad:])
		b = b[:pad]
		if t.head.Len() > maxHead {
			return n, fmt.Errorf("header is longer than %d bytes", maxHead)
		}
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

// rest reads to the end, and returns the number of bytes.
func (t *tape) rest() (n int64, err error) {
	for {
		b, err := t.r.next(chunkSize)
		n += int64(len(b))
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
