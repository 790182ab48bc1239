package inflate_test

import (
	"bytes"
	stdflate "compress/flate"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten/layer/inflate"
)

var _ = Describe("A stream that is none", func() {
	// far is what stands behind, so that the fast loop meets what is wrong, too.
	far := strings.Repeat("\x00", 100)
	read := func(blob []byte) ([]byte, error) { return io.ReadAll(inflate.NewCutter(bytes.NewReader(blob))) }

	fixedBlockOf := func(write func(b *blocks, lit, dist code)) func(*blocks) {
		return func(b *blocks) {
			lit, dist := fixedCodes()
			b.head(true, 1)
			write(b, lit, dist)
		}
	}
	head := func(lits, dists, metas uint) func(*blocks) {
		return func(b *blocks) {
			b.head(true, 2)
			b.put(lits-257, 5)
			b.put(dists-1, 5)
			b.put(metas-4, 4)
		}
	}
	// lengths is a dynamic block with these lengths of codes.
	lengths := func(lit, dist []int, symbols ...int) func(*blocks) {
		return func(b *blocks) {
			l, d := newCode(lit), newCode(dist)
			b.dynamic(true, l, d)
			for _, s := range symbols {
				b.symbol(l, s)
			}
		}
	}
	// with has some lengths other than zero.
	with := func(n int, some map[int]int) []int {
		s := make([]int, n)
		for symbol, l := range some {
			s[symbol] = l
		}
		return s
	}
	// repeated is a dynamic block whose code of lengths knows repeats only: 16
	// is a zero, 18 a one.
	repeated := func(words ...[2]uint) func(*blocks) {
		return func(b *blocks) {
			head(257, 1, 4)(b)
			for _, l := range []uint{1, 0, 1, 0} {
				b.put(l, 3)
			}
			for _, w := range words {
				b.put(w[0], 1)
				b.put(w[1], []int{2, 7}[w[0]])
			}
		}
	}

	DescribeTable("is refused, as RFC 1951 says", func(write func(*blocks)) {
		var b blocks
		write(&b)
		var errs []error
		for _, behind := range []string{"\x00\x00\x00\x00", far} {
			deflate := append(bytes.Clone(b.out), behind...)
			_, stdErr := io.Copy(io.Discard, stdflate.NewReader(bytes.NewReader(deflate)))
			Expect(stdErr).To(BeAssignableToTypeOf(stdflate.CorruptInputError(0)))
			_, err := read(append(header(), deflate...))
			Expect(err).To(BeAssignableToTypeOf(stdflate.CorruptInputError(0)))
			errs = append(errs, err)
		}
		Expect(errs[0]).To(Equal(errs[1]), "the place depends on what follows")
	},
		Entry("a block of the third kind", func(b *blocks) { b.head(true, 3) }),
		Entry("a stored block of two lengths", func(b *blocks) { b.head(true, 0); b.out = append(b.out, 1, 0, 0xff, 0xff) }),
		Entry("a match with nothing before", fixedBlockOf(func(b *blocks, lit, dist code) { b.symbol(lit, 257); b.symbol(dist, 0) })),
		Entry("a match from too far", fixedBlockOf(func(b *blocks, lit, dist code) { b.symbol(lit, 1); b.symbol(lit, 257); b.symbol(dist, 1) })),
		Entry("a length that is not defined", fixedBlockOf(func(b *blocks, lit, _ code) { b.symbol(lit, 286) })),
		Entry("a distance that is not defined", fixedBlockOf(func(b *blocks, lit, dist code) { b.symbol(lit, 1); b.symbol(lit, 257); b.symbol(dist, 30) })),
		Entry("287 lengths", head(287, 1, 4)),
		Entry("31 distances", head(257, 31, 4)),
		Entry("a code of lengths with too many codes", func(b *blocks) { head(257, 1, 4)(b); b.put(0o1111, 12) }),
		Entry("a code of lengths with too few codes", func(b *blocks) { head(257, 1, 4)(b); b.put(0o0022, 12) }),
		Entry("a code of literals with too many codes", lengths(with(257, map[int]int{0: 1, 1: 1, 256: 1}), []int{1})),
		Entry("a code of literals with too few codes", lengths(with(257, map[int]int{0: 2, 256: 2}), []int{1})),
		Entry("a code of distances with too many codes", lengths(with(257, map[int]int{256: 1}), []int{1, 1, 1}, 256)),
		Entry("a code of distances with too few codes", lengths(with(257, map[int]int{256: 1}), []int{2}, 256)),
		Entry("the other half of a code of one distance", func(b *blocks) {
			lengths(with(258, map[int]int{'x': 2, 256: 2, 257: 1}), []int{1}, 'x', 257)(b)
			b.put(1, 1)
		}),
		Entry("a match without any distance", lengths(with(258, map[int]int{'x': 2, 256: 2, 257: 1}), []int{0}, 'x', 257)),
		Entry("a block without any literal", lengths(make([]int, 257), []int{1})),
		Entry("a repeat with nothing before", repeated([2]uint{0, 0})),
		Entry("a repeat beyond the end", repeated([2]uint{1, 127}, [2]uint{1, 127})),
	)

	DescribeTable("is refused, as RFC 1952 and the standard library say", func(blob []byte, want error) {
		_, stdErr := stdRead(blob)
		Expect(stdErr).To(Equal(want))
		_, err := read(blob)
		Expect(err).To(Equal(want))
	},
		Entry("no gzip", []byte("something else"), gzip.ErrHeader),
		Entry("another compression", changed(header(), 2), gzip.ErrHeader),
		Entry("a checksum of the header", changed(fullHeader(GinkgoTB(), nil), 10+2+700+5+8), gzip.ErrHeader),
		Entry("a name without an end", named(600), gzip.ErrHeader),
		Entry("a name that the standard library finds too long", named(512), gzip.ErrHeader),
	)

	It("takes names that the standard library takes", func() {
		blob := named(511)
		Expect(stdRead(blob)).To(BeEmpty())
		Expect(read(blob)).To(BeEmpty())
	})

	It("is one that ends too early, wherever it ends", func() {
		content := mixture()
		for _, blob := range [][]byte{
			fullHeader(GinkgoTB(), content[len(content)-2000:]), compressed(GinkgoTB(), stdWriter(0), content[:500]),
			compressed(GinkgoTB(), stdWriter(6), []byte("flatten, flatten, flatten")),
		} {
			want, err := stdRead(blob)
			Expect(err).NotTo(HaveOccurred())
			for n := 1; n < len(blob); n++ {
				got, err := read(blob[:n])
				Expect(err).To(Equal(io.ErrUnexpectedEOF))
				Expect(bytes.HasPrefix(want, got)).To(BeTrue())
			}
		}
	})
})

// named is a member whose name has n bytes and a zero.
func named(n int) []byte {
	blob := compressed(GinkgoTB(), stdWriter(6), nil)
	blob[3] = 8
	return append(append(bytes.Clone(blob[:10]), append(bytes.Repeat([]byte("n"), n), 0)...), blob[10:]...)
}
