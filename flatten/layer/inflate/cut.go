package inflate

import (
	"bytes"
	stdflate "compress/flate"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/klauspost/compress/flate"
)

// ErrTooLarge is returned by Keep and End if a Cutter would have to hold more than 16 MiB of
// content or 4 MiB of compressed data since the last block boundary that is kept. Blocks, and a
// tail, of three quarters of these sizes are always refused. So for a caller that calls Keep within
// 4 MiB of content and 1 MiB of compressed data, only the stream and the cut decide whether it can
// be cut. Read still works.
var ErrTooLarge = errors.New("a gzip stream with blocks that are too large to cut it")

const (
	maxHeldContent = 16 << 20
	maxHeldInput   = 4 << 20
	maxContent     = maxHeldContent / 4 * 3 // of a block or a tail
	maxInput       = maxHeldInput / 4 * 3

	// markEvery is the least content between marks, except at the ends of members: blocks may be as
	// short as a few bits.
	markEvery = 256

	// tailLevel is the level at which the tail is compressed: that of laminate's own layers. Like
	// the limits above, it is part of their format.
	tailLevel = 5
)

var errTail = errors.New("the new end of a gzip stream is not what it should be")

var errEnded = errors.New("a gzip stream that is cut already")

// A mark is a place where the stream can be cut: the end of a block, except the last one of a
// member, or the end of a member.
type mark struct {
	content int64 // offset in the content
	bit     int64 // offset in the stream
	member  member
	whole   bool // the member ends here
	large   bool // too much lies between this mark and the one before
}

// cut is the state of the compressed output.
type cut struct {
	last    mark   // everything before it was returned
	marks   []mark // later marks, in order
	recent  mark   // the latest mark
	kept    int64  // the last argument of Keep
	given   []byte
	refused error // if set, nothing is held any more
}

// add adds a mark. Of several marks at the same content the latest counts; empty members have none.
func (c *cut) add(m mark) {
	since := m.content - c.recent.content
	if c.refused != nil || m.content == m.member.begin || since > 0 && since < markEvery && !m.whole {
		return
	}
	m.large = since > maxContent || m.bit/8-c.recent.bit/8 > maxInput
	c.recent = m
	if i := len(c.marks) - 1; i >= 0 && since == 0 {
		m.large = m.large || c.marks[i].large
		c.marks[i] = m
		return
	}
	c.marks = append(c.marks, m)
}

// limit stops holding data if it exceeds the limits.
func (c *cut) limit(input, content int64) {
	if content-c.last.content > maxHeldContent || input-c.last.bit/8 > maxHeldInput {
		c.refuse(ErrTooLarge)
	}
}

func (c *cut) refuse(err error) {
	if c.refused == nil {
		c.refused, c.marks = err, nil
	}
}

// Keep declares that at least the first n bytes of the content are kept; n must not decrease, nor
// exceed what was read. It returns the part of the compressed stream that is now final, to be
// appended to what it returned before. The slice is valid until the next call of any method.
func (c *Cutter) Keep(n int64) ([]byte, error) {
	if n < c.kept || n > c.read {
		return nil, fmt.Errorf("cut of a gzip stream after %d bytes: %d to %d is possible", n, c.kept, c.read)
	}
	c.kept = n
	c.given = c.given[:0]
	passed := 0
	for _, m := range c.marks {
		if m.content > n {
			break
		}
		if m.large {
			c.refuse(ErrTooLarge)
			break
		}
		c.pass(m)
		passed++
	}
	if c.refused != nil {
		return nil, c.refused
	}
	c.marks = slices.Delete(c.marks, 0, passed)
	return c.given, nil
}

// pass appends the whole bytes up to a mark, unchanged.
func (c *Cutter) pass(m mark) {
	from := c.last.bit / 8
	if c.last.whole {
		c.given = append(c.given, plainHeader...)
		from = m.member.data
	}
	c.given = append(c.given, c.in.since(from, m.bit/8)...)
	c.last = m
}

// End cuts the stream after n bytes of content, with the same restrictions on n as Keep, and
// returns the rest of the compressed stream. Keep must not be called after it. The result depends
// on the stream and n only, even if the stream has an error behind n, which Read reports.
func (c *Cutter) End(n int64) ([]byte, error) {
	c.settle(n)
	if _, err := c.Keep(n); err != nil {
		return nil, err
	}
	if n-c.last.content > maxContent {
		c.refuse(ErrTooLarge)
		return nil, c.refused
	}
	err := c.tail(n)
	c.refuse(errEnded)
	return c.given, err
}

// settle reads on until there are more than n bytes of content: only then it is known whether a
// block ends at n.
func (c *Cutter) settle(n int64) {
	for n <= c.read && c.out.total() <= n && c.err == nil && c.refused == nil {
		c.advance()
	}
}

// Split is like Keep, but fails unless a member ends after n bytes of content: then what was
// returned since the previous Split is a gzip stream by itself, and so is what follows.
func (c *Cutter) Split(n int64) ([]byte, error) {
	c.settle(n)
	given, err := c.Keep(n)
	if err == nil && (!c.last.whole || c.last.content != n) {
		err = fmt.Errorf("no member of the gzip stream ends after %d bytes", n)
	}
	return given, err
}

// tail compresses the content between the last mark and the cut, and ends the member.
func (c *Cutter) tail(n int64) error {
	m := c.last
	if m.whole {
		if m.content == n {
			return nil
		}
		c.given = append(c.given, plainHeader...)
		m.member, m.bit = member{begin: m.content}, 0
	}
	begin := len(c.given)
	if used := m.bit & 7; used > 0 {
		c.given = append(c.given, c.in.since(m.bit/8, m.bit/8+1)[0]&(1<<used-1))
		if used > 5 { // no room for the 3 bits of a block header
			c.given = append(c.given, 0)
		}
		c.given = append(c.given, 0x00, 0x00, 0xff, 0xff) // an empty stored block
	}
	content := c.out.since(m.content, n)
	blob := bytes.NewBuffer(c.given)
	z, err := flate.NewWriter(blob, tailLevel)
	if err != nil {
		return err
	}
	if _, err := z.Write(content); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	before := c.out.since(max(m.member.begin, m.content-history), m.content)
	if err := checkTail(blob.Bytes()[begin:], uint(m.bit&7), before, content); err != nil {
		return err
	}
	crc := crc32.Update(m.member.crc, crc32.IEEETable, content)
	c.given = appendFooter(blob.Bytes(), crc, uint32(n-m.member.begin))
	return nil
}

// checkTail verifies the tail, which follows the copied blocks after used bits of its first byte:
// an empty stored block that aligns to a byte, and blocks that the standard library reads. The
// copied blocks were verified by decoding them.
func checkTail(tail []byte, used uint, before, want []byte) error {
	if used > 0 {
		stored := []byte{tail[0] >> used, 0x00, 0x00, 0xff, 0xff}
		if used > 5 {
			stored = slices.Insert(stored, 1, 0)
		}
		if stored[0] != 0 || !bytes.HasPrefix(tail[1:], stored[1:]) {
			return errTail
		}
		tail = tail[len(stored):]
	}
	got, err := io.ReadAll(stdflate.NewReaderDict(bytes.NewReader(tail), before))
	if err != nil || !bytes.Equal(got, want) {
		return errTail
	}
	return nil
}
