package inflate

import (
	"errors"
	"hash/crc32"
	"io"
)

var errUncut = errors.New("a gzip stream that is read only")

// A Cutter reads the content of a gzip stream, and produces a gzip stream of the first part of it.
//
// It holds the blocks since the last block boundary that is kept, and their content. See
// ErrTooLarge.
type Cutter struct {
	decoder
	step func(*Cutter) error
	err  error // of the stream, io.EOF at its end
	read int64 // bytes of content returned by Read

	member   member
	trailing *TrailingError // nil if there is none so far
	summed   int64          // the member's checksum covers the content up to here

	cut
}

// member is the current member.
type member struct {
	data  int64 // offset of its blocks in the stream
	begin int64 // offset in the content
	crc   uint32
}

// NewCutter returns a Cutter for a gzip stream. It buffers, and reads more than it needs.
func NewCutter(gzip io.Reader) *Cutter {
	c := &Cutter{}
	c.Reset(gzip)
	return c
}

// NewReader returns a reader of a gzip stream that cannot be cut, and holds no data for it. It
// returns errors in the first header.
func NewReader(gzip io.Reader) (io.Reader, error) {
	c := NewCutter(gzip)
	c.refuse(errUncut)
	c.advance()
	return struct{ io.Reader }{c}, c.err
}

// Reset starts another stream with the same buffers.
func (c *Cutter) Reset(gzip io.Reader) {
	none := mark{whole: true}
	*c = Cutter{
		decoder: decoder{in: input{r: gzip, buf: c.in.buf[:0]}, out: output{buf: c.out.buf}},
		step:    (*Cutter).readHeader,
		cut:     cut{last: none, recent: none, marks: c.marks[:0], given: c.given[:0]},
	}
}

// Read returns the content of all members, like gzip.Reader of the standard library: it refuses the
// same streams, and verifies checksum and length of each member. It returns all content before an
// error.
func (c *Cutter) Read(p []byte) (int, error) {
	for c.read == c.out.total() && c.err == nil {
		c.advance()
	}
	n := copy(p, c.out.since(c.read, c.out.total()))
	c.read += int64(n)
	if n == 0 && len(p) > 0 {
		return 0, c.err
	}
	return n, nil
}

// advance makes one step, which produces a bounded amount of content.
func (c *Cutter) advance() {
	c.limit(c.in.offset()/8, c.out.total())
	c.hold()
	c.out.makeRoom()
	c.err = c.step(c)
	made := c.out.since(c.summed, c.out.total())
	c.member.crc = crc32.Update(c.member.crc, crc32.IEEETable, made)
	c.summed = c.out.total()
}

// hold sets what the buffers must hold: data that was not decoded or returned yet and, unless
// cutting is over, everything since the last mark.
func (c *Cutter) hold() {
	c.in.held = c.in.offset() / 8
	c.out.held = c.read
	if c.refused == nil {
		c.in.held = c.last.bit / 8
		c.out.held = min(c.read, c.last.content-history) // matches behind the cut may reach this far back
	}
}

func (c *Cutter) readHeader() error {
	if c.member.data > 0 && !c.in.isMember() {
		c.trailing = &TrailingError{Zeros: true}
		c.step = (*Cutter).readTrailing
		return nil
	}
	if err := c.in.header(); err != nil {
		return err
	}
	c.begin = c.out.total()
	c.member = member{data: c.in.offset() / 8, begin: c.begin}
	c.step = (*Cutter).readBlock
	return nil
}

func (c *Cutter) readBlock() error {
	kind, err := c.block()
	c.step = (*Cutter).readSymbols
	if kind == storedBlock {
		c.step = (*Cutter).readStored
	}
	return err
}

func (c *Cutter) readStored() error { return c.endBlock(c.copyStored()) }

func (c *Cutter) readSymbols() error { return c.endBlock(c.symbols()) }

// endBlock proceeds to the next step after a block.
func (c *Cutter) endBlock(done bool, err error) error {
	if !done || err != nil {
		return err
	}
	c.step = (*Cutter).readBlock
	if c.final {
		c.step = (*Cutter).readFooter
		return nil
	}
	c.step = (*Cutter).markBlock
	return nil
}

// markBlock is a separate step, so that the checksum covers all content before it.
func (c *Cutter) markBlock() error {
	c.step = (*Cutter).readBlock
	c.add(mark{content: c.out.total(), bit: c.in.offset(), member: c.member})
	return nil
}

func (c *Cutter) readFooter() error {
	if err := c.in.footer(c.member.crc, uint32(c.out.total()-c.member.begin)); err != nil {
		return err
	}
	c.step = (*Cutter).readHeader
	c.add(mark{content: c.out.total(), bit: c.in.offset(), member: c.member, whole: true})
	return nil
}
