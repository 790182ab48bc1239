package layer_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/flatten/layer"
)

// openFiles returns the number of files that this process has open.
func openFiles() int {
	n, ok := fixtures.OpenFiles()
	if !ok {
		Skip("there is no /proc here")
	}
	return n
}

// allocated reports how many bytes were allocated while something was done.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

var _ = Describe("a spool of many short streams", Serial, func() {
	fill := func() (*layer.Spool, []layer.Stretch) {
		GinkgoHelper()
		s, err := layer.NewSpool(GinkgoT().TempDir())
		Expect(err).NotTo(HaveOccurred())
		var all []layer.Stretch
		for i := range 40 {
			fmt.Fprintf(s, "stream %d", i)
			at, err := s.End()
			Expect(err).NotTo(HaveOccurred())
			all = append(all, at)
		}
		Expect(s.Close()).To(Succeed())
		return s, all
	}

	It("makes no compressor and no decompressor for each", func() {
		// Longer than a block, or else nothing of a window is ever made.
		content := []byte(verse(200_000))
		buf := make([]byte, len(content))
		once := func(streams int) {
			s, err := layer.NewSpool(GinkgoT().TempDir())
			Expect(err).NotTo(HaveOccurred())
			for range streams {
				_, err := s.Write(content)
				Expect(err).NotTo(HaveOccurred())
				at, err := s.End()
				Expect(err).NotTo(HaveOccurred())
				r, err := s.Open(at)
				Expect(err).NotTo(HaveOccurred())
				_, err = io.ReadFull(r, buf)
				Expect(err).NotTo(HaveOccurred())
				Expect(bytes.Equal(buf, content)).To(BeTrue())
				Expect(r.Close()).To(Succeed())
			}
			Expect(s.Close()).To(Succeed())
		}
		Expect(allocated(func() { once(200) })/200).To(BeNumerically("<", 512<<10), "bytes per stream")
	})

	It("holds a descriptor while a stream is open, and none after", func() {
		before := openFiles()
		s, all := fill()
		Expect(openFiles()).To(Equal(before), "filled")
		var open []io.ReadCloser
		for _, at := range all[:20] {
			r, err := s.Open(at)
			Expect(err).NotTo(HaveOccurred())
			open = append(open, r)
		}
		Expect(openFiles()).To(Equal(before+20), "read")
		for _, r := range open { // not read to their ends
			Expect(r.Close()).To(Succeed())
			_, err := r.Read(make([]byte, 1))
			Expect(err).To(MatchError(os.ErrClosed))
			Expect(r.Close()).To(MatchError(os.ErrClosed))
		}
		Expect(openFiles()).To(Equal(before), "closed")
	})

	It("returns a stream whole after one that was not read to its end", func() {
		s, all := fill()
		for range 3 {
			r, err := s.Open(all[7])
			Expect(err).NotTo(HaveOccurred())
			Expect(r.Read(make([]byte, 3))).To(Equal(3))
			Expect(r.Close()).To(Succeed())
			r, err = s.Open(all[8])
			Expect(err).NotTo(HaveOccurred())
			Expect(io.ReadAll(r)).To(BeEquivalentTo("stream 8"))
			Expect(r.Close()).To(Succeed())
		}
	})
})
