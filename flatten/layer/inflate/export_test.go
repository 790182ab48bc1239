package inflate

import (
	"fmt"
	"io"
)

// WithoutLoop calls do while the loop in assembly is not used.
func WithoutLoop(do func()) {
	was := hasLoop
	hasLoop = false
	defer func() { hasLoop = was }()
	do()
}

// HasLoop reports whether there is a loop in assembly.
func HasLoop() bool { return hasLoop }

// The sizes that the tests at the edges of the buffers need.
const (
	Slack   = slack
	History = history
)

// A Decoder is a decoder without a Cutter: its buffers are the test's.
type Decoder = decoder

// NewDecoder returns a Decoder of in, which is all there is, into out. The content begins after
// begin bytes of out.
func NewDecoder(in, out []byte, begin int) *Decoder {
	return &decoder{in: input{buf: in, err: io.EOF}, out: output{buf: out, end: begin}, begin: int64(begin)}
}

// The steps of a Decoder.
func (d *decoder) Block() (kind int, err error)          { return d.block() }
func (d *decoder) Final() bool                           { return d.final }
func (d *decoder) CopyStored() (done bool, err error)    { return d.copyStored() }
func (d *decoder) Careful() (done bool, err error)       { return d.careful() }
func (d *decoder) Loop(limit int) (done bool, err error) { return d.loop(limit) }
func (d *decoder) Fast(limit int) (done bool, err error) { return d.fast(limit) }
func (d *decoder) Offset() int64                         { return d.in.offset() }
func (d *decoder) Total() int64                          { return d.out.total() }
func (d *decoder) Decoded() []byte                       { return d.out.buf[:d.out.end] }

// Slide keeps no more of the content than matches may refer to.
func (d *decoder) Slide() {
	drop := max(0, d.out.end-history)
	d.out.end = copy(d.out.buf, d.out.buf[drop:d.out.end])
	d.out.base += int64(drop)
}

// CheckBits checks the bits that were read ahead: they are those before pos, and what is above them
// are those that follow, or zeros.
func (d *decoder) CheckBits() error {
	if d.in.n > 63 || d.in.pos < 0 || d.in.pos > len(d.in.buf) || d.in.offset() < 0 {
		return fmt.Errorf("%d bits at byte %d of %d", d.in.n, d.in.pos, len(d.in.buf))
	}
	for i := range 64 {
		at := int(d.in.offset()) + i
		set := at/8 < len(d.in.buf) && d.in.buf[at/8]>>(at%8)&1 != 0
		if got := d.in.bits>>i&1 != 0; got != set && (i < int(d.in.n) || got) {
			return fmt.Errorf("bit %d of %d, at byte %d of %d, is %t", i, d.in.n, d.in.pos, len(d.in.buf), got)
		}
	}
	return nil
}

// CheckTable builds a table of literals and lengths, or of distances, over entries that must not be
// left, and checks each entry that a stream can reach. It reports whether the code is valid.
func CheckTable(lengths []uint8, distances bool) (valid bool, err error) {
	const left = 0xffff_ffff
	table, root, entries, least, most := make([]uint32, litSize), litRoot, litEntries[:], 3, 258
	if distances {
		table, root, entries, least, most = make([]uint32, distSize), distRoot, distEntries[:], 1, history
	}
	for i := range table {
		table[i] = left
	}
	if !build(table, root, lengths, entries) {
		return false, nil
	}
	for i, e := range table[:1<<root] {
		if e&special == 0 || e&link == 0 || e == left {
			if err := checkEntry(e, root, least, most); err != nil {
				return true, fmt.Errorf("entry %d, %w", i, err)
			}
			continue
		}
		place, taken := int(e>>value), int(e>>8&15)
		if e&(literal|end) != 0 || int(e&63) != root || place < 1<<root || place+1<<taken > len(table) {
			return true, fmt.Errorf("entry %d, a link, is %#x", i, e)
		}
		for j, e := range table[place:][:1<<taken] {
			if err := checkEntry(e, maxBits-root, least, most); err != nil {
				return true, fmt.Errorf("entry %d of the table behind %d, %w", j, i, err)
			}
		}
	}
	return true, nil
}

// checkEntry checks what the loops rely on in an entry that is no link.
func checkEntry(e uint32, longest, least, most int) error {
	used, extra := int(e>>8&15), int(e&63)-int(e>>8&15)
	v := int(e >> value)
	switch {
	case e == special|1: // no such code
	case e&(1<<12|1<<7|1<<6|link) != 0 || used < 1 || used > longest:
		return fmt.Errorf("is %#x", e)
	case e&literal != 0 || e&special != 0:
		if extra != 0 || e&literal != 0 && (least == 1 || e&special != 0) {
			return fmt.Errorf("a literal or an end, is %#x", e)
		}
	case e&end != 0 || extra < 0 || extra > 13 || v < least || v+1<<extra-1 > most && v != most:
		return fmt.Errorf("a length or a distance, is %#x", e)
	}
	return nil
}
