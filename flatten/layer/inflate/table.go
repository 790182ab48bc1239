package inflate

import (
	"math/bits"
	"sync"
)

// A table of a Huffman code is indexed with the next root bits; longer codes link to a subtable
// behind it. The bits of an entry:
//
//	bits 0-5    bits to drop: the code's and the extra ones
//	bits 8-11   bits of the code alone; in a link, those that the next table takes
//	bit 13      the block ends
//	bit 14      a link to a table behind the root
//	bit 15      anything but a literal, length or distance; alone: no such code
//	bits 16-30  the literal, the base of the length or distance, or the place of the table
//	bit 31      a literal
const (
	literal = 1 << 31
	special = 1 << 15
	link    = 1 << 14
	end     = 1 << 13
	value   = 16 // its shift

	maxBits = 15

	litRoot, litCodes   = 11, 288
	distRoot, distCodes = 8, 32
	metaRoot, metaCodes = 7, 19

	// A complete code has at least two codes in each subtable; incomplete codes with subtables are
	// refused.
	litSize  = 1<<litRoot + litCodes/2<<(maxBits-litRoot)
	distSize = 1<<distRoot + distCodes/2<<(maxBits-distRoot)
	metaSize = 1 << metaRoot
)

type (
	litTable  [litSize]uint32
	distTable [distSize]uint32
	metaTable [metaSize]uint32
)

// The meaning of symbols (RFC 1951, section 3.2.5), as entries without codes.
var (
	litEntries  = lits()
	distEntries = dists()
	metaEntries = metas()
)

func lits() (e [litCodes]uint32) {
	for i := range 256 {
		e[i] = literal | uint32(i)<<value
	}
	e[256] = special | end
	base := uint32(3)
	for i := 257; i < 285; i++ {
		extra := uint32(max(0, (i-261)/4))
		e[i] = base<<value | extra
		base += 1 << extra
	}
	e[285] = 258 << value
	e[286], e[287] = special, special
	return e
}

func dists() (e [distCodes]uint32) {
	base := uint32(1)
	for i := range 30 {
		extra := uint32(max(0, (i-2)/2))
		e[i] = base<<value | extra
		base += 1 << extra
	}
	e[30], e[31] = special, special
	return e
}

func metas() (e [metaCodes]uint32) {
	for i := range e {
		e[i] = uint32(i) << value
	}
	return e
}

// fixed are the tables of blocks with fixed codes (section 3.2.6).
var fixed = sync.OnceValue(func() *struct {
	lit  litTable
	dist distTable
} {
	var lit [litCodes]uint8
	for i := range lit {
		switch {
		case i < 144:
			lit[i] = 8
		case i < 256:
			lit[i] = 9
		case i < 280:
			lit[i] = 7
		default:
			lit[i] = 8
		}
	}
	var dist [distCodes]uint8
	for i := range dist {
		dist[i] = 5
	}
	t := new(struct {
		lit  litTable
		dist distTable
	})
	build(t.lit[:], litRoot, lit[:], litEntries[:])
	build(t.dist[:], distRoot, dist[:], distEntries[:])
	return t
})

// build builds the table of the code with these lengths, and reports whether the code is valid:
// complete, or a single symbol of one bit, or empty and unused. The standard library accepts the
// same.
func build(table []uint32, root int, lengths []uint8, entries []uint32) bool {
	var count, first [maxBits + 1]int
	for _, l := range lengths {
		count[l&maxBits]++
	}
	longest, used, left := 0, 0, 1
	for l := 1; l <= maxBits; l++ {
		first[l] = used
		used += count[l]
		left = left<<1 - count[l]
		if count[l] > 0 {
			longest = l
		}
		if left < 0 {
			return false
		}
	}
	if left > 0 && longest > 1 {
		return false
	}
	var sorted [litCodes]uint16 // by length, then by symbol
	for symbol, l := range lengths {
		if l > 0 {
			sorted[first[l&maxBits]] = uint16(symbol)
			first[l&maxBits]++
		}
	}
	fillTable(table, root, longest, &count, sorted[:used], entries)
	return true
}

// fillTable assigns codes to the symbols in order. Codes are in stream order, lowest bit first; so
// the table for one more bit begins with two copies of the table for one bit less.
func fillTable(table []uint32, root, longest int, count *[maxBits + 1]int, sorted []uint16, entries []uint32) {
	table[0] = special | 1
	code := 0
	for l := 1; l <= root; l++ {
		half := 1 << (l - 1)
		copy(table[half:2*half], table[:half])
		for range count[l] {
			table[code] = entries[sorted[0]] + uint32(l)<<8 + uint32(l)
			sorted = sorted[1:]
			code = next(code, l)
		}
	}
	extra := longest - root
	behind, start, prefix := 1<<root, 0, -1
	for l := root + 1; l <= longest; l++ {
		for range count[l] {
			if p := code & (1<<root - 1); p != prefix {
				prefix, start = p, behind
				behind += 1 << extra
				table[p] = special | link | uint32(start)<<value | uint32(extra)<<8 | uint32(root)
			}
			for i := code >> root; i < 1<<extra; i += 1 << (l - root) {
				table[start+i] = entries[sorted[0]] + uint32(l-root)<<8 + uint32(l-root)
			}
			sorted = sorted[1:]
			code = next(code, l)
		}
	}
}

// next adds one to a bit-reversed code of l bits. The result after the last code is undefined.
func next(code, l int) int {
	bit := 1 << (uint(bits.Len(uint(code^(1<<l-1)))) - 1)
	return code&(bit-1) | bit
}
