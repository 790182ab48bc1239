package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
)

// namesIn are the names of all entries, as an engine compares them.
func namesIn(tarball []byte) []string {
	GinkgoHelper()
	var names []string
	for tr := tar.NewReader(bytes.NewReader(tarball)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		Expect(err).NotTo(HaveOccurred())
		names = append(names, filepath.Clean(h.Name))
	}
}

// withIDEntry is a member whose id directory has another entry.
func withIDEntry(m layer.Member, entry []byte) layer.Member {
	GinkgoHelper()
	piece, err := written(m.Piece)
	Expect(err).NotTo(HaveOccurred())
	_, own := idEntryOf(piece)
	return verbatim(m.Ref, append(slices.Clone(entry), piece[len(own):]...))
}

var _ = Describe("pieces that share an id directory", func() {
	// x/a and x_a have the same directory.
	collides := flatten.Ref{ID: "x_a", Version: "3"}
	longID := flatten.Ref{ID: strings.Repeat("long/", 38) + "id", Version: "1"} // its entry takes an extended header
	longer := flatten.Ref{ID: longID.ID, Version: "2"}

	DescribeTable("have its entry once in a layer, before the first, and each of them again when it is split",
		func(c layer.Compression, refs ...flatten.Ref) {
			var members []layer.Member
			var want []string
			for _, r := range refs {
				members = append(members, sample(r))
				piece, err := written(sample(r).Piece)
				Expect(err).NotTo(HaveOccurred())
				want = append(want, piece)
			}
			b := build(c, members...)
			tarball := tarOfLayer(b)
			Expect(tarball).To(Equal(together(want...)))
			names := namesIn(tarball)
			Expect(slices.Compact(slices.Sorted(slices.Values(names)))).To(HaveLen(len(names)), "no path stands twice")

			var packed int64
			for i, m := range members {
				lone := build(c, m)
				Expect(b.Pieces[i]).To(Equal(lone.Pieces[0]), "the content identity is that of the whole piece")
				packed += b.Packed[i]
			}
			Expect(packed).To(BeNumerically("<", len(blobOf(b))))

			pieces, report, err := taken(tarball, refs...)
			Expect(err).NotTo(HaveOccurred())
			Expect(pieces).To(Equal(want))
			Expect(report).To(Equal(layer.Report{Pieces: b.Pieces}))

			for _, facts := range [][]flatten.Facts{b.Pieces, nil} { // what is said of it, and nothing
				s := &layer.Shared{Kind: flatten.Buildpack, Refs: refs, Source: "there", WorkDir: GinkgoT().TempDir(), Open: b.Open, Blob: opens(blobOf(b)), Compression: c, Facts: facts}
				if facts != nil {
					s.Open = func(context.Context) (io.ReadCloser, error) { return nil, errors.New("it was unpacked") }
				}
				var again []layer.Member
				for i, r := range refs {
					Expect(written(s.Piece(r))).To(Equal(want[i]))
					alone := build(c, layer.Member{Ref: r, Piece: s.Piece(r)})
					Expect(alone.Record()).To(Equal(build(c, members[i]).Record()))
					again = append(again, layer.Member{Ref: r, Piece: s.Piece(r)})
				}
				Expect(build(c, again...).Record()).To(Equal(b.Record()))
			}
		},
		Entry("two versions", layer.Gzip, a1, a2),
		Entry("two versions, zstd", layer.Zstd, a1, a2),
		Entry("between others", layer.Gzip, b1, a2, a1, c1),
		Entry("of two ids", layer.Gzip, a1, collides, a2),
		Entry("several times", layer.Zstd, a1, a2, b1, longID, longer),
	)

	It("are compressed anew where they follow another, also where they lie compressed", func() {
		anew := build(layer.Gzip, sample(a1), sample(a2), sample(b1))
		var copied []layer.Member
		for _, m := range []layer.Member{sample(a1), sample(a2), sample(b1)} {
			lone := build(layer.Gzip, m)
			m.Splice = spliced(m, layer.Gzip, blobOf(lone), lone.Pieces[0].ContentID, 0).Splice
			if m.Ref == a2 {
				m.Splice.Open = func(context.Context) (io.ReadCloser, error) { return nil, errors.New("it was opened") }
			} else {
				m.Piece = unread
			}
			copied = append(copied, m)
		}
		Expect(build(layer.Gzip, copied...).Record()).To(Equal(anew.Record()))
	})

	It("are refused apart from each other, as a bug in laminate", func() {
		path := filepath.Join(GinkgoT().TempDir(), "layer")
		_, err := layer.Build(context.Background(), []layer.Member{sample(a1), sample(b1), sample(a2)}, layer.BuildOptions{Kind: flatten.Buildpack, Path: path})
		var bug *layer.BugError
		Expect(errors.As(err, &bug)).To(BeTrue(), "%v", err)
		Expect(err).To(MatchError(ContainSubstring("duplicate entry for /cnb/buildpacks/x_a")))
		Expect(path).NotTo(BeAnExistingFile())
	})

	It("take the entry of the first where theirs is another, and have the identity of what they are then", func() {
		other := entry(tar.Header{Name: bp + "/x_a", Typeflag: tar.TypeDir, Mode: 0o700, Uid: 1}, "")
		for _, members := range [][]layer.Member{{sample(a1), withIDEntry(sample(a2), other)}, {withIDEntry(sample(a1), other), sample(a2)}} {
			b := build(layer.Gzip, members...)
			first, err := written(members[0].Piece)
			Expect(err).NotTo(HaveOccurred())
			_, shared := idEntryOf(first)
			for i, m := range members {
				lone := build(layer.Gzip, withIDEntry(m, []byte(shared)))
				Expect(b.Pieces[i]).To(Equal(lone.Pieces[0]))
			}
		}
	})

	It("are told of where they lie in a layer with the entry twice", func() {
		x, x1, x2 := dir(bp+"/x"), dir(bp+"/x/1"), dir(bp+"/x/2")
		refs := []flatten.Ref{{ID: "x", Version: "1"}, {ID: "x", Version: "2"}}
		slashed := dir(bp + "/x/")
		pieces, report, err := taken(cat(x, x1, slashed, x2, end), refs...)
		Expect(err).NotTo(HaveOccurred())
		Expect(report.Duplicate).To(Equal(bp + "/x"))
		Expect(pieces).To(Equal([]string{string(cat(x, x1)), string(cat(slashed, x2))}), "each has its own")
	})

	It("have one entry for their version too, where the layer's comes late", func() {
		x, x1, f1 := dir(bp+"/x"), dir(bp+"/x/1"), file(bp+"/x/1/f", "one")
		pieces, report, err := taken(cat(x, f1, x1, end), flatten.Ref{ID: "x", Version: "1"})
		Expect(err).NotTo(HaveOccurred())
		Expect(report.NonCanonical).To(Equal("missing entry for " + bp + "/x/1"))
		Expect(pieces).To(Equal([]string{string(cat(x, own(bp+"/x/1"), f1))}))
	})

	It("come out of any layer as they went in, and no other layer changes by it", func() {
		rnd := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 9))
		ids := []string{"x/y", "x_y", "z", "z/z", "z_z"}
		for range 40 {
			var refs []flatten.Ref
			for i := range 1 + rnd.IntN(7) {
				refs = append(refs, flatten.Ref{ID: ids[rnd.IntN(len(ids))], Version: fmt.Sprint(i)})
			}
			ordered := flatten.Neighbours(refs)
			var members []layer.Member
			var want []string
			for _, r := range ordered {
				want = append(want, randomPiece(rnd, r))
				members = append(members, verbatim(r, []byte(want[len(want)-1])))
			}
			b := build([]layer.Compression{layer.Gzip, layer.Zstd}[rnd.IntN(2)], members...)
			tarball := tarOfLayer(b)
			names := namesIn(tarball)
			Expect(slices.Compact(slices.Sorted(slices.Values(names)))).To(HaveLen(len(names)))
			pieces, _, err := taken(tarball, refs...)
			Expect(err).NotTo(HaveOccurred())
			Expect(pieces).To(Equal(want))
			for i, p := range want {
				id, _, err := v1.SHA256(strings.NewReader(p + string(end)))
				Expect(err).NotTo(HaveOccurred())
				Expect(b.Pieces[i].ContentID).To(Equal(id))
			}
			if !flatten.ShareIDDir(refs) {
				Expect(ordered).To(Equal(refs))
				Expect(string(tarball)).To(Equal(strings.Join(want, "") + string(end)))
			}
		}
	})
})
