package inflate_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten/layer/inflate"
)

var _ = Describe("the loop in assembly", func() {
	// inflated returns the content of a stream up to its error, and the error.
	inflated := func(blob []byte) (string, string) {
		content, err := io.ReadAll(inflate.NewCutter(bytes.NewReader(blob)))
		if err != nil {
			return string(content), err.Error()
		}
		return string(content), ""
	}
	same := func(blob []byte, what string) {
		GinkgoHelper()
		got, gotErr := inflated(blob)
		var want, wantErr string
		inflate.WithoutLoop(func() { want, wantErr = inflated(blob) })
		Expect(gotErr).To(Equal(wantErr), what)
		Expect(got == want).To(BeTrue(), "%s: %d bytes, not %d, or others", what, len(got), len(want))
	}

	It("gives what the loop in Go gives, with the same errors at the same places", func() {
		rnd := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 7))
		for _, s := range samples(GinkgoTB()) {
			same(s.blob, s.name)
			for range min(40, len(s.blob)) {
				damaged := slices.Clone(s.blob)
				for range 1 + rnd.IntN(3) {
					damaged[rnd.IntN(len(damaged))] ^= 1 << rnd.IntN(8)
				}
				same(damaged, s.name+", damaged")
				same(s.blob[:rnd.IntN(len(s.blob))], s.name+", cut off")
			}
		}
	})

	It("gives what the loop in Go gives where blocks are random", func() {
		for seed := range uint64(300) {
			blob := append(slices.Clone(compressed(GinkgoTB(), stdWriter(6), nil)[:10]), random(rand.New(rand.NewPCG(seed, 8)))...)
			same(blob, "random blocks")
			same(append(blob, make([]byte, 100)...), "random blocks with bytes behind them")
		}
	})

	It("gives what the loop in Go gives for an executable", func() {
		content := executable(GinkgoTB(), 8<<20)
		for level := 1; level <= 9; level++ {
			same(compressed(GinkgoTB(), stdWriter(level), content[:1<<20]), "the standard library's")
			same(compressed(GinkgoTB(), klauspostWriter(level), content), "klauspost's")
		}
	})
})
