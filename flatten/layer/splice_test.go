package layer_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/zstd"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
)

func opens(blob []byte) layer.Opener {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(blob)), nil }
}

// unread is a piece that nobody must ask for.
var unread layer.Piece = &neverRead{}

type neverRead struct{}

func (*neverRead) WriteEntries(context.Context, io.Writer) error {
	return errors.New("the piece was made anew")
}

// spliced returns the member as the blob of a layer that it has to itself holds it.
func spliced(m layer.Member, c layer.Compression, blob []byte, id v1.Hash, length int64) layer.Member {
	return layer.Member{Ref: m.Ref, Piece: unread, Splice: &layer.Splice{ContentID: id, Length: length, Compression: c, Open: opens(blob)}}
}

func tarOfLayer(b *layer.Built) []byte {
	GinkgoHelper()
	rc, err := b.Uncompressed()
	Expect(err).NotTo(HaveOccurred())
	defer rc.Close()
	content, err := io.ReadAll(rc)
	Expect(err).NotTo(HaveOccurred())
	return content
}

// stdGzip compresses as other tools do: one member for everything.
func stdGzip(content []byte, level int) []byte {
	var b bytes.Buffer
	z, _ := stdgzip.NewWriterLevel(&b, level)
	z.Name = "layer.tar"
	_, _ = z.Write(content)
	_ = z.Close()
	return b.Bytes()
}

var _ = Describe("a piece that was compressed before", func() {
	members := func() []layer.Member {
		return []layer.Member{
			of(a1, noise("f", 2<<20, 1), regular("g", verse(1<<20), 0o755)), sample(c1), of(b1, regular("h", verse(100_000), 0)),
		}
	}

	DescribeTable("is copied, to the same bytes as if it were made anew", func(c layer.Compression, measured bool) {
		want := build(c, members()...)
		var again []layer.Member
		for _, m := range members() {
			lone := build(c, m)
			length := int64(0)
			if measured {
				length = lone.Pieces[0].Length
			}
			again = append(again, spliced(m, c, blobOf(lone), lone.Pieces[0].ContentID, length))
		}
		Expect(build(c, again...).Record()).To(Equal(want.Record()))
	},
		Entry("gzip, of a known length", layer.Gzip, true), Entry("gzip", layer.Gzip, false),
		Entry("zstd, of a known length", layer.Zstd, true), Entry("zstd", layer.Zstd, false),
	)

	It("is found in the middle of a shared layer", func() {
		shared := build(layer.Gzip, members()...)
		blob, offset := blobOf(shared), int64(0)
		for i, m := range members() {
			part := blob[offset : offset+shared.Packed[i]]
			again := spliced(m, layer.Gzip, part, shared.Pieces[i].ContentID, shared.Pieces[i].Length)
			Expect(build(layer.Gzip, again).Record()).To(Equal(build(layer.Gzip, m).Record()))
			offset += shared.Packed[i]
		}
		Expect(blob[offset:]).To(HaveLen(29), "what ends the archive")
	})

	DescribeTable("is copied from other tools' layers too", func(level int) {
		want := build(layer.Gzip, members()...)
		var again []layer.Member
		var foreign [][]byte
		for _, m := range members() {
			content := tarOfLayer(build(layer.Gzip, m))
			foreign = append(foreign, stdGzip(content, level))
			id, _, err := v1.SHA256(bytes.NewReader(content))
			Expect(err).NotTo(HaveOccurred())
			again = append(again, spliced(m, layer.Gzip, foreign[len(foreign)-1], id, 0))
		}
		got := build(layer.Gzip, again...)
		Expect(diffID(got)).To(Equal(diffID(want)))
		Expect(got.Pieces).To(Equal(want.Pieces))
		z, err := stdgzip.NewReader(bytes.NewReader(blobOf(got)))
		Expect(err).NotTo(HaveOccurred())
		Expect(io.ReadAll(z)).To(Equal(tarOfLayer(want)))
		body := foreign[0][10+len("layer.tar")+1:]
		Expect(blobOf(got)[10:][:len(body)-64<<10]).To(Equal(body[:len(body)-64<<10]), "its blocks are those of the source")
		Expect(blobOf(got)[:10]).To(Equal(blobOf(want)[:10]), "and its header is ours")
	}, Entry(nil, stdgzip.BestSpeed), Entry(nil, stdgzip.DefaultCompression), Entry(nil, stdgzip.NoCompression), Entry(nil, stdgzip.HuffmanOnly))

	falls := func(spoil func(s *layer.Splice)) {
		GinkgoHelper()
		m := members()[0]
		lone := build(layer.Gzip, m)
		s := spliced(m, layer.Gzip, blobOf(lone), lone.Pieces[0].ContentID, 0)
		spoil(s.Splice)
		s.Piece = m.Piece
		others := members()[1]
		Expect(build(layer.Gzip, others, s).Record()).To(Equal(build(layer.Gzip, others, m).Record()))
	}

	// The source is hostile: its config and its label say that it holds the genuine piece, so that later
	// runs take this layer for that one.
	It("has the identity of its content, whatever its source claims, wherever it stands", func() {
		genuine := build(layer.Gzip, of(a1, regular("bin/build", "good", 0o755))).Pieces[0]
		evil := of(a1, regular("bin/build", "evil", 0o755))
		lone := build(layer.Gzip, evil)
		claims := evil
		claims.Splice = &layer.Splice{ContentID: genuine.ContentID, Length: genuine.Length, Compression: layer.Gzip, Open: opens(blobOf(lone))}
		Expect(genuine.Length).To(Equal(lone.Pieces[0].Length), "only the content differs")
		for i, members := range [][]layer.Member{{claims, of(b1)}, {of(b1), claims}} {
			b := build(layer.Gzip, members...)
			Expect(b.Pieces[i]).To(Equal(lone.Pieces[0]))
			Expect(b.Pieces[i].ContentID).NotTo(Equal(genuine.ContentID))
		}
		// Without another copy of the piece, the layer is refused.
		claims.Piece = unread
		_, err := layer.Build(context.Background(), []layer.Member{claims}, layer.BuildOptions{Kind: flatten.Buildpack, Path: filepath.Join(GinkgoT().TempDir(), "layer")})
		Expect(err).To(MatchError(ContainSubstring("the piece was made anew")))
	})

	DescribeTable("is made again where it cannot be copied", falls,
		Entry("it is something else", func(s *layer.Splice) { s.ContentID.Hex = "00" + s.ContentID.Hex[2:] }),
		Entry("its length is another", func(s *layer.Splice) { s.Length = 512 }),
		Entry("it is longer than there is", func(s *layer.Splice) { s.Length = 1 << 30 }),
		Entry("it is compressed otherwise", func(s *layer.Splice) { s.Compression = layer.Zstd }),
		Entry("it is not compressed", func(s *layer.Splice) { s.Compression = layer.Uncompressed }),
		Entry("it is not gzip", func(s *layer.Splice) { s.Open = opens([]byte("no gzip, by no means")) }),
		Entry("it ends early", func(s *layer.Splice) {
			r, _ := s.Open(context.Background())
			b, _ := io.ReadAll(r)
			s.Open = opens(b[:len(b)/2])
		}),
		Entry("it is not a tar", func(s *layer.Splice) { s.Open = opens(stdGzip([]byte(verse(10_000)), 1)) }),
		Entry("it is another piece", func(s *layer.Splice) { s.Open = opens(blobOf(build(layer.Gzip, sample(b1)))) }),
		Entry("it is not in the form that pieces have in layers", func(s *layer.Splice) {
			s.Open = opens(stdGzip(cat(dir("/cnb"), dir(bp), dir(bp+"/x_a"), dir(bp+"/x_a/1"), file(bp+"/x_a/1/f", "f"), end), 6))
		}),
	)

	It("comes as it does alone, whatever cannot be copied beside it", func() {
		large := func(ref flatten.Ref, seed uint64) layer.Member { return of(ref, noise("f", 3<<20, seed)) }
		foreign := func(m layer.Member, change func([]byte) []byte) layer.Member {
			content := tarOfLayer(build(layer.Gzip, m))
			id, _, err := v1.SHA256(bytes.NewReader(content))
			Expect(err).NotTo(HaveOccurred())
			m.Splice = spliced(m, layer.Gzip, stdGzip(change(content), 6), id, 0).Splice
			return m
		}
		same := func(content []byte) []byte { return content }
		good := foreign(large(a1, 1), same)
		alone := build(layer.Gzip, good)
		want := blobOf(alone)[:alone.Packed[0]]
		bad := foreign(large(c1, 2), same)
		for _, c := range []struct {
			what  string
			anew  bool
			spoil func()
		}{
			{"found at the end, after most of it was written", true, func() {
				bad = foreign(large(c1, 2), func(content []byte) []byte { return append(content, make([]byte, 512)...) })
			}},
			{"another content", true, func() { bad.Splice.ContentID.Hex = "00" + bad.Splice.ContentID.Hex[2:] }},
			{"a length that ends in a file, not to be believed", false, func() { bad.Splice.Length = 1<<20 + 512 }},
			{"a length that ends in the archive's end", false, func() { bad.Splice.Length = build(layer.Gzip, large(c1, 2)).Pieces[0].Length + 512 }},
		} {
			By(c.what)
			bad = foreign(large(c1, 2), same)
			c.spoil()
			for _, members := range [][]layer.Member{{good, bad}, {bad, good}} {
				got := build(layer.Gzip, members...)
				blob := blobOf(got)
				if members[0].Ref == a1 {
					Expect(bytes.HasPrefix(blob, want)).To(BeTrue())
				} else {
					Expect(bytes.HasPrefix(blob[got.Packed[0]:], want)).To(BeTrue())
				}
				anew := build(layer.Gzip, large(c1, 2))
				Expect(bytes.Contains(blob, blobOf(anew)[:anew.Packed[0]])).To(Equal(c.anew))
			}
		}
	})

	It("is copied from the next place where it can be had", func() {
		m := members()[0]
		lone := build(layer.Gzip, m)
		s := spliced(m, layer.Gzip, blobOf(lone), lone.Pieces[0].ContentID, 0)
		wrong := *s.Splice
		wrong.ContentID.Hex, wrong.Fallback = "00"+wrong.ContentID.Hex[2:], s.Splice
		unreadable := layer.Splice{ContentID: wrong.ContentID, Compression: layer.Gzip, Open: opens([]byte("no gzip")), Fallback: &wrong}
		s.Splice = &unreadable
		Expect(build(layer.Gzip, s).Record()).To(Equal(lone.Record()))
	})

	It("is made anew of frames that are too large to be held", func() {
		m := of(a1, noise("f", 6<<20, 1))
		content := tarOfLayer(build(layer.Zstd, m))
		var one bytes.Buffer
		z, err := zstd.NewWriter(&one)
		Expect(err).NotTo(HaveOccurred())
		_, err = z.Write(content)
		Expect(errors.Join(err, z.Close())).To(Succeed())
		again := spliced(m, layer.Zstd, one.Bytes(), build(layer.Zstd, m).Pieces[0].ContentID, 0)
		again.Piece = m.Piece
		Expect(build(layer.Zstd, again).Record()).To(Equal(build(layer.Zstd, m).Record()))
	})

	It("is not copied where it comes to more than is bearable, alone or shared", func() {
		within := func(content, packed int64) error {
			if content > 1<<20 && packed > 0 {
				return errors.New("too much")
			}
			return nil
		}
		m := members()[0]
		lone := build(layer.Gzip, m)
		s := spliced(m, layer.Gzip, blobOf(lone), lone.Pieces[0].ContentID, lone.Pieces[0].Length)
		s.Splice.Within = within
		shared := &layer.Shared{
			Kind: flatten.Buildpack, Refs: []flatten.Ref{a1}, Source: "there", WorkDir: GinkgoT().TempDir(), Compression: layer.Gzip, Facts: lone.Pieces,
			Blob: opens(blobOf(lone)), Within: within, Open: func(context.Context) (io.ReadCloser, error) { return nil, errors.New("it was unpacked") },
		}
		for m, want := range map[layer.Member]string{s: "the piece was made anew", {Ref: a1, Piece: shared.Piece(a1)}: "it was unpacked"} {
			_, err := layer.Build(context.Background(), []layer.Member{m}, layer.BuildOptions{Kind: flatten.Buildpack, Path: filepath.Join(GinkgoT().TempDir(), "layer")})
			Expect(err).To(MatchError(ContainSubstring(want)))
		}
	})

	It("is an error where it cannot be read, told once", func() {
		broken := errors.New("the cable is cut")
		m := members()[0]
		lone := build(layer.Gzip, m)
		blob := blobOf(lone)
		for _, at := range []int{0, 10, 1 << 20, len(blob) - 1} {
			s := spliced(m, layer.Gzip, nil, lone.Pieces[0].ContentID, lone.Pieces[0].Length)
			s.Splice.Open = func(context.Context) (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(bytes.NewReader(blob[:at]), reader(func([]byte) (int, error) { return 0, broken }))), nil
			}
			path := filepath.Join(GinkgoT().TempDir(), "layer")
			_, err := layer.Build(context.Background(), []layer.Member{members()[1], s}, layer.BuildOptions{Kind: flatten.Buildpack, Path: path})
			Expect(err).To(MatchError("buildpack x/a@1: the cable is cut"))
			Expect(path).NotTo(BeAnExistingFile())
			s.Splice.Open = func(context.Context) (io.ReadCloser, error) { return nil, broken }
			_, err = layer.Build(context.Background(), []layer.Member{s}, layer.BuildOptions{Kind: flatten.Buildpack, Path: path})
			Expect(err).To(MatchError("buildpack x/a@1: the cable is cut"))
		}
	})

	It("is closed, once, whatever happens", func() {
		m := members()[0]
		lone := build(layer.Gzip, m)
		blob := blobOf(lone)
		for _, end := range []int{len(blob), len(blob) / 2} {
			closed := 0
			s := spliced(m, layer.Gzip, nil, lone.Pieces[0].ContentID, 0)
			s.Piece = m.Piece
			s.Splice.Open = func(context.Context) (io.ReadCloser, error) {
				return closer{bytes.NewReader(blob[:end]), func() { closed++ }}, nil
			}
			build(layer.Gzip, s)
			Expect(closed).To(Equal(1))
		}
	})
})

type closer struct {
	io.Reader
	close func()
}

func (c closer) Close() error { c.close(); return nil }

// FuzzSplice takes anything for the blob of a piece: what comes of it is the
// layer of the piece, whose blob a standard reader reads.
func FuzzSplice(f *testing.F) {
	piece, err := layer.NormalForm(flatten.Buildpack, a1, "here", []layer.File{regular("bin/build", verse(40_000), 0o755)})
	if err != nil {
		f.Fatal(err)
	}
	m := layer.Member{Ref: a1, Piece: piece}
	make := func(t interface {
		TempDir() string
		Fatal(...any)
	}, c layer.Compression, m layer.Member) *layer.Built {
		b, err := layer.Build(context.Background(), []layer.Member{m}, layer.BuildOptions{Kind: flatten.Buildpack, Compression: c, Path: filepath.Join(t.TempDir(), "layer")})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	read := func(b *layer.Built) []byte {
		rc, err := b.Compressed()
		if err != nil {
			f.Fatal(err)
		}
		defer rc.Close()
		blob, _ := io.ReadAll(rc)
		return blob
	}
	want := make(f, layer.Gzip, m)
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, blob := range [][]byte{read(want), read(make(f, layer.Zstd, m))} {
		f.Add(blob, true, int64(0))
		f.Add(blob, false, want.Pieces[0].Length)
		for range 8 {
			spoilt := bytes.Clone(blob)
			spoilt[rnd.IntN(len(spoilt))] ^= 1 << rnd.IntN(8)
			f.Add(spoilt, rnd.IntN(2) == 0, int64(0))
		}
	}
	f.Fuzz(func(t *testing.T, blob []byte, zstd bool, length int64) {
		c := layer.Gzip
		if zstd {
			c = layer.Zstd
		}
		s := m
		s.Splice = &layer.Splice{ContentID: want.Pieces[0].ContentID, Length: length, Compression: c, Open: opens(blob)}
		got := make(t, c, s)
		if got.Record().DiffID != want.Record().DiffID {
			t.Fatal("another layer")
		}
		tar, err := got.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		defer tar.Close()
		if id, _, err := v1.SHA256(tar); err != nil || id != want.Record().DiffID {
			t.Fatal("its blob holds another tar", err)
		}
	})
}

var _ = Describe("a shared layer with a label", func() {
	members := func() []layer.Member {
		return []layer.Member{of(a1, noise("f", 2<<20, 1), regular("g", verse(1<<20), 0o755)), sample(c1), of(b1, regular("h", verse(100_000), 0))}
	}
	refs := []flatten.Ref{b1, a1, c1}
	shared := func(c layer.Compression, blob []byte, facts []flatten.Facts, tar layer.Opener) *layer.Shared {
		return &layer.Shared{
			Kind: flatten.Buildpack, Refs: refs, Source: "there", WorkDir: GinkgoT().TempDir(),
			Open: tar, Blob: opens(blob), Compression: c, Facts: facts,
		}
	}
	noTar := func(context.Context) (io.ReadCloser, error) { return nil, errors.New("it was unpacked") }

	DescribeTable("returns its pieces as they are compressed, in any selection and order", func(c layer.Compression) {
		whole := build(c, members()...)
		s := shared(c, blobOf(whole), whole.Pieces, noTar)
		other := layer.Zstd
		if c == layer.Zstd {
			other = layer.Gzip
		}
		for _, order := range [][]int{{2}, {0, 2}, {2, 1, 0}, {0, 1, 2}} {
			var again, want []layer.Member
			for _, i := range order {
				want = append(want, members()[i])
				again = append(again, layer.Member{Ref: want[len(want)-1].Ref, Piece: s.Piece(want[len(want)-1].Ref)})
			}
			Expect(build(c, again...).Record()).To(Equal(build(c, want...).Record()))
			Expect(build(other, again...).Record()).To(Equal(build(other, want...).Record()), "compressed otherwise")
		}
	}, Entry(nil, layer.Gzip), Entry(nil, layer.Zstd))

	DescribeTable("is unpacked where that is not true, or not so", func(spoil func(s *layer.Shared, whole *layer.Built)) {
		whole := build(layer.Gzip, members()...)
		s := shared(layer.Gzip, blobOf(whole), slices.Clone(whole.Pieces), whole.Open)
		spoil(s, whole)
		for _, m := range members() {
			again := layer.Member{Ref: m.Ref, Piece: s.Piece(m.Ref)}
			Expect(build(layer.Gzip, again).Record()).To(Equal(build(layer.Gzip, m).Record()))
		}
		left, err := filepath.Glob(filepath.Join(s.WorkDir, "pieces-*"))
		Expect(err).NotTo(HaveOccurred())
		Expect(left).To(BeEmpty())
	},
		Entry("one member holds all", func(s *layer.Shared, whole *layer.Built) { s.Blob = opens(stdGzip(tarOfLayer(whole), 6)) }),
		Entry("nothing is said", func(s *layer.Shared, _ *layer.Built) { s.Facts = nil }),
		Entry("less is said", func(s *layer.Shared, _ *layer.Built) { s.Facts = s.Facts[:2] }),
		Entry("other lengths are said", func(s *layer.Shared, _ *layer.Built) { s.Facts[0].Length += 512; s.Facts[1].Length -= 512 }),
		Entry("another length is said", func(s *layer.Shared, _ *layer.Built) { s.Facts[2].Length += 512 }),
		Entry("other content is said", func(s *layer.Shared, _ *layer.Built) { s.Facts[1].ContentID = s.Facts[0].ContentID }),
		Entry("another order is said", func(s *layer.Shared, _ *layer.Built) { slices.Reverse(s.Facts) }),
		Entry("the blob ends early", func(s *layer.Shared, whole *layer.Built) { b := blobOf(whole); s.Blob = opens(b[:len(b)/2]) }),
		Entry("the blob is not gzip", func(s *layer.Shared, _ *layer.Built) { s.Blob = opens([]byte("not gzip")) }),
	)
})
