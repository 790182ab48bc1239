package layer_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/klauspost/compress/zstd"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
)

// member is one gzip member or zstd frame of a blob.
type member struct {
	content    []byte
	compressed int
}

// gzipMembers reads a blob member by member, as the standard library does.
func gzipMembers(blob []byte) (all []member) {
	GinkgoHelper()
	r := bytes.NewReader(blob)
	var z *stdgzip.Reader
	for r.Len() > 0 {
		before := r.Len()
		var err error
		if z == nil {
			z, err = stdgzip.NewReader(r)
		} else {
			err = z.Reset(r)
		}
		Expect(err).NotTo(HaveOccurred())
		z.Multistream(false)
		content, err := io.ReadAll(z)
		Expect(err).NotTo(HaveOccurred())
		all = append(all, member{content, before - r.Len()})
	}
	return all
}

// zstdFrames reads a blob frame by frame: header, blocks, checksum (RFC 8878,
// section 3.1.1).
func zstdFrames(blob []byte) (all []member) {
	GinkgoHelper()
	dec, err := zstd.NewReader(nil)
	Expect(err).NotTo(HaveOccurred())
	defer dec.Close()
	for len(blob) > 0 {
		var h zstd.Header
		Expect(h.Decode(blob)).To(Succeed())
		n := h.HeaderSize
		for last := false; !last; {
			b := int(blob[n]) | int(blob[n+1])<<8 | int(blob[n+2])<<16
			last = b&1 == 1
			if kind := b >> 1 & 3; kind == 1 {
				n += 3 + 1 // one byte that is repeated
			} else {
				n += 3 + b>>3
			}
		}
		if h.HasCheckSum {
			n += 4
		}
		content, err := dec.DecodeAll(blob[:n], nil)
		Expect(err).NotTo(HaveOccurred())
		all = append(all, member{content, n})
		blob = blob[n:]
	}
	return all
}

// noise is a file of random bytes, which no compressor makes smaller.
func noise(path string, size int64, seed uint64) layer.File {
	return layer.File{Path: path, Size: size, Open: func() (io.ReadCloser, error) {
		r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
		return io.NopCloser(io.LimitReader(r, size)), nil
	}}
}

func of(r flatten.Ref, files ...layer.File) layer.Member {
	GinkgoHelper()
	piece, err := layer.NormalForm(flatten.Buildpack, r, "here", files)
	Expect(err).NotTo(HaveOccurred())
	return layer.Member{Ref: r, Piece: piece}
}

func blobOf(b *layer.Built) []byte {
	GinkgoHelper()
	rc, err := b.Compressed()
	Expect(err).NotTo(HaveOccurred())
	defer rc.Close()
	blob, err := io.ReadAll(rc)
	Expect(err).NotTo(HaveOccurred())
	return blob
}

// pieceFunc is a piece that a function writes.
type pieceFunc func(ctx context.Context, w io.Writer) error

func (f pieceFunc) WriteEntries(ctx context.Context, w io.Writer) error { return f(ctx, w) }

func verbatim(r flatten.Ref, entries []byte) layer.Member {
	return layer.Member{Ref: r, Piece: pieceFunc(func(_ context.Context, w io.Writer) error {
		_, err := w.Write(entries)
		return err
	})}
}

var _ = Describe("a compressed layer", func() {
	DescribeTable("has a border of members at each border of pieces, and ends in zeros of their own", func(c layer.Compression, members func([]byte) []member, last int) {
		b := build(c, of(a1, noise("f", 3<<20, 1)), of(c1), of(b1, noise("f", 1<<20-2048, 2), noise("g", 10, 3)))
		borders, at := map[int64]bool{}, int64(0)
		all := members(blobOf(b))
		var tarball []byte
		for _, m := range all {
			Expect(m.content).NotTo(BeEmpty())
			Expect(len(m.content)).To(BeNumerically("<=", 1<<20))
			at += int64(len(m.content))
			borders[at] = true
			tarball = append(tarball, m.content...)
		}
		at = 0
		for _, p := range b.Pieces {
			at += p.Length
			Expect(borders).To(HaveKey(at), "end of %s", p.Ref)
		}
		Expect(all[len(all)-1]).To(Equal(member{make([]byte, 1024), last}))
		tar, err := b.Uncompressed()
		Expect(err).NotTo(HaveOccurred())
		defer tar.Close()
		Expect(io.ReadAll(tar)).To(Equal(tarball))
		Expect(all[0].content).To(HaveLen(1<<20), "what is long is cut by size alone")
	},
		Entry("gzip", layer.Gzip, gzipMembers, 29),
		Entry("zstd", layer.Zstd, zstdFrames, 16),
	)

	It("says nothing of when and where it was made", func() {
		header := blobOf(build(layer.Gzip, of(a1)))[:10]
		Expect(header).To(Equal([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}))
	})

	It("is not read where its compression is not known", func() {
		_, err := layer.Compression("bzip2").Decompress(bytes.NewReader(nil))
		Expect(err).To(MatchError(`unknown compression "bzip2"`))
		_, err = layer.OpenFile(filepath.Join(GinkgoT().TempDir(), "gone"), layer.Gzip)
		Expect(err).To(HaveOccurred())
	})

	DescribeTable("is told by name", func(s string, want layer.Compression) {
		Expect(layer.ParseCompression(s)).To(Equal(want))
	}, Entry(nil, "gzip", layer.Gzip), Entry(nil, "zstd", layer.Zstd))

	DescribeTable("is no other", func(s string) {
		_, err := layer.ParseCompression(s)
		Expect(err).To(MatchError(ContainSubstring("use gzip or zstd")))
	}, Entry(nil, ""), Entry(nil, "xz"), Entry(nil, "GZIP"))

	It("has Docker's media type for gzip, OCI's for zstd", func() {
		gz, err := build(layer.Gzip, of(a1)).MediaType()
		Expect(err).NotTo(HaveOccurred())
		zs, err := build(layer.Zstd, of(a1)).MediaType()
		Expect(err).NotTo(HaveOccurred())
		Expect([]string{string(gz), string(zs)}).To(Equal([]string{"application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+zstd"}))
		Expect(string(layer.Uncompressed.MediaType())).To(Equal("application/vnd.docker.image.rootfs.diff.tar"))
	})
})

// breaksAt is a writer that fails after so many bytes.
type breaksAt struct {
	left     int
	err      error
	failures int
}

func (b *breaksAt) Write(p []byte) (int, error) {
	if len(p) > b.left {
		b.failures++
		return b.left, b.err
	}
	b.left -= len(p)
	return len(p), nil
}

var _ = Describe("what goes wrong while a layer is built", func() {
	broken := errors.New("the disk is dead")
	large := func() layer.Member { return of(a1, noise("f", 5<<20, 1), noise("g", 3<<20, 2)) }

	// settled waits until as many goroutines run as before.
	settled := func(before int) {
		GinkgoHelper()
		Eventually(runtime.NumGoroutine).Should(BeNumerically("<=", before))
	}

	It("is told once, wherever the output fails, and nobody waits for ever", func() {
		size := len(blobOf(build(layer.Gzip, large())))
		before := runtime.NumGoroutine()
		for _, at := range []int{0, 1, 100, 1 << 20, 1<<20 + 400, 3 << 20, 5 << 20, 8 << 20, size - 30, size - 29, size - 1} {
			out := &breaksAt{left: at, err: broken}
			err := layer.WriteTo(out, large())
			Expect(err).To(MatchError(broken), "at %d", at)
			Expect(out.failures).To(Equal(1), "it is left alone after that")
			Expect(strings.Count(err.Error(), broken.Error())).To(Equal(1), "%v", err)
		}
		Expect(layer.WriteTo(&breaksAt{left: size, err: broken}, large())).To(Succeed())
		settled(before)
	})

	It("ends the reading of what there is no room for", func() {
		read := 0
		endless := layer.File{Path: "f", Size: 128 << 20, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(reader(func(p []byte) (int, error) { read += len(p); return len(p), nil })), nil
		}}
		Expect(layer.WriteTo(&breaksAt{err: broken}, of(a1, endless))).To(MatchError(broken))
		Expect(read).To(BeNumerically("<", 48<<20))
	})

	It("is told once, wherever a piece fails", func() {
		before := runtime.NumGoroutine()
		for _, at := range []int64{0, 511, 512, 1 << 20, 2<<20 + 1} {
			failing := layer.File{Path: "f", Size: 3 << 20, Open: func() (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(io.LimitReader(rand.NewChaCha8([32]byte{}), at), reader(func([]byte) (int, error) { return 0, broken }))), nil
			}}
			path := filepath.Join(GinkgoT().TempDir(), "layer")
			_, err := layer.Build(context.Background(), []layer.Member{of(b1), of(a1, failing)}, layer.BuildOptions{Kind: flatten.Buildpack, Path: path})
			Expect(err).To(MatchError(broken))
			Expect(err).To(MatchError("buildpack x/a@1: here: f: the disk is dead"))
			Expect(path).NotTo(BeAnExistingFile())
		}
		settled(before)
	})

	It("is told where a file cannot be opened or closed", func() {
		for _, f := range []layer.File{
			{Path: "f", Size: 1, Open: func() (io.ReadCloser, error) { return nil, broken }},
			{Path: "f", Size: 1, Open: func() (io.ReadCloser, error) { return failsToClose{strings.NewReader("x"), broken}, nil }},
		} {
			Expect(layer.WriteTo(io.Discard, of(a1, f))).To(MatchError("buildpack x/a@1: here: f: the disk is dead"))
		}
	})

	It("is a bug of ours where the pieces do not make the layer, and says which", func() {
		x, x1 := dir(bp+"/x"), dir(bp+"/x/1")
		x1Ref, y1Ref := flatten.Ref{ID: "x", Version: "1"}, flatten.Ref{ID: "y", Version: "1"}
		large := file(bp+"/x/1/large", strings.Repeat("l", 3<<20))
		before := runtime.NumGoroutine()
		for message, members := range map[string][]layer.Member{
			"layer of [x@1]: /etc/passwd is outside of /cnb/buildpacks":                {verbatim(x1Ref, cat(x, x1, file("/etc/passwd", ""), large))},
			"layer of [x@1]: duplicate path /cnb/buildpacks/x/1/large":                 {verbatim(x1Ref, cat(x, x1, large, large))},
			"layer of [x@1 y@1]: y@1 has no files in the layer":                        {verbatim(x1Ref, cat(x, x1, large)), verbatim(y1Ref, nil)},
			"layer of [x@1]: missing entry for /cnb/buildpacks/x/1":                    {verbatim(x1Ref, cat(x, large))},
			"layer of [x@1]: unexpected /cnb/buildpacks/y/1":                           {verbatim(x1Ref, cat(x, x1, large, dir(bp+"/y"), dir(bp+"/y/1")))},
			"layer of [x@1 x@1]: duplicate path /cnb/buildpacks/x/1/large":             {verbatim(x1Ref, cat(x, x1, large)), verbatim(x1Ref, cat(x, x1, large))},
			"layer of [x@1]: reading the layer's tar: archive/tar: invalid tar header": {verbatim(x1Ref, cat(x, x1, large, []byte(strings.Repeat("?", 512)), large))},
			"layer of [x@1]: the archive does not end in exactly two blocks of zeros":  {verbatim(x1Ref, cat(x, x1, end))},
		} {
			path := filepath.Join(GinkgoT().TempDir(), "layer")
			_, err := layer.Build(context.Background(), members, layer.BuildOptions{Kind: flatten.Buildpack, Path: path})
			var bug *layer.BugError
			Expect(errors.As(err, &bug)).To(BeTrue(), "%s: %v", message, err)
			Expect(err).To(MatchError(message))
			Expect(path).NotTo(BeAnExistingFile())
		}
		settled(before)
	})

	It("is a bug of ours where a piece is swapped for another", func() {
		x, y := of(a1, noise("f", 10, 1)), of(b1, noise("f", 10, 1))
		path := filepath.Join(GinkgoT().TempDir(), "layer")
		_, err := layer.Build(context.Background(), []layer.Member{{Ref: a1, Piece: y.Piece}, {Ref: b1, Piece: x.Piece}}, layer.BuildOptions{Kind: flatten.Buildpack, Path: path})
		Expect(err).To(MatchError("layer of [x/a@1 b@1]: it holds [b@1 x/a@1], expected [x/a@1 b@1]"))
	})

	It("does not overwrite what is there", func() {
		b := build(layer.Gzip, of(a1))
		again := layer.BuildOptions{Kind: flatten.Buildpack, Path: b.Path()}
		_, err := layer.Build(context.Background(), []layer.Member{of(b1)}, again)
		Expect(err).To(MatchError(ContainSubstring("file exists")))
		Expect(b.Path()).To(BeAnExistingFile())
	})

	DescribeTable("ends at once when it is cancelled, told once", func(c layer.Compression) {
		before := runtime.NumGoroutine()
		rnd := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 2))
		for range 25 {
			ctx, cancel := context.WithCancelCause(context.Background())
			at := rnd.Int64N(8 << 20)
			path := filepath.Join(GinkgoT().TempDir(), "layer")
			var seen, after int64
			_, err := layer.Build(ctx, []layer.Member{large(), of(b1, noise("h", 1<<20, 3))}, layer.BuildOptions{
				Kind: flatten.Buildpack, Compression: c, Path: path, Progress: func(n int64) {
					if seen += n; seen > at {
						cancel(broken)
						after += n
					}
				},
			})
			cancel(nil)
			Expect(err).To(Or(MatchError(broken), MatchError(context.Canceled)))
			Expect(strings.Split(err.Error(), "\n")).To(HaveLen(1), "%v", err)
			Expect(after).To(BeNumerically("<=", 1<<20), "bytes after the cancelling")
			Expect(path).NotTo(BeAnExistingFile())
		}
		settled(before)
	}, Entry(nil, layer.Gzip), Entry(nil, layer.Zstd))
})
