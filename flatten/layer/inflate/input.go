package inflate

import (
	"io"
)

const (
	// inputSize is the least compressed data that is read at once.
	inputSize = 64 << 10
	// wanted is how many bits fill provides: at least the longest length code and distance code
	// with their extra bits (15+5+15+13).
	wanted = 56
)

// input is a stream of bits over a stream of bytes. The buffer keeps everything from position held
// on; held is never after the next bit.
type input struct {
	r    io.Reader
	buf  []byte
	base int64 // position of buf[0] in the stream
	pos  int   // index in buf of the first byte that is not in bits
	held int64

	bits uint64 // the next n bits; above them zeros, or the bits that follow in buf
	n    uint

	err error // of r; nothing is read after it
}

// offset returns the position of the next bit in the stream.
func (in *input) offset() int64 { return (in.base+int64(in.pos))*8 - int64(in.n) }

// more reads on, and reports whether it read anything.
func (in *input) more() bool {
	if in.err != nil {
		return false
	}
	if cap(in.buf)-len(in.buf) < inputSize {
		in.slide()
	}
	for range 100 {
		var k int
		k, in.err = in.r.Read(in.buf[len(in.buf):cap(in.buf)])
		if k > 0 || in.err != nil {
			in.buf = in.buf[:len(in.buf)+k]
			return k > 0
		}
	}
	in.err = io.ErrNoProgress
	return false
}

// slide drops what is not held, and grows the buffer if less than a quarter of it is free then, so
// that no byte is moved often.
func (in *input) slide() {
	drop := int(in.held - in.base)
	rest := in.buf[drop:]
	into := in.buf[:0]
	if free := cap(in.buf) - len(rest); free < max(inputSize, cap(in.buf)/4) {
		into = make([]byte, 0, max(4*inputSize, 2*cap(in.buf)))
	}
	in.buf = append(into, rest...)
	in.base += int64(drop)
	in.pos -= drop
}

// fill makes at least wanted bits available, or all that are left.
func (in *input) fill() {
	for in.n < wanted && (in.pos < len(in.buf) || in.more()) {
		in.bits |= uint64(in.buf[in.pos]) << in.n
		in.pos++
		in.n += 8
	}
}

// take returns k bits; k is at most 16.
func (in *input) take(k uint) (int, error) {
	if in.n < k {
		if in.fill(); in.n < k {
			return 0, in.short()
		}
	}
	v := in.bits & (1<<k - 1)
	in.bits >>= k
	in.n -= k
	return int(v), nil
}

// short returns the error for missing bits.
func (in *input) short() error { return noEOF(in.err) }

// align drops the rest of the current byte, and puts whole bytes back, to continue with bytes.
func (in *input) align() {
	in.pos -= int(in.n / 8)
	in.bits, in.n = 0, 0
}

// bytes reads whole bytes into p, after align. Like io.ReadFull, it returns io.EOF only if there
// are none.
func (in *input) bytes(p []byte) error {
	for done := 0; done < len(p); {
		if in.pos == len(in.buf) && !in.more() {
			if done == 0 {
				return in.err
			}
			return in.short()
		}
		k := copy(p[done:], in.buf[in.pos:])
		in.pos += k
		done += k
	}
	return nil
}

// since returns the bytes between two held positions.
func (in *input) since(from, to int64) []byte {
	return in.buf[from-in.base : to-in.base]
}
