package layer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
)

// randomPiece is a piece as any tool could have written it, names absolute.
func randomPiece(rnd *rand.Rand, r flatten.Ref) string {
	slash := strings.Repeat("/", rnd.IntN(2))
	at := flatten.Buildpack.Dir(r)
	parts := [][]byte{dir(flatten.Buildpack.IDDir(r)), dir(at + slash)}
	var files []string
	for i := range rnd.IntN(8) {
		name := fmt.Sprintf("%s/%s%d", at, strings.Repeat("ü/", rnd.IntN(60)), i)
		switch n := rnd.IntN(6); {
		case n == 0:
			parts = append(parts, dir(name+slash))
		case n == 1:
			parts = append(parts, soft(name, "../"+strings.Repeat("t", rnd.IntN(200))))
		case n == 2 && len(files) > 0:
			parts = append(parts, hard(name, files[rnd.IntN(len(files))]))
		default:
			parts = append(parts, file(name, strings.Repeat(fmt.Sprint(i), rnd.IntN(3000))))
			files = append(files, name)
		}
	}
	return string(cat(parts...))
}

var _ = Describe("pieces", func() {
	It("come out of any layer that they were joined to as they went in", func() {
		rnd := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 4))
		for range 60 {
			var members []layer.Member
			var refs []flatten.Ref
			var want []string
			for i := range 1 + rnd.IntN(6) {
				r := flatten.Ref{ID: fmt.Sprintf("x%d/y", i/2), Version: fmt.Sprint(i % 2)}
				refs = append(refs, r)
				want = append(want, randomPiece(rnd, r))
				members = append(members, verbatim(r, []byte(want[i])))
			}
			b := build([]layer.Compression{layer.Gzip, layer.Zstd}[rnd.IntN(2)], members...)
			tarball, err := b.Uncompressed()
			Expect(err).NotTo(HaveOccurred())
			content, err := io.ReadAll(tarball)
			Expect(err).NotTo(HaveOccurred())
			Expect(tarball.Close()).To(Succeed())
			Expect(string(content)).To(Equal(string(together(want...))))

			rnd.Shuffle(len(refs), func(i, j int) { refs[i], refs[j] = refs[j], refs[i] })
			pieces, report, err := taken(content, refs...)
			Expect(err).NotTo(HaveOccurred())
			Expect(pieces).To(Equal(want))
			Expect(report).To(Equal(layer.Report{Pieces: b.Pieces}))

			some := refs[:1+rnd.IntN(len(refs))] // the others are not asked for
			_, report, err = taken(content, some...)
			Expect(err).NotTo(HaveOccurred())
			Expect(report.NonCanonical == "").To(Equal(len(some) == len(refs)))
		}
	})

	It("are read from one reading of the layer, by many at once", func() {
		var opened atomic.Int32
		b := build(layer.Gzip, sample(a1), sample(a2), sample(b1))
		pieces := fromShared(flatten.Buildpack, []flatten.Ref{a1, a2, b1}, "shared", GinkgoT().TempDir(), func(ctx context.Context) (io.ReadCloser, error) {
			opened.Add(1)
			return b.Open(ctx)
		})
		Expect(opened.Load()).To(BeZero(), "nothing is read before somebody asks")
		var wg sync.WaitGroup
		for range 4 {
			for i, r := range []flatten.Ref{a1, a2, b1} {
				wg.Go(func() {
					defer GinkgoRecover()
					Expect(layer.Measure(context.Background(), layer.Member{Ref: r, Piece: pieces[r]})).To(Equal(b.Pieces[i]))
				})
			}
		}
		wg.Wait()
		Expect(opened.Load()).To(BeEquivalentTo(1))
	})

	It("can be read again after a reading that was cancelled or failed", func() {
		broken := errors.New("the line is dead")
		fail := true
		b := build(layer.Gzip, sample(a1), sample(b1))
		pieces := fromShared(flatten.Buildpack, []flatten.Ref{a1, b1}, "shared", GinkgoT().TempDir(), func(ctx context.Context) (io.ReadCloser, error) {
			if fail {
				fail = false
				return nil, broken
			}
			return b.Open(ctx)
		})
		Expect(pieces[a1].WriteEntries(context.Background(), io.Discard)).To(MatchError("shared: the line is dead"))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		Expect(pieces[a1].WriteEntries(ctx, io.Discard)).To(MatchError(context.Canceled))
		Expect(layer.Measure(context.Background(), layer.Member{Ref: b1, Piece: pieces[b1]})).To(Equal(b.Pieces[1]))
	})

	It("name their source where they cannot be read", func() {
		open := opener([]byte("no archive at all"))
		_, err := layer.Measure(context.Background(), layer.Member{Ref: a1, Piece: layer.FromLayer(flatten.Buildpack, a1, "acme.cnb", open)})
		Expect(err).To(MatchError(HavePrefix("buildpack x/a@1: acme.cnb: reading the layer's tar: ")))
		nowhere := fromShared(flatten.Buildpack, []flatten.Ref{a1}, "acme.cnb", "/nonexistent", open)
		err = nowhere[a1].WriteEntries(context.Background(), io.Discard)
		Expect(err).To(MatchError(HavePrefix("acme.cnb: ")))
		Expect(err).To(MatchError(os.ErrNotExist))
	})

	It("stop when their reader stops", func() {
		full := errors.New("full")
		b := build(layer.Gzip, sample(a1))
		for _, p := range []layer.Piece{
			layer.FromLayer(flatten.Buildpack, a1, "here", b.Open),
			fromShared(flatten.Buildpack, []flatten.Ref{a1}, "here", GinkgoT().TempDir(), b.Open)[a1],
		} {
			for _, at := range []int{0, 511, 512, 2048, 1 << 20} {
				Expect(p.WriteEntries(context.Background(), &breaksAt{left: at, err: full})).To(MatchError("here: full"), "at %d", at)
			}
		}
		tarball := cat(dir(bp+"/x"), dir(bp+"/x/1"), file(bp+"/x/1/f", "one"), end)
		p := layer.FromLayer(flatten.Buildpack, flatten.Ref{ID: "x", Version: "1"}, "here", opener(tarball))
		for at := range 2048 { // the last bytes are what fills the file's block
			Expect(p.WriteEntries(context.Background(), &breaksAt{left: at, err: full})).To(MatchError("here: full"), "at %d", at)
		}
	})
})

var _ = Describe("a spool", func() {
	It("returns every stream, in any order, by many at once", func() {
		s, err := layer.NewSpool(GinkgoT().TempDir())
		Expect(err).NotTo(HaveOccurred())
		rnd := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 5))
		var streams []string
		var at []layer.Stretch
		for i := range 60 {
			content := ""
			for range rnd.IntN(4) { // a quarter of them is empty
				part := strings.Repeat(fmt.Sprint(i, " "), rnd.IntN(30_000))
				_, err := io.WriteString(s, part)
				Expect(err).NotTo(HaveOccurred())
				content += part
			}
			stretch, err := s.End()
			Expect(err).NotTo(HaveOccurred())
			streams, at = append(streams, content), append(at, stretch)
		}
		Expect(s.Close()).To(Succeed())
		var wg sync.WaitGroup
		for _, i := range append(rnd.Perm(60), rnd.Perm(60)...) {
			wg.Go(func() {
				defer GinkgoRecover()
				r, err := s.Open(at[i])
				Expect(err).NotTo(HaveOccurred())
				content, err := io.ReadAll(r)
				Expect(err).NotTo(HaveOccurred())
				Expect(string(content) == streams[i]).To(BeTrue(), "stream %d", i)
				Expect(r.Close()).To(Succeed())
			})
		}
		wg.Wait()
	})

	It("needs a directory", func() {
		_, err := layer.NewSpool("/nonexistent")
		Expect(err).To(MatchError(os.ErrNotExist))
	})

	It("leaves nothing in the system's directory", func() {
		tmp := GinkgoT().TempDir()
		GinkgoT().Setenv("TMPDIR", tmp)
		_, err := layer.NewSpool("")
		Expect(err).To(MatchError(ContainSubstring("missing work directory")))
		b := build(layer.Gzip, sample(a1), sample(b1))
		p := fromShared(flatten.Buildpack, []flatten.Ref{a1, b1}, "acme.cnb", "", b.Open)
		err = p[b1].WriteEntries(context.Background(), io.Discard)
		Expect(err).To(MatchError("acme.cnb: missing work directory to unpack into"))
		Expect(os.ReadDir(tmp)).NotTo(ContainElement(HaveField("Name()", HavePrefix("spool-"))))
	})

	It("is of no use once its file is gone", func() {
		dir := GinkgoT().TempDir()
		s, err := layer.NewSpool(dir)
		Expect(err).NotTo(HaveOccurred())
		_, err = io.WriteString(s, "x")
		Expect(err).NotTo(HaveOccurred())
		at, err := s.End()
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Close()).To(Succeed())
		Expect(os.RemoveAll(dir)).To(Succeed())
		_, err = s.Open(at)
		Expect(err).To(MatchError(os.ErrNotExist))
	})
})

// fromShared returns the pieces of a layer of which nothing is said.
func fromShared(kind flatten.Kind, refs []flatten.Ref, source, workDir string, open layer.Opener) map[flatten.Ref]layer.Piece {
	s := &layer.Shared{Kind: kind, Refs: refs, Source: source, WorkDir: workDir, Open: open}
	pieces := map[flatten.Ref]layer.Piece{}
	for _, r := range refs {
		pieces[r] = s.Piece(r)
	}
	return pieces
}
