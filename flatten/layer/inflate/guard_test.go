//go:build linux && amd64 && !purego

package inflate_test

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"laminate/flatten/layer/inflate"
)

const page = 4096

// guarded is memory between two pages that nobody may access.
func guarded(tb testing.TB, pages int) []byte {
	tb.Helper()
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

// edges are buffers between guards.
type edges struct{ in, out, small []byte }

func newEdges(tb testing.TB) edges {
	if !inflate.HasLoop() {
		tb.Skip("this processor has no BMI2")
	}
	return edges{guarded(tb, 64), guarded(tb, 25), guarded(tb, 1)}
}

// check decodes a stream at the edges of memory: its last byte is the last before a guard, or its
// first one the first behind one, and so is the output, by one or both of its ends.
func (e edges) check(rnd *rand.Rand, stream []byte) error {
	in := e.in[max(0, len(e.in)-len(stream)):]
	if rnd.IntN(4) == 0 {
		in = e.in[:len(in):len(in)]
	}
	out := [][]byte{e.out, e.out, e.out[rnd.IntN(2000):], e.small, e.small[rnd.IntN(len(e.small)):]}[rnd.IntN(5)]
	begin := min(len(out), rnd.IntN(2)*rnd.IntN(3000))
	copy(in, stream)
	return e.lockstep(rnd, (*inflate.Decoder).Loop, in, out, begin)
}

// lockstep is lockstep, to which a fault is an error.
func (e edges) lockstep(rnd *rand.Rand, fast loop, in, out []byte, begin int) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%v", fault)
		}
		if err != nil {
			err = fmt.Errorf("%d bytes into %d after %d: %w\n%s", len(in), len(out), begin, err, debug.Stack())
		}
	}()
	return lockstep(rnd, fast, in, out, begin)
}

var _ = Describe("the loop in assembly, at the edge of memory", func() {
	It("is as the loops in Go are, and touches nothing beyond", func() {
		e := newEdges(GinkgoTB())
		rnd := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 9))
		for _, s := range samples(GinkgoTB()) {
			stream := s.blob[min(10, len(s.blob)):]
			for range 2 {
				Expect(e.check(rnd, stream)).To(Succeed(), s.name)
			}
		}
		for i := range 300 {
			seed := rnd.Uint64()
			Expect(e.check(rnd, tough(rand.New(rand.NewPCG(seed, 0)), i%2 == 0))).To(Succeed(), "tough %d", seed)
		}
	})

	It("is so with any little input, and any little output", func() {
		e := newEdges(GinkgoTB())
		rnd := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 10))
		for range 20 {
			stream := little(rnd)
			for n := range min(len(stream), 200) {
				Expect(e.check(rnd, stream[:n])).To(Succeed())
				in, out := e.in[len(e.in)-len(stream):], e.small[len(e.small)-min(len(e.small), inflate.Slack+n):]
				copy(in, stream)
				Expect(e.lockstep(rnd, (*inflate.Decoder).Loop, in, out, rnd.IntN(n+1))).To(Succeed())
			}
		}
	})

	It("writes no farther beyond the limit than there is slack", func() {
		e := newEdges(GinkgoTB())
		rnd := rand.New(rand.NewPCG(1, 2))
		var b blocks
		lit, dist := fixedCodes()
		b.head(true, 1)
		for range 42 {
			b.symbol(lit, 'x')
		}
		for range 200 { // two literals and 257 bytes, which take 17 copies of 16
			b.symbol(lit, 'y')
			b.symbol(lit, 'z')
			b.symbol(lit, 284)
			b.put(30, 5)
			b.symbol(dist, 8) // 17 back
			b.put(0, 3)
		}
		in := e.in[len(e.in)-len(b.out):]
		copy(in, b.out)
		for n := range 1000 {
			out := e.small[len(e.small)-inflate.Slack-n:]
			Expect(e.lockstep(rnd, (*inflate.Decoder).Loop, in, out, 0)).To(Succeed())
		}
	})

	It("takes no symbol that is not defined", func() {
		e := newEdges(GinkgoTB())
		rnd := rand.New(rand.NewPCG(1, 3))
		for _, undefined := range [][2]int{{286, 0}, {287, 0}, {257, 30}, {257, 31}} {
			for n := range 20 {
				var b blocks
				lit, dist := fixedCodes()
				b.head(true, 1)
				for range n + 1 {
					b.symbol(lit, 'x')
				}
				b.symbol(lit, undefined[0])
				b.symbol(dist, undefined[1])
				stream := append(b.out, make([]byte, 60)...)
				in := e.in[len(e.in)-len(stream):]
				copy(in, stream)
				Expect(e.lockstep(rnd, (*inflate.Decoder).Loop, in, e.out, 0)).To(Succeed())
			}
		}
	})
})

// little is a block of fixed codes: much is in few bytes.
func little(rnd *rand.Rand) []byte {
	var b blocks
	lit, dist := fixedCodes()
	b.head(true, 1)
	for len(b.out) < 300 {
		b.symbol(lit, rnd.IntN(256))
		b.made++
		for range rnd.IntN(3) {
			b.toughMatch(rnd, lit, dist, false)
		}
	}
	b.symbol(lit, 256)
	return b.out
}

// Whatever a stream is, the loops in assembly and in Go give the same at every return, and access
// nothing beyond their buffers.
func FuzzLoop(f *testing.F) {
	e := newEdges(f)
	for _, s := range samples(f) {
		f.Add(s.blob[min(10, len(s.blob)):], uint64(len(s.blob)))
	}
	for seed := range uint64(60) {
		f.Add(tough(rand.New(rand.NewPCG(seed, 0)), seed%2 == 0), seed)
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		for _, stream := range [][]byte{stream, tough(rnd, rnd.IntN(3) > 0), slices.Concat(stream, make([]byte, 40))} {
			if err := e.check(rnd, stream); err != nil {
				t.Fatal(err)
			}
			if err := e.lockstep(rnd, (*inflate.Decoder).Fast, stream, e.out, 0); err != nil {
				t.Fatal(err)
			}
		}
	})
}
