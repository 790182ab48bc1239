package layer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// Frames are held in memory, so they must not be large. Laminate writes frames of chunkSize.
const (
	maxFramePacked  = 4 << 20
	maxFrameContent = 16 << 20
	// maxHeldFrames limits the content that was read and not kept yet, with perFrame added for each
	// frame, since frames may be as short as a byte. A caller that is at most 4 MiB behind holds no
	// more than one frame besides.
	maxHeldFrames = maxFrameContent + 8<<20
	perFrame      = 256
)

var (
	errLargeFrame = errors.New("frames are too large")
	errHeldFrames = errors.New("too many frames to hold")
)

// frameCutter is a [cutter] for zstd (RFC 8878). It cuts between frames; if a cut is inside a
// frame, it compresses the first part of that frame again.
type frameCutter struct {
	in     *bufio.Reader
	dec    *zstd.Decoder
	frames []frame // read and not kept yet
	spare  []frame // buffers to reuse
	unread []byte  // of the last frame
	kept   int64   // offset of the content of frames[0]
	held   int     // length of the content of frames, plus perFrame each
	packed []byte  // returned by Keep and End
}

type frame struct{ packed, content []byte }

func newFrameCutter(blob io.Reader) (*frameCutter, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxFrameContent))
	if err != nil {
		return nil, err
	}
	return &frameCutter{in: bufio.NewReaderSize(blob, 64<<10), dec: dec}, nil
}

func (c *frameCutter) Read(p []byte) (int, error) {
	for len(c.unread) == 0 {
		if c.held > maxHeldFrames {
			return 0, errHeldFrames
		}
		f, err := c.next()
		if err != nil {
			return 0, err
		}
		if len(f.content) > 0 {
			c.frames = append(c.frames, f)
			c.unread, c.held = f.content, c.held+len(f.content)+perFrame
		}
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

// next reads a frame: its header, its blocks up to the last, and its checksum
// (section 3.1.1).
func (c *frameCutter) next() (frame, error) {
	var h zstd.Header
	peeked, err := c.in.Peek(zstd.HeaderMaxSize)
	if len(peeked) == 0 {
		return frame{}, err // io.EOF between frames is the end
	}
	if err := h.Decode(peeked); err != nil {
		return frame{}, err
	}
	if h.Skippable {
		return frame{}, c.skip(int64(h.HeaderSize) + int64(h.SkippableSize))
	}
	var f frame
	if last := len(c.spare) - 1; last >= 0 {
		f, c.spare = c.spare[last], c.spare[:last]
	}
	f.packed = f.packed[:0]
	if err := c.take(&f, h.HeaderSize); err != nil {
		return frame{}, err
	}
	for last := false; !last; {
		if err := c.take(&f, 3); err != nil {
			return frame{}, err
		}
		block := f.packed[len(f.packed)-3:]
		head := binary.LittleEndian.Uint32([]byte{block[0], block[1], block[2], 0})
		size := int(head >> 3)
		if head>>1&3 == 1 { // RLE block: one byte
			size = 1
		}
		last = head&1 == 1
		if err := c.take(&f, size); err != nil {
			return frame{}, err
		}
	}
	if h.HasCheckSum {
		if err := c.take(&f, 4); err != nil {
			return frame{}, err
		}
	}
	f.content, err = c.dec.DecodeAll(f.packed, f.content[:0])
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		err = errLargeFrame
	}
	return f, err
}

func (c *frameCutter) skip(n int64) error {
	if _, err := io.CopyN(io.Discard, c.in, n); err != nil {
		return unexpected(err)
	}
	return nil
}

func (c *frameCutter) take(f *frame, n int) error {
	at := len(f.packed)
	if at+n > maxFramePacked {
		return errLargeFrame
	}
	f.packed = slices.Grow(f.packed, n)[:at+n]
	_, err := io.ReadFull(c.in, f.packed[at:])
	return unexpected(err)
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Keep implements cutter.
func (c *frameCutter) Keep(n int64) ([]byte, error) {
	c.packed = c.packed[:0]
	passed := 0
	for _, f := range c.frames {
		if c.kept+int64(len(f.content)) > n {
			break
		}
		c.packed = append(c.packed, f.packed...)
		c.kept += int64(len(f.content))
		c.held -= len(f.content) + perFrame
		passed++
	}
	c.spare = append(c.spare, c.frames[:passed]...)
	c.frames = slices.Delete(c.frames, 0, passed)
	return c.packed, nil
}

// Split implements cutter.
func (c *frameCutter) Split(n int64) ([]byte, error) {
	packed, err := c.Keep(n)
	if err == nil && c.kept != n {
		err = fmt.Errorf("no frame ends after %d bytes", n)
	}
	return packed, err
}

// End implements cutter.
func (c *frameCutter) End(n int64) ([]byte, error) {
	packed, err := c.Keep(n)
	if err != nil || n == c.kept {
		return packed, err
	}
	if len(c.frames) == 0 || n < c.kept || n-c.kept > chunkSize {
		return nil, fmt.Errorf("cannot cut after %d bytes", n)
	}
	s := newSegment(append(newChunk(), c.frames[0].content[:n-c.kept]...))
	defer s.release()
	if err := newEncoder(Zstd)(s); err != nil {
		return nil, err
	}
	c.packed = append(packed, s.packed.Bytes()...)
	return c.packed, nil
}
