package flatten

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"
)

// own collects the refs below the top-level refs, and their owner sets. There must be no cycle. It
// follows every entry twice, however many top-level refs lead to it: owner sets are passed down the
// orders as bitsets.
func (e *Expansion) own(w *walk, topLevel []Ref) {
	e.TopLevel = distinct(topLevel)
	for _, top := range e.TopLevel {
		w.down(top)
	}
	e.Refs = append(e.Refs, w.reached...)
	sets := map[Ref]bitset{}
	for _, r := range w.reached {
		sets[r] = newBitset(len(e.TopLevel))
	}
	for i, top := range e.TopLevel {
		sets[top].add(i)
	}
	for _, r := range slices.Backward(w.left) { // parents before children
		for _, child := range w.entries(r) {
			sets[child].addAll(sets[r])
		}
	}
	e.Owners = map[Ref][]Ref{}
	same := map[string][]Ref{}
	for _, r := range w.reached {
		key := sets[r].key()
		owners, known := same[key]
		if !known {
			owners = sets[r].of(e.TopLevel)
			same[key] = owners
		}
		e.Owners[r] = owners
	}
	for _, top := range e.TopLevel {
		if m := w.modules[top]; !m.IsComposite() {
			e.Owners[top] = []Ref{top}
		}
	}
}

// bitset is a set of small numbers.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) add(i int) { b[i/64] |= 1 << (i % 64) }

func (b bitset) addAll(other bitset) {
	for i, word := range other {
		b[i] |= word
	}
}

// key returns a string that is equal for equal sets.
func (b bitset) key() string {
	var key []byte
	for _, word := range b {
		key = binary.LittleEndian.AppendUint64(key, word)
	}
	return string(key)
}

// of returns the refs whose indices are in the set.
func (b bitset) of(refs []Ref) []Ref {
	n := 0
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	in := make([]Ref, 0, n)
	for i, r := range refs {
		if b[i/64]&(1<<(i%64)) != 0 {
			in = append(in, r)
		}
	}
	return in
}

// ownersKey returns a short string that is equal for equal owner sets.
func ownersKey(owners []Ref) string {
	h := sha256.New()
	var line []byte
	for _, r := range owners {
		line = append(append(append(append(line[:0], r.ID...), '@'), r.Version...), '\n')
		h.Write(line)
	}
	return string(h.Sum(nil))
}
