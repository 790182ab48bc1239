//go:build !purego

package inflate

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// loopInput is how many bytes of input loop needs: a round reads 8 bytes twice at most, and goes on
// at most 7 between, so that it ends 15 bytes after its begin at the latest.
const loopInput = 32

// loopState is the state of the decoder, in pointers. They are into the buffers of the decoder, and
// keep them. Bits above the lowest n are those that follow in the input, or zeros; n is at most 63.
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

// loop is the loop of [decoder.fast] in assembly: three literals, or up to two and a match, in each
// round. It looks the next symbol up while the match is copied.
//
// Nothing in the stream is trusted. That every access is within the buffers and tables rests on
// these, which do not depend on the bits being right:
//
//   - A round begins only if in is not after last, loopInput bytes before the end of the input, and
//     out is before limit. It writes at most 2 literals, a match of 258 bytes, and 15 in excess:
//     274 bytes behind limit, which is less than slack.
//   - A match begins at begin at the earliest: its distance is compared. It is not 0, and its length
//     is from 3 to 258, as no entry says otherwise.
//   - A table is looked up with as many bits as its root has, and then as a link says, which lies
//     within the table. build fills every entry that can be reached so, whatever the code is; it
//     refuses what it cannot fill, so that nothing of an earlier block is left.
//   - Entries have zeros in bits 6, 7 and 12, as the instructions use more bits of a count than 6.
//
// Each round decodes a symbol, at least one byte of content, or returns; so it ends. The pointers
// stay within the buffers, and the state is on the stack of the caller: the garbage collector sees
// valid pointers at any time, and nothing needs a write barrier.
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
