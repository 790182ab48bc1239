package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
)

var _ = Describe("copying a piece", func() {
	DescribeTable("ends where more follows than may be held", func(c layer.Compression, size int, chunk func([]byte) []byte) {
		m := of(a1, noise("f", 2<<20, 1))
		lone := build(c, m)
		blob := bytes.NewBuffer(blobOf(lone))
		more := chunk(make([]byte, size))
		for range max(64, 1<<18/size) {
			blob.Write(more)
		}
		again := spliced(m, c, blob.Bytes(), lone.Pieces[0].ContentID, lone.Pieces[0].Length)
		anew := 0
		again.Piece = pieceFunc(func(ctx context.Context, w io.Writer) error {
			anew++
			return m.Piece.WriteEntries(ctx, w)
		})
		Expect(build(c, again).Record()).To(Equal(lone.Record()))
		Expect(anew).To(Equal(1))
	},
		Entry("gzip", layer.Gzip, 1<<20, func(p []byte) []byte {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, err := z.Write(p)
			Expect(errors.Join(err, z.Close())).To(Succeed())
			return b.Bytes()
		}),
		Entry("zstd", layer.Zstd, 1<<20, zstdFrame),
		Entry("zstd, in frames of one byte", layer.Zstd, 1, zstdFrame),
	)

	It("ends at the first entry that is not as it has to be, so that no other piece is read again for it", func() {
		var members []layer.Member
		var opened atomic.Int32
		for i, r := range []flatten.Ref{a1, c1, b1} {
			m := of(r, noise("f", 3<<20, uint64(i)))
			lone := build(layer.Gzip, m)
			s := spliced(m, layer.Gzip, stdGzip(relative(tarOfLayer(lone)), 1), lone.Pieces[0].ContentID, 0)
			s.Piece = m.Piece
			open := s.Splice.Open
			s.Splice.Open = func(ctx context.Context) (io.ReadCloser, error) { opened.Add(1); return open(ctx) }
			members = append(members, s)
			Expect(build(layer.Gzip, s).Record()).To(Equal(lone.Record()))
		}
		opened.Store(0)
		build(layer.Gzip, members...)
		Expect(opened.Load()).To(BeEquivalentTo(3))
	})
})

func zstdFrame(p []byte) []byte {
	GinkgoHelper()
	z, err := zstd.NewWriter(nil)
	Expect(err).NotTo(HaveOccurred())
	defer z.Close()
	return z.EncodeAll(p, nil)
}

// relative returns a tar with relative names, as many tools write them.
func relative(content []byte) []byte {
	GinkgoHelper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		Expect(err).NotTo(HaveOccurred())
		h.Name = strings.TrimPrefix(h.Name, "/")
		Expect(w.WriteHeader(h)).To(Succeed())
		_, err = io.Copy(w, r)
		Expect(err).NotTo(HaveOccurred())
	}
	Expect(w.Close()).To(Succeed())
	return b.Bytes()
}
