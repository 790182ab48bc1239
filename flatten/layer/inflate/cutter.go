package inflate

import (
	"errors"
	"hash/crc32"
	"io"
)

var errUncut = errors.New("a gzip stream that is read only")

// A Cutter gives the content of a gzip stream to whoever reads from it, and a
// gzip stream of the first part of the content.
//
// It holds what it may still have to give: the blocks since the last one that
// ends where all is to be kept, and their content. See ErrTooLarge.
type Cutter struct {
	decoder
	step func(*Cutter) error
	err  error // of the stream, io.EOF at its end
	read int64 // how much content was given out

	member   member
	trailing *TrailingError // nil while all that was read is gzip
	summed   int64          // the content up to here is in the member's checksum

	cut
}

// member is what is known of the member that is read.
type member struct {
	data  int64 // where in the stream its blocks begin
	begin int64 // where in the content it begins
	crc   uint32
}

// NewCutter reads a gzip stream. It has a buffer of its own, and reads more
// than it needs.
func NewCutter(gzip io.Reader) *Cutter {
	c := &Cutter{}
	c.Reset(gzip)
	return c
}

// NewReader reads a gzip stream that is not to be cut, and holds nothing of it.
// What is wrong with its beginning is told at once.
func NewReader(gzip io.Reader) (io.Reader, error) {
	c := NewCutter(gzip)
	c.refuse(errUncut)
	c.advance()
	return struct{ io.Reader }{c}, c.err
}

// Reset begins another stream, as a new Cutter would, with the same buffers.
func (c *Cutter) Reset(gzip io.Reader) {
	none := mark{whole: true}
	*c = Cutter{
		decoder: decoder{in: input{r: gzip, buf: c.in.buf[:0]}, out: output{buf: c.out.buf}},
		step:    (*Cutter).readHeader,
		cut:     cut{last: none, recent: none, marks: c.marks[:0], given: c.given[:0]},
	}
}

// Read gives the content of all members, one after the other, as the standard
// library's reader does: what it refuses is refused, and a member's checksum
// and length are compared. All content before an error is given.
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

// advance makes one step, which gives a bounded amount of content, or none.
func (c *Cutter) advance() {
	c.limit(c.in.offset()/8, c.out.total())
	c.hold()
	c.out.makeRoom()
	c.err = c.step(c)
	made := c.out.since(c.summed, c.out.total())
	c.member.crc = crc32.Update(c.member.crc, crc32.IEEETable, made)
	c.summed = c.out.total()
}

// hold tells the buffers what to hold: what was not decoded, or not given out,
// and while something may be cut, all since the last mark.
func (c *Cutter) hold() {
	c.in.held = c.in.offset() / 8
	c.out.held = c.read
	if c.refused == nil {
		c.in.held = c.last.bit / 8
		c.out.held = min(c.read, c.last.content-history) // matches behind the cut may reach so far back
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

// endBlock goes on to what follows a block that is done.
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

// markBlock is a step of its own, so that the checksum is that of all content
// before it.
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
