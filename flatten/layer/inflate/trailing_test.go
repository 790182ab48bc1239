package inflate_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten/layer/inflate"
)

var _ = DescribeTable("What follows the last member is counted and named",
	func(behind string, zeros bool, message string) {
		content := mixture()
		two := bytes.Repeat(compressed(GinkgoTB(), stdWriter(6), content), 2)
		blob := slices.Concat(two, []byte(behind))
		for _, r := range []io.Reader{bytes.NewReader(blob), iotest.OneByteReader(bytes.NewReader(blob))} {
			got, err := io.ReadAll(inflate.NewCutter(r))
			Expect(err).To(MatchError(message))
			Expect(err).To(MatchError(gzip.ErrHeader))
			trailing := (*inflate.TrailingError)(nil)
			Expect(errors.As(err, &trailing)).To(BeTrue())
			Expect(*trailing).To(Equal(inflate.TrailingError{Bytes: int64(len(behind)), Zeros: zeros}))
			Expect(bytes.Equal(got, bytes.Repeat(content, 2))).To(BeTrue())
		}
		for _, n := range []int{len(content), len(content)*2 - 1024, len(content) * 2} {
			Expect(checkCut(GinkgoTB(), blob, bytes.Repeat(content, 2), n, several...)).To(
				Equal(checkCut(GinkgoTB(), two, bytes.Repeat(content, 2), n)))
		}
	},
	Entry("one zero", "\x00", true, "invalid gzip stream: 1 zero bytes after its end; cut them off"),
	Entry("the rest of a tape block", strings.Repeat("\x00", 7000), true, "invalid gzip stream: 7000 zero bytes after its end; cut them off"),
	Entry("more than is held", strings.Repeat("\x00", 5<<20), true, "invalid gzip stream: 5242880 zero bytes after its end; cut them off"),
	Entry("garbage", "something else", false, "invalid gzip stream: 14 bytes after its end that are not gzip; cut them off"),
	Entry("zeros and garbage", strings.Repeat("\x00", 100_000)+"x", false, "invalid gzip stream: 100001 bytes after its end that are not gzip; cut them off"),
	Entry("half a magic number", "\x1fx", false, "invalid gzip stream: 2 bytes after its end that are not gzip; cut them off"),
)

var _ = Describe("A stream that does not end cleanly", func() {
	It("tells the error of its source rather than of what follows", func() {
		broken := errors.New("broken")
		blob := append(compressed(GinkgoTB(), stdWriter(6), mixture()), 0, 0, 0)
		_, err := io.ReadAll(inflate.NewCutter(io.MultiReader(bytes.NewReader(blob), iotest.ErrReader(broken))))
		Expect(err).To(Equal(broken))
	})

	It("may end in a header", func() {
		blob := append(compressed(GinkgoTB(), stdWriter(6), mixture()), 0x1f)
		_, err := io.ReadAll(inflate.NewCutter(bytes.NewReader(blob)))
		Expect(err).To(Equal(io.ErrUnexpectedEOF))
	})

	It("is no gzip stream where it begins with zeros", func() {
		_, err := io.ReadAll(inflate.NewCutter(bytes.NewReader(make([]byte, 512))))
		Expect(err).To(Equal(gzip.ErrHeader))
	})
})
