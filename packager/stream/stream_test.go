package stream_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/stream"
)

func TestStream(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "packager/stream")
}

// zeros is a reader without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

var _ = Describe("a reader within limits", func() {
	It("ends beyond the number of bytes", func() {
		n, err := io.Copy(io.Discard, stream.Within(stream.Limits{Bytes: 1000, Ratio: 10}, zeros{}, nil))
		Expect(err).To(MatchError("unpacked size exceeds the limit of 1000 bytes"))
		Expect(n).To(BeNumerically("<", 100_000))
		Expect(io.Copy(io.Discard, stream.Within(stream.Limits{Bytes: 1000}, io.LimitReader(zeros{}, 1000), nil))).To(Equal(int64(1000)))
	})

	It("ends beyond the ratio, once 100 MiB are unpacked", func() {
		packed := &stream.Counted{Reader: strings.NewReader(strings.Repeat("x", 1<<10))}
		_, err := io.Copy(io.Discard, packed)
		Expect(err).NotTo(HaveOccurred())
		limits := stream.Limits{}.OrDefault()
		Expect(io.Copy(io.Discard, stream.Within(limits, io.LimitReader(zeros{}, 100<<20), packed))).To(Equal(int64(100 << 20)))
		_, err = io.Copy(io.Discard, stream.Within(limits, zeros{}, packed))
		Expect(err).To(MatchError(ContainSubstring("exceeds 1000 times the compressed size")))
	})

	It("knows no ratio of what was not compressed, and one byte at least of what was", func() {
		Expect(stream.Limits{Bytes: 1 << 40, Ratio: 10}.Check(1<<30, 0)).To(Succeed())
		_, err := io.Copy(io.Discard, stream.Within(stream.Limits{}.OrDefault(), zeros{}, &stream.Counted{}))
		Expect(err).To(MatchError(ContainSubstring("times the compressed size")))
	})
})

var _ = Describe("a reader with a context", func() {
	It("ends with it", func() {
		ctx, cancel := context.WithCancel(context.Background())
		r := stream.WithContext(ctx, zeros{})
		_, err := io.ReadFull(r, make([]byte, 10))
		Expect(err).NotTo(HaveOccurred())
		cancel()
		_, err = r.Read(make([]byte, 10))
		Expect(err).To(MatchError(context.Canceled))
	})
})

var _ = Describe("a verified reader", func() {
	It("ends with an error where the digest is another", func() {
		content := []byte("content")
		want := v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(content))}
		Expect(io.ReadAll(stream.Verify(io.NopCloser(bytes.NewReader(content)), want))).To(Equal(content))
		_, err := io.ReadAll(stream.Verify(io.NopCloser(strings.NewReader("contents")), want))
		Expect(err).To(MatchError(And(HavePrefix("digest is sha256:"), HaveSuffix(", expected "+want.String()))))
	})
})
