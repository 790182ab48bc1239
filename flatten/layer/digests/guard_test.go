//go:build linux && amd64 && !purego

package digests_test

import (
	"crypto/sha256"
	"hash"
	"math/rand/v2"
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"

	"laminate/flatten/layer/digests"
)

const page = 4096

// guarded is memory between two pages that nobody may access.
func guarded(tb testing.TB, pages int) []byte {
	tb.Helper()
	if !digests.HasBlocks() {
		tb.Skip("this processor has no SHA instructions")
	}
	all, err := unix.Mmap(-1, 0, (pages+2)*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Munmap(all) })
	for _, guard := range [][]byte{all[:page], all[(pages+1)*page:]} {
		if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
			tb.Fatal(err)
		}
	}
	return all[page:][: pages*page : pages*page]
}

// checkBlocks writes p to two hashes that have as many blocks already, and compares their digests
// with those of the standard library.
func checkBlocks(t *testing.T, p []byte, before, other int) {
	t.Helper()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	a, b, wantA, wantB := sha256.New(), sha256.New(), sha256.New(), sha256.New()
	for _, h := range []hash.Hash{a, wantA} {
		h.Write(make([]byte, 64*before))
	}
	for _, h := range []hash.Hash{b, wantB} {
		h.Write(make([]byte, 64*other))
	}
	n := digests.Shared(a, b, p)
	if n != len(p)/64*64 {
		t.Fatalf("%d of %d bytes are written", n, len(p))
	}
	for _, h := range []hash.Hash{a, b} {
		h.Write(p[n:])
	}
	for _, h := range []hash.Hash{wantA, wantB} {
		h.Write(p)
	}
	if [32]byte(a.Sum(nil)) != [32]byte(wantA.Sum(nil)) || [32]byte(b.Sum(nil)) != [32]byte(wantB.Sum(nil)) {
		t.Fatalf("%d bytes after %d and %d blocks: the digests differ", len(p), before, other)
	}
}

// TestBlocksAtTheEdge hashes what ends, or begins, where memory does, with lengths around those of
// one block, two, and many, at any alignment.
func TestBlocksAtTheEdge(t *testing.T) {
	all := guarded(t, 4)
	copy(all, random(len(all)))
	for n := range len(all) + 1 {
		if n > 400 && n%64 > 2 && n%64 < 62 {
			continue
		}
		checkBlocks(t, all[len(all)-n:], n%3, n%2)
		checkBlocks(t, all[:n:n], 0, n%5)
	}
}

// FuzzBlocks is TestBlocksAtTheEdge with any content and alignment.
func FuzzBlocks(f *testing.F) {
	all := guarded(f, 16)
	f.Add(random(300), uint64(1))
	f.Fuzz(func(t *testing.T, content []byte, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		for i := range all {
			all[i] = byte(rnd.Uint32())
		}
		n := min(len(content), len(all))
		copy(all[len(all)-n:], content)
		n = rnd.IntN(len(all) + 1)
		checkBlocks(t, all[len(all)-n:], rnd.IntN(4), rnd.IntN(4))
		at := rnd.IntN(n + 1)
		checkBlocks(t, all[at:n:n], rnd.IntN(4), rnd.IntN(4))
	})
}
