package layer_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
)

// No input makes the scanner drop, move or change a byte, so what it finds is made up here.
var _ = Describe("what a check reads back", func() {
	x, y := flatten.Ref{ID: "x", Version: "1"}, flatten.Ref{ID: "y", Version: "1"}
	xs, ys := strings.Repeat("x", 3000), strings.Repeat("y", 2000)

	DescribeTable("is compared byte by byte", func(found func(begin func(flatten.Ref), write func(string)), same bool) {
		Expect(layer.ReadBack([]layer.Member{{Ref: x}, {Ref: y}}, []string{xs, ys}, found)).To(Equal(same))
	},
		Entry("the same", func(begin func(flatten.Ref), write func(string)) {
			begin(x)
			write(xs)
			begin(y)
			write(ys)
		}, true),
		Entry("the same in parts", func(begin func(flatten.Ref), write func(string)) {
			begin(x)
			for i := 0; i < len(xs); i += 300 {
				write(xs[i : i+300])
			}
			begin(y)
			write(ys[:1])
			write("")
			write(ys[1:])
		}, true),
		Entry("one byte differs", func(begin func(flatten.Ref), write func(string)) {
			begin(x)
			write(xs[:2999] + "z")
			begin(y)
			write(ys)
		}, false),
		Entry("one byte is missing", func(begin func(flatten.Ref), write func(string)) {
			begin(x)
			write(xs)
			begin(y)
			write(ys[1:])
		}, false),
		Entry("a byte of the first is in the second", func(begin func(flatten.Ref), write func(string)) {
			begin(x)
			write(xs[1:])
			begin(y)
			write("x" + ys)
		}, false),
		Entry("one byte more", func(begin func(flatten.Ref), write func(string)) {
			begin(x)
			write(xs)
			begin(y)
			write(ys + "y")
		}, false),
		Entry("another order", func(begin func(flatten.Ref), write func(string)) {
			begin(y)
			write(ys)
			begin(x)
			write(xs)
		}, false),
		Entry("another ref", func(begin func(flatten.Ref), write func(string)) {
			begin(x)
			write(xs)
			begin(flatten.Ref{ID: "y", Version: "2"})
			write(ys)
		}, false),
		Entry("a piece is missing", func(begin func(flatten.Ref), write func(string)) {
			begin(x)
			write(xs)
		}, false),
		Entry("a piece more", func(begin func(flatten.Ref), write func(string)) {
			begin(x)
			write(xs)
			begin(y)
			write(ys)
			begin(flatten.Ref{ID: "z", Version: "1"})
		}, false),
		Entry("a piece in two parts", func(begin func(flatten.Ref), write func(string)) {
			begin(x)
			write(xs[:1000])
			begin(y)
			write(ys)
			begin(x)
			write(xs[1000:])
		}, false),
	)
})
