package inflate

import "encoding/binary"

// symbols decodes up to one step of a compressed block, and reports whether the block is done.
func (d *decoder) symbols() (done bool, err error) {
	limit := d.out.end + stepSize
	for d.out.end < limit {
		if done, err = d.loop(limit); done || err != nil {
			return done, err
		}
		if done, err = d.fast(limit); done || err != nil {
			return done, err
		}
		if d.out.end >= limit {
			break
		}
		if done, err = d.careful(); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

// fastInput is how many bytes of input the fast loop needs: it reads 8 bytes twice per symbol.
const fastInput = 16

// fast decodes up to the limit, while there is enough input. It is the hot loop where loop is not
// available: one long function, so that its state stays in registers.
//
// It loads 8 bytes at a time; bits that do not fit are loaded again next time. That provides at
// least 56 bits: enough for three literals from the root of their table, or for a length and a
// distance with their extra bits, which are at most 48.
func (d *decoder) fast(limit int) (done bool, err error) {
	in, pos, bits, n := d.in.buf, d.in.pos, d.in.bits, d.in.n
	out, to := d.out.buf, d.out.end
	lit, dist := d.lit, d.dist
	begin := int(max(0, d.begin-d.out.base))
	last := len(in) - fastInput
	bad := false

	for pos <= last && to < limit {
		bits |= binary.LittleEndian.Uint64(in[pos:]) << (n & 63)
		pos += int(63-n) >> 3
		n |= 56

		e := lit[bits&(1<<litRoot-1)]
		if e&literal != 0 {
			out[to] = byte(e >> value)
			to++
			bits >>= e & 63
			n -= uint(e & 63)
			e = lit[bits&(1<<litRoot-1)]
			if e&literal != 0 {
				out[to] = byte(e >> value)
				to++
				bits >>= e & 63
				n -= uint(e & 63)
				e = lit[bits&(1<<litRoot-1)]
				if e&literal != 0 {
					out[to] = byte(e >> value)
					to++
					bits >>= e & 63
					n -= uint(e & 63)
					continue
				}
			}
			bits |= binary.LittleEndian.Uint64(in[pos:]) << (n & 63)
			pos += int(63-n) >> 3
			n |= 56
		}
		if e&special != 0 {
			if e&link != 0 {
				bits >>= litRoot
				n -= litRoot
				e = lit[int(e>>value)+int(bits&(1<<(e>>8&15)-1))]
				if e&literal != 0 {
					out[to] = byte(e >> value)
					to++
					bits >>= e & 63
					n -= uint(e & 63)
					continue
				}
			}
			if e&special != 0 {
				done, bad = e&end != 0, e&end == 0
				bits >>= e & 63
				n -= uint(e & 63)
				break
			}
		}
		length := int(e>>value) + int(bits&(1<<(e&63)-1)>>(e>>8&15))
		bits >>= e & 63
		n -= uint(e & 63)

		e = dist[bits&(1<<distRoot-1)]
		if e&special != 0 {
			if e&link != 0 {
				bits >>= distRoot
				n -= distRoot
				e = dist[int(e>>value)+int(bits&(1<<(e>>8&15)-1))]
			}
			if e&special != 0 {
				bad = true
				break
			}
		}
		back := int(e>>value) + int(bits&(1<<(e&63)-1)>>(e>>8&15))
		bits >>= e & 63
		n -= uint(e & 63)
		if back > to-begin {
			bad = true
			break
		}
		match(out, to, back, length)
		to += length
	}
	d.in.pos, d.in.bits, d.in.n = pos, bits, n
	d.out.end = to
	if bad {
		return false, d.corrupt()
	}
	return done, nil
}

// match copies length bytes from back bytes before. It may write up to 16 bytes more.
func match(out []byte, to, back, length int) {
	from, stop := to-back, to+length
	switch {
	case back >= 16:
		for {
			*(*[16]byte)(out[to:]) = *(*[16]byte)(out[from:])
			if to += 16; to >= stop {
				return
			}
			from += 16
		}
	case back >= 8:
		for {
			*(*[8]byte)(out[to:]) = *(*[8]byte)(out[from:])
			if to += 8; to >= stop {
				return
			}
			from += 8
		}
	case back == 1:
		eight := uint64(out[from]) * 0x0101010101010101
		for ; to < stop; to += 8 {
			binary.LittleEndian.PutUint64(out[to:], eight)
		}
	default:
		for ; to < stop; to++ {
			out[to] = out[to-back]
		}
	}
}

// careful decodes one symbol near the end of the input. It checks that there are enough bits.
func (d *decoder) careful() (done bool, err error) {
	d.in.fill()
	e, ok := d.lookup(d.lit[:], litRoot)
	switch {
	case !ok:
		return false, d.in.short()
	case e&literal != 0:
		d.drop(e)
		d.out.buf[d.out.end] = byte(e >> value)
		d.out.end++
		return false, nil
	case e&end != 0:
		d.drop(e)
		return true, nil
	case e&special != 0:
		d.drop(e) // as the fast loops do: the error names the same place
		return false, d.corrupt()
	}
	length := d.drop(e)
	e, ok = d.lookup(d.dist[:], distRoot)
	switch {
	case !ok:
		return false, d.in.short()
	case e&special != 0:
		return false, d.corrupt()
	}
	back := d.drop(e)
	if int64(back) > d.out.total()-d.begin {
		return false, d.corrupt()
	}
	match(d.out.buf, d.out.end, back, length)
	d.out.end += length
	return false, nil
}

// lookup returns the entry for the next bits, following links, and reports whether there are enough
// bits for it.
func (d *decoder) lookup(table []uint32, root int) (uint32, bool) {
	e := table[d.in.bits&(1<<root-1)]
	if e&link != 0 && uint(root) <= d.in.n {
		d.drop(e)
		e = table[int(e>>value)+int(d.in.bits&(1<<(e>>8&15)-1))]
	}
	return e, uint(e&63) <= d.in.n
}

// drop consumes the bits of an entry and returns its value, including extra bits.
func (d *decoder) drop(e uint32) int {
	v := int(e>>value) + int(d.in.bits&(1<<(e&63)-1)>>(e>>8&15))
	d.in.bits >>= e & 63
	d.in.n -= uint(e & 63)
	return v
}
