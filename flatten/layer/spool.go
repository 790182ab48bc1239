package layer

import (
	"errors"
	"io"
	"os"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// spoolWindow is the window size of a spool's compressor. Most streams are short, and each starts
// with a new window: a default one of megabytes would be cleared for each.
const spoolWindow = 128 << 10

// Spool is a file of streams that are written one after the other, and read in any order once all
// are written. They are compressed, so that a spool needs about as much disk space as the output.
// Closing it does not remove the file; the owner of its directory does.
type Spool struct {
	file *os.File
	enc  *zstd.Encoder
	at   counter
	from int64
}

// Stretch is the place of a stream in a [Spool].
type Stretch struct{ offset, length int64 }

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

var errNoSpool = errors.New("missing work directory to unpack into")

// NewSpool creates a spool in dir, which must not be empty: nothing cleans up the system's
// temporary directory. The caller must close the spool after the last stream was written and before
// the first is read.
func NewSpool(dir string) (*Spool, error) {
	if dir == "" {
		return nil, errNoSpool
	}
	f, err := os.CreateTemp(dir, "spool-*")
	if err != nil {
		return nil, err
	}
	s := &Spool{file: f}
	s.at.w = f
	s.enc, err = zstd.NewWriter(&s.at, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(spoolWindow))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

// Write adds to the current stream.
func (s *Spool) Write(p []byte) (int, error) { return s.enc.Write(p) }

// End ends the current stream and returns its place.
func (s *Spool) End() (Stretch, error) {
	err := s.enc.Close()
	at := Stretch{s.from, s.at.n - s.from}
	s.from = s.at.n
	s.enc.Reset(&s.at)
	return at, err
}

// Close ends writing.
func (s *Spool) Close() error { return s.file.Close() }

// Open opens the stream in a stretch. The caller must close it, exactly once.
func (s *Spool) Open(at Stretch) (io.ReadCloser, error) {
	if at.length == 0 {
		return io.NopCloser(eof{}), nil
	}
	f, err := os.Open(s.file.Name())
	if err != nil {
		return nil, err
	}
	r := &spooled{file: f}
	from := io.NewSectionReader(f, at.offset, at.length)
	if dec, ok := unspoolers.Get().(*zstd.Decoder); ok {
		r.dec, err = dec, dec.Reset(from)
	} else {
		// Without concurrency, a decoder has no goroutines and need not be closed.
		r.dec, err = zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// unspoolers pools decoders.
var unspoolers sync.Pool

type spooled struct {
	dec  *zstd.Decoder // nil once closed
	file *os.File
}

func (s *spooled) Read(p []byte) (int, error) {
	if s.dec == nil {
		return 0, os.ErrClosed
	}
	return s.dec.Read(p)
}

func (s *spooled) Close() error {
	if s.dec == nil {
		return os.ErrClosed
	}
	err := s.dec.Reset(nil) // do not retain the file
	unspoolers.Put(s.dec)
	s.dec = nil
	return errors.Join(err, s.file.Close())
}

// openAll opens streams as one, in order.
func (s *Spool) openAll(all []Stretch) (io.ReadCloser, error) {
	joined := &both{}
	var readers []io.Reader
	for _, at := range all {
		r, err := s.Open(at)
		if err != nil {
			return nil, errors.Join(err, joined.Close())
		}
		readers, joined.closers = append(readers, r), append(joined.closers, r)
	}
	joined.Reader = io.MultiReader(readers...)
	return joined, nil
}
