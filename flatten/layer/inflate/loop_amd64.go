//go:build !purego

package inflate

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// loopInput is how many bytes of input loop needs: it reads 8 bytes three times per round.
const loopInput = 32

// loopState is the state of the decoder, in pointers. They are into the buffers of the decoder,
// which the caller keeps.
type loopState struct {
	in, last   unsafe.Pointer
	bits       uint64
	n          uint64
	out, limit unsafe.Pointer
	begin      unsafe.Pointer
	lit        *litTable
	dist       *distTable
	result     uint64
}

// The results of loop.
const (
	loopMore = iota // the limit of the output, or the end of the input, is reached
	loopDone        // the block ends
	loopBad         // the data is corrupt
)

// loop is the loop of [decoder.fast] in assembly: three literals, or a length and a distance, in
// each round, at most 258+3 bytes and 15 in excess. It looks the next symbol up while the match is
// copied.
//
//go:noescape
func loop(s *loopState)

var hasLoop = cpu.X86.HasBMI2

// loop decodes while there is plenty of input, and reports whether the block is done.
func (d *decoder) loop(limit int) (done bool, err error) {
	in, out := d.in.buf, d.out.buf
	begin := int(max(0, d.begin-d.out.base))
	last := len(in) - loopInput
	if !hasLoop || d.in.pos > last || d.out.end >= limit || len(out) < limit+slack || begin > d.out.end {
		return false, nil
	}
	s := loopState{
		in: unsafe.Pointer(&in[d.in.pos]), last: unsafe.Pointer(&in[last]),
		bits: d.in.bits, n: uint64(d.in.n),
		out: unsafe.Pointer(&out[d.out.end]), limit: unsafe.Pointer(&out[limit]), begin: unsafe.Pointer(&out[begin]),
		lit: d.lit, dist: d.dist,
	}
	loop(&s)
	d.in.pos = int(uintptr(s.in) - uintptr(unsafe.Pointer(&in[0])))
	d.in.bits, d.in.n = s.bits, uint(s.n)
	d.out.end = int(uintptr(s.out) - uintptr(unsafe.Pointer(&out[0])))
	if s.result == loopBad {
		return false, d.corrupt()
	}
	return s.result == loopDone, nil
}
