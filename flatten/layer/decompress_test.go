package layer_test

import (
	"bytes"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten/layer"
)

// windowed is a zstd frame of one block that is not compressed, with a window of
// 1 KiB << exponent (RFC 8878, sections 3.1.1.1.2 and 3.1.1.2).
func windowed(exponent byte, content string) []byte {
	block := len(content)<<3 | 1
	return slices.Concat([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3, byte(block), byte(block >> 8), byte(block >> 16)}, []byte(content))
}

var _ = Describe("decompressing", func() {
	read := func(open func(io.Reader) (io.ReadCloser, error), blob []byte) (string, error) {
		r, err := open(bytes.NewReader(blob))
		if err != nil {
			return "", err
		}
		content, err := io.ReadAll(r)
		Expect(r.Close()).To(Succeed())
		return string(content), err
	}

	It("reads zstd with windows of up to 128 MiB, and names the limit where they are larger", func() {
		for _, open := range []func(io.Reader) (io.ReadCloser, error){layer.Zstd.Decompress, layer.Zstd.DecompressArchive} {
			Expect(read(open, windowed(17, "content"))).To(Equal("content"))
			for _, blob := range [][]byte{windowed(18, "content"), append(windowed(0, ""), windowed(18, "content")...)} {
				_, err := read(open, blob)
				Expect(err).To(MatchError(ContainSubstring("unsupported zstd window of more than 128 MiB; compress with zstd --long=27 or less")))
			}
		}
	})

	It("takes zeros after a gzip stream in archives only, and nothing else anywhere", func() {
		var gz bytes.Buffer
		w := gzip.NewWriter(&gz)
		_, err := io.WriteString(w, "content")
		Expect(err).NotTo(HaveOccurred())
		Expect(w.Close()).To(Succeed())
		padded := slices.Concat(gz.Bytes(), make([]byte, 9000))
		Expect(read(layer.Gzip.DecompressArchive, padded)).To(Equal("content"))
		_, err = read(layer.Gzip.Decompress, padded)
		Expect(err).To(MatchError("invalid gzip stream: 9000 zero bytes after its end; cut them off"))
		_, err = read(layer.Gzip.DecompressArchive, append(padded, 'x'))
		Expect(err).To(MatchError("invalid gzip stream: 9001 bytes after its end that are not gzip; cut them off"))
	})
})
