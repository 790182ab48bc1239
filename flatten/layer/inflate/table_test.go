package inflate_test

import (
	"math/rand/v2"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten/layer/inflate"
)

var _ = Describe("a table", func() {
	// check checks what the loops rely on, and reports whether there is such a code.
	check := func(lengths []int, distances bool) bool {
		GinkgoHelper()
		short := make([]uint8, len(lengths))
		for i, l := range lengths {
			short[i] = uint8(l)
		}
		valid, err := inflate.CheckTable(short, distances)
		Expect(err).NotTo(HaveOccurred(), "%v", lengths)
		return valid
	}

	It("has no entry that a stream can reach from another code, or beyond its end", func() {
		rnd := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 11))
		lit, dist := fixedCodes()
		Expect(check(lit.lengths, false)).To(BeTrue())
		Expect(check(dist.lengths, true)).To(BeTrue())
		refused := 0
		for range 2000 {
			lit, dist := toughCode(rnd, 286, 256), toughCode(rnd, 30, 29)
			Expect(check(lit.lengths, false)).To(BeTrue())
			Expect(check(dist.lengths, true)).To(BeTrue())
			for _, lengths := range [][]int{lit.lengths, dist.lengths} {
				lengths[rnd.IntN(len(lengths))] = rnd.IntN(16)
				if !check(lengths, len(lengths) == 30) {
					refused++
				}
			}
		}
		Expect(refused).To(BeNumerically(">", 100))
	})

	It("is full where the code is empty, or half of one", func() {
		for n, distances := range map[int]bool{286: false, 30: true} {
			Expect(check(make([]int, n), distances)).To(BeTrue())
			for i := range n {
				lengths := make([]int, n)
				lengths[i] = 1
				Expect(check(lengths, distances)).To(BeTrue())
				lengths[i] = 2
				Expect(check(lengths, distances)).To(BeFalse())
			}
		}
	})

	It("has room for the most tables that there can be behind its root", func() {
		// Behind one prefix are codes of up to 15 bits, so that all tables are for these; behind the
		// others are two codes. The short codes, each of another length, are as few as can be.
		lits := slices.Concat([]int{1, 2, 3, 5, 6, 7, 9, 10, 11}, bytesOf(2*136, 12), []int{12, 13, 14, 15, 15})
		Expect(lits).To(HaveLen(286))
		Expect(check(lits, false)).To(BeTrue())
		dists := slices.Concat([]int{1, 2, 3, 4, 5}, bytesOf(2*7, 9), []int{9, 10, 11, 12, 13, 14, 15, 15})
		Expect(check(dists, true)).To(BeTrue())
	})
})
