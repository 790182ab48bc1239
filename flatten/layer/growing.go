package layer

import (
	"errors"
	"io"
	"os"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	streaming "github.com/google/go-containerregistry/pkg/v1/stream"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Growing is a layer that [Build] or [BuildTar] writes, for readers that do not wait until it is
// complete, such as an upload. It is a [v1.Layer]: until the layer is complete and checked, Digest,
// DiffID and Size return [streaming.ErrNotComputed], as those of a [streaming.Layer] do, but its blob can be
// read as often as needed. It is safe for concurrent use.
type Growing struct {
	compression Compression
	path        string
	done        chan struct{} // closed once built or err is set

	mu      sync.Mutex
	grown   *sync.Cond // size, attempt, built or err has changed, or a reader was closed
	size    int64      // bytes in the file
	attempt int        // of writing the file; readers of an earlier one fail
	built   *Built
	err     error
}

// Grow returns a layer to be passed in the options, which must not change any more, to one call of
// [Build] or [BuildTar].
func (o BuildOptions) Grow() *Growing {
	g := &Growing{compression: o.compression(), path: o.Path, done: make(chan struct{})}
	g.grown = sync.NewCond(&g.mu)
	return g
}

// Done is closed once the layer is complete, or its build has failed.
func (g *Growing) Done() <-chan struct{} { return g.done }

// Built returns the complete layer, the error of its build, or [streaming.ErrNotComputed].
func (g *Growing) Built() (*Built, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.built == nil && g.err == nil {
		return nil, streaming.ErrNotComputed
	}
	return g.built, g.err
}

// Digest implements v1.Layer.
func (g *Growing) Digest() (v1.Hash, error) {
	b, err := g.Built()
	if err != nil {
		return v1.Hash{}, err
	}
	return b.Digest()
}

// DiffID implements v1.Layer.
func (g *Growing) DiffID() (v1.Hash, error) {
	b, err := g.Built()
	if err != nil {
		return v1.Hash{}, err
	}
	return b.DiffID()
}

// Size implements v1.Layer.
func (g *Growing) Size() (int64, error) {
	b, err := g.Built()
	if err != nil {
		return 0, err
	}
	return b.Size()
}

// MediaType implements v1.Layer.
func (g *Growing) MediaType() (types.MediaType, error) { return g.compression.MediaType(), nil }

// Uncompressed implements v1.Layer. It waits for the layer.
func (g *Growing) Uncompressed() (io.ReadCloser, error) {
	<-g.done
	b, err := g.Built()
	if err != nil {
		return nil, err
	}
	return b.Uncompressed()
}

// Compressed opens the blob. Read waits for bytes that are not written yet, and returns io.EOF only
// if the layer is complete and passed its check; otherwise it returns the error of the build, or
// [ErrRestarted]. Close ends a Read that waits.
func (g *Growing) Compressed() (io.ReadCloser, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return &follower{of: g, attempt: g.attempt}, nil
}

// ErrRestarted is the error of a reader whose bytes were discarded, since a layer is built again
// without what could not be spliced. Another reader may begin.
var ErrRestarted = errors.New("the layer is built again from the beginning")

// add notes that n more bytes are in the file.
func (g *Growing) add(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.size += int64(n)
	g.grown.Broadcast()
}

// restart discards what was written.
func (g *Growing) restart() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.size = 0
	g.attempt++
	g.grown.Broadcast()
}

// end sets the result.
func (g *Growing) end(b *Built, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.built, g.err = b, err
	close(g.done)
	g.grown.Broadcast()
}

// grower is a file whose growth is noted.
type grower struct {
	io.Writer
	of *Growing
}

func (w grower) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.of.add(n)
	return n, err
}

// follower reads a growing file.
type follower struct {
	of      *Growing
	attempt int

	reading sync.Mutex // held while the file is in use
	file    *os.File
	at      int64
	closed  bool // guarded by of.mu
}

// Read implements io.Reader.
func (f *follower) Read(p []byte) (int, error) {
	f.reading.Lock()
	defer f.reading.Unlock()
	there, err := f.wait()
	if err != nil || len(p) == 0 {
		return 0, err
	}
	if f.file == nil {
		if f.file, err = os.Open(f.of.path); err != nil {
			return 0, err
		}
	}
	n, err := f.file.Read(p[:min(int64(len(p)), there)])
	f.at += int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // it is shorter than what was written
	}
	return n, err
}

// wait waits until there are bytes to be read, and returns their number.
func (f *follower) wait() (int64, error) {
	g := f.of
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		switch {
		case f.closed:
			return 0, os.ErrClosed
		case g.err != nil:
			return 0, g.err
		case f.attempt != g.attempt:
			return 0, ErrRestarted
		case f.at < g.size:
			return g.size - f.at, nil
		case g.built != nil:
			return 0, io.EOF
		}
		g.grown.Wait()
	}
}

// Close implements io.Closer.
func (f *follower) Close() error {
	f.of.mu.Lock()
	wasClosed := f.closed
	f.closed = true
	f.of.grown.Broadcast()
	f.of.mu.Unlock()
	f.reading.Lock()
	defer f.reading.Unlock()
	if wasClosed || f.file == nil {
		return nil
	}
	return f.file.Close()
}
