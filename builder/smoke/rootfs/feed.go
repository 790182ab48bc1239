package rootfs

import (
	"context"
	"io"

	"laminate/packager/image"
)

// chunk and chunks are the size and the number of buffers between a layer's reader and its writer.
const (
	chunk  = 256 << 10
	chunks = 8
)

// feed reads a layer ahead: it inflates and verifies the layer in a goroutine of its own.
type feed struct {
	full, free chan []byte
	err        error // set before full is closed
	at, in     []byte
	stop       context.CancelFunc
}

// newFeed starts reading a layer. The caller must close the feed.
func newFeed(ctx context.Context, l *image.Layer) *feed {
	ctx, stop := context.WithCancel(ctx)
	f := &feed{full: make(chan []byte, chunks), free: make(chan []byte, chunks), stop: stop}
	for range chunks {
		f.free <- nil
	}
	go f.fill(ctx, l)
	return f
}

func (f *feed) fill(ctx context.Context, l *image.Layer) {
	defer close(f.full)
	rc, err := l.Open(ctx)
	if err != nil {
		f.err = err
		return
	}
	for err == nil {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case buf := <-f.free:
			if buf == nil {
				buf = make([]byte, chunk)
			}
			var n int
			n, err = fillBuffer(rc, buf[:chunk])
			f.full <- buf[:n] // there are no more buffers than it has room for
		}
	}
	if err == io.EOF {
		err = nil
	}
	if closed := rc.Close(); err == nil {
		err = closed
	}
	f.err = err
}

// fillBuffer is io.ReadFull that returns the reader's own error.
func fillBuffer(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

// Read implements io.Reader. It returns io.EOF only if the whole layer was valid.
func (f *feed) Read(p []byte) (int, error) {
	for len(f.at) == 0 {
		if f.in != nil {
			f.free <- f.in
			f.in = nil
		}
		buf, ok := <-f.full
		if !ok {
			if f.err != nil {
				return 0, f.err
			}
			return 0, io.EOF
		}
		f.in, f.at = buf, buf
	}
	n := copy(p, f.at)
	f.at = f.at[n:]
	return n, nil
}

// Close stops reading, and waits until the layer is closed.
func (f *feed) Close() {
	f.stop()
	for range f.full {
	}
}
