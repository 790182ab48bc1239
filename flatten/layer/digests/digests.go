// Package digests computes two SHA-256 digests of the same bytes at once.
//
// A layer has a digest of its own, and each piece in it has another: two digests of the same bytes
// that begin at different places. Half of the work of SHA-256 is the message schedule, which depends
// on the bytes only; and the SHA instructions of x86 processors have a latency that leaves room for
// a second digest. So the two cost about as much as one.
package digests

import (
	"encoding"
	"encoding/binary"
	"hash"
)

const (
	blockSize = 64
	// The state of a hash of crypto/sha256 as it is marshaled: a name, the eight words, the
	// incomplete block, and the length.
	stateName  = "sha\x03"
	stateSize  = len(stateName) + 8*4 + blockSize + 8
	lengthAt   = stateSize - 8
	worthwhile = 4 << 10 // bytes: for fewer, marshaling costs more than it saves
)

// Write writes p to two hashes of crypto/sha256. The result is that of writing it to each of them.
func Write(a, b hash.Hash, p []byte) {
	if len(p) >= worthwhile {
		p = p[shared(a, b, p):]
	}
	if len(p) < worthwhile {
		a.Write(p)
		b.Write(p)
		return
	}
	done := make(chan struct{})
	go func() {
		b.Write(p)
		close(done)
	}()
	a.Write(p)
	<-done
}

// shared writes the whole blocks of p to both hashes, and returns their length. It returns 0 if it
// cannot: if the processor has no such instructions, or one of the hashes is inside of a block.
func shared(a, b hash.Hash, p []byte) int {
	if !hasBlocks {
		return 0
	}
	var one, other state
	if !one.get(a) || !other.get(b) {
		return 0
	}
	n := len(p) &^ (blockSize - 1)
	blocks(&one.words, &other.words, p[:n])
	if !one.set(a, n) || !other.set(b, n) {
		panic("crypto/sha256 refuses its own state")
	}
	return n
}

// state is the state of a hash between two blocks.
type state struct {
	marshaled [stateSize]byte
	words     [8]uint32
}

// get gets the state of a hash, and reports whether it is between two blocks.
func (s *state) get(h hash.Hash) bool {
	m, ok := h.(encoding.BinaryAppender)
	if !ok {
		return false
	}
	b, err := m.AppendBinary(s.marshaled[:0])
	if err != nil || len(b) != stateSize || string(b[:len(stateName)]) != stateName {
		return false
	}
	copy(s.marshaled[:], b)
	for i := range s.words {
		s.words[i] = binary.BigEndian.Uint32(s.marshaled[len(stateName)+4*i:])
	}
	return binary.BigEndian.Uint64(s.marshaled[lengthAt:])%blockSize == 0
}

// set sets the state of a hash after n more bytes.
func (s *state) set(h hash.Hash, n int) bool {
	for i, w := range s.words {
		binary.BigEndian.PutUint32(s.marshaled[len(stateName)+4*i:], w)
	}
	length := s.marshaled[lengthAt:]
	binary.BigEndian.PutUint64(length, binary.BigEndian.Uint64(length)+uint64(n))
	m, ok := h.(encoding.BinaryUnmarshaler)
	return ok && m.UnmarshalBinary(s.marshaled[:]) == nil
}
