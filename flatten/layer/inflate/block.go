package inflate

import (
	"github.com/klauspost/compress/flate"
)

// A decoder decodes a DEFLATE stream (RFC 1951), block by block.
type decoder struct {
	in    input
	out   output
	begin int64 // offset of the member's content: matches reach no farther back

	final  bool // the block is the last one
	stored int  // remaining bytes of a stored block
	lit    *litTable
	dist   *distTable

	ownLit  litTable
	ownDist distTable
	ownMeta metaTable
}

// The block types.
const (
	storedBlock = iota
	fixedBlock
	dynamicBlock
)

// corrupt returns the error for data that violates RFC 1951.
func (d *decoder) corrupt() error { return flate.CorruptInputError(d.in.offset() / 8) }

// block reads the header of a block, and returns its type.
func (d *decoder) block() (kind int, err error) {
	head, err := d.in.take(3)
	if err != nil {
		return 0, err
	}
	d.final = head&1 != 0
	switch kind = head >> 1; kind {
	case storedBlock:
		return kind, d.storedLength()
	case fixedBlock:
		d.lit, d.dist = &fixed().lit, &fixed().dist
		return kind, nil
	case dynamicBlock:
		return kind, d.codes()
	}
	return 0, d.corrupt()
}

func (d *decoder) storedLength() error {
	d.in.align()
	var p [4]byte
	if err := d.in.bytes(p[:]); err != nil {
		return noEOF(err)
	}
	if p[0] != ^p[2] || p[1] != ^p[3] {
		return d.corrupt()
	}
	d.stored = int(p[0]) | int(p[1])<<8
	return nil
}

// copyStored copies up to one step of a stored block, and reports whether the block is done.
func (d *decoder) copyStored() (done bool, err error) {
	if d.stored == 0 {
		return true, nil
	}
	if d.in.pos == len(d.in.buf) && !d.in.more() {
		return false, d.in.short()
	}
	n := copy(d.out.buf[d.out.end:][:min(d.stored, stepSize)], d.in.buf[d.in.pos:])
	d.in.pos += n
	d.out.end += n
	d.stored -= n
	return d.stored == 0, nil
}

// metaOrder is the order of the lengths of the code length code.
var metaOrder = [metaCodes]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// codes reads the codes of a dynamic block (section 3.2.7).
func (d *decoder) codes() error {
	head, err := d.in.take(14)
	if err != nil {
		return err
	}
	lits, dists, metas := head&31+257, head>>5&31+1, head>>10+4
	if lits > 286 || dists > 30 {
		return d.corrupt()
	}
	var meta [metaCodes]uint8
	for _, symbol := range metaOrder[:metas] {
		l, err := d.in.take(3)
		if err != nil {
			return err
		}
		meta[symbol] = uint8(l)
	}
	if !build(d.ownMeta[:], metaRoot, meta[:], metaEntries[:]) {
		return d.corrupt()
	}
	var lengths [286 + 30]uint8
	if err := d.lengths(lengths[:lits+dists]); err != nil {
		return err
	}
	if !build(d.ownLit[:], litRoot, lengths[:lits], litEntries[:]) ||
		!build(d.ownDist[:], distRoot, lengths[lits:lits+dists], distEntries[:]) {
		return d.corrupt()
	}
	d.lit, d.dist = &d.ownLit, &d.ownDist
	return nil
}

// lengths reads the code lengths, which are Huffman coded.
func (d *decoder) lengths(lengths []uint8) error {
	for i := 0; i < len(lengths); {
		if d.in.n < metaRoot+7 {
			d.in.fill()
		}
		e := d.ownMeta[d.in.bits&(metaSize-1)]
		if uint(e&63) > d.in.n {
			return d.in.short()
		}
		if e&special != 0 {
			return d.corrupt()
		}
		d.in.bits >>= e & 63
		d.in.n -= uint(e & 63)
		symbol := e >> value
		if symbol < 16 {
			lengths[i] = uint8(symbol)
			i++
			continue
		}
		repeat := [...]struct {
			least int
			extra uint
		}{{3, 2}, {3, 3}, {11, 7}}[symbol-16]
		more, err := d.in.take(repeat.extra)
		if err != nil {
			return err
		}
		n := repeat.least + more
		if i+n > len(lengths) || symbol == 16 && i == 0 {
			return d.corrupt()
		}
		if symbol == 16 {
			for j := range n {
				lengths[i+j] = lengths[i-1]
			}
		}
		i += n
	}
	return nil
}
