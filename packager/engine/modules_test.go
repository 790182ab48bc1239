package engine_test

import (
	"context"
	"errors"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/image"
)

// piece is content that counts how often it is read.
type piece struct {
	content string
	reads   int
	err     error
}

func (p *piece) WriteEntries(_ context.Context, w io.Writer) error {
	p.reads++
	_, err := io.WriteString(w, p.content)
	return errors.Join(err, p.err)
}

func module(id, from, content string) (*image.Module, *piece) {
	p := &piece{content: content}
	return &image.Module{Module: flatten.Module{Kind: flatten.Buildpack, Info: flatten.Info{ID: id, Version: "1"}}, Source: from, Piece: p}, p
}

func pkg(modules ...*image.Module) *image.Package { return &image.Package{Modules: modules} }

func hash(c byte) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: strings.Repeat(string(c), 64)} }

// in puts a module in a layer, of which facts are known.
func in(m *image.Module, diffID v1.Hash, contents ...v1.Hash) *image.Module {
	m.Layer = &image.Layer{Diff: diffID, Refs: []flatten.Ref{m.Ref()}}
	for _, c := range contents {
		m.Layer.Facts = append(m.Layer.Facts, flatten.Facts{Ref: m.Ref(), ContentID: c, Length: 1024})
	}
	return m
}

var _ = Describe("Collect", func() {
	ctx := context.Background()

	It("takes the first of equal contents, and reads none where facts suffice", func() {
		a, p := module("a", "one", "x")
		b, q := module("a", "two", "y")
		all, err := engine.Collect(ctx, []*image.Package{pkg(in(a, hash('1'), hash('c'))), pkg(in(b, hash('2'), hash('c')))}, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(all.Modules).To(HaveLen(1))
		Expect(all.Modules[a.Ref()]).To(BeIdenticalTo(a))
		Expect(p.reads + q.reads).To(BeZero())
	})

	It("reads none where both lie in the same layer", func() {
		a, p := module("a", "one", "x")
		b, q := module("a", "two", "y")
		_, err := engine.Collect(ctx, []*image.Package{pkg(in(a, hash('1'))), pkg(in(b, hash('1')))}, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(p.reads + q.reads).To(BeZero())
	})

	It("reads where it has to, and only there", func() {
		a, p := module("a", "one", "x")
		b, q := module("a", "two", "y")
		_, err := engine.Collect(ctx, []*image.Package{pkg(in(a, hash('1'), hash('c'))), pkg(b)}, "")
		Expect(err).To(MatchError("conflicting contents of buildpack a@1 in one and in two; change the version of one, or choose one with --on-conflict first|last"))
		Expect([]int{p.reads, q.reads}).To(Equal([]int{0, 1}))
		q.err = errors.New("unreadable")
		_, err = engine.Collect(ctx, []*image.Package{pkg(a), pkg(b)}, "")
		Expect(err).To(MatchError(ContainSubstring("unreadable")))
	})

	It("says of equal contents what the fuller description has, in any order", func() {
		for _, first := range []bool{true, false} {
			short, _ := module("a", "one", "x")
			long, _ := module("a", "two", "x")
			long.Info.Description, long.Info.Keywords = "all about it", []string{"a"}
			packages := []*image.Package{pkg(short), pkg(long)}
			if first {
				packages = []*image.Package{pkg(long), pkg(short)}
			}
			all, err := engine.Collect(ctx, packages, "")
			Expect(err).NotTo(HaveOccurred())
			Expect(all.Modules[short.Ref()].Info.Description).To(Equal("all about it"))
		}
	})

	It("reports two refs of one directory, and keeps both, and passes doubts on", func() {
		a, _ := module("a/b", "one", "x")
		b, _ := module("a_b", "two", "y")
		doubtful := pkg(a)
		doubtful.Problems = config.Problems{{Message: "hm", Warning: true}}
		all, err := engine.Collect(ctx, []*image.Package{doubtful, pkg(b)}, "")
		Expect(err).To(MatchError("buildpacks a/b@1 (one) and a_b@1 (two) share the directory /cnb/buildpacks/a_b/1; change the id or version of one"))
		Expect(all.Modules).To(HaveLen(2))
		Expect(all.Problems).To(HaveLen(1))
	})
})

var _ = Describe("Doubled", func() {
	It("tells what layers hold besides, with the sizes that are known", func() {
		a, _ := module("a", "one", "x")
		b, _ := module("b", "one", "x")
		c, _ := module("c", "one", "x")
		in(a, hash('1'), hash('a'))
		a.Layer.Facts = append(a.Layer.Facts, flatten.Facts{Ref: c.Ref(), Length: 512})
		in(b, hash('2'))
		ms := engine.Modules{a.Ref(): a, b.Ref(): b}
		gone := flatten.Ref{ID: "gone", Version: "1"}
		Expect(ms.Doubled([]engine.Resolved{
			{Plan: flatten.PlannedLayer{Refs: []flatten.Ref{c.Ref()}}},
			{Plan: flatten.PlannedLayer{Refs: []flatten.Ref{a.Ref()}, AsIs: true, Extra: []flatten.Ref{c.Ref()}}},
			{Plan: flatten.PlannedLayer{Refs: []flatten.Ref{b.Ref()}, AsIs: true, Extra: []flatten.Ref{a.Ref(), gone}}},
		})).To(Equal([]engine.Double{
			{Ref: c.Ref(), Layer: 2, First: 1, Bytes: 512},
			{Ref: a.Ref(), Layer: 3, First: 2, Bytes: -1},
			{Ref: gone, Layer: 3, First: 0, Bytes: -1},
		}))
	})
})

var _ = Describe("Packed", func() {
	It("lists each layer once, in the order of the packages, and nothing that lies in none", func() {
		a, _ := module("a", "one", "x")
		b, _ := module("b", "one", "x")
		again, _ := module("a", "two", "x")
		loose, _ := module("c", "three", "x")
		packages := []*image.Package{pkg(in(b, hash('2')), in(a, hash('1'))), pkg(in(again, hash('1'))), pkg(loose)}
		c, err := engine.Collect(context.Background(), packages, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Packed(packages)).To(Equal([][]flatten.Ref{{b.Ref()}, {a.Ref()}}))
	})

	DescribeTable("leaves out layers with a content that does not count", func(on engine.OnConflict, used string, want ...string) {
		a, _ := module("a", "one", "x")
		b, _ := module("b", "one", "x")
		other, _ := module("a", "two", "y")
		c, _ := module("c", "two", "x")
		packages := []*image.Package{pkg(in(a, hash('1')), in(b, hash('1'))), pkg(in(other, hash('2')), in(c, hash('3')))}
		all, err := engine.Collect(context.Background(), packages, on)
		Expect(err).NotTo(HaveOccurred())
		Expect(all.Modules[a.Ref()].Source).To(Equal(used))
		Expect(all.Problems).To(Equal(config.Problems{{Warning: true, Message: "conflicting contents of buildpack a@1 in one and in two; using " + used + " (--on-conflict " + string(on) + ")"}}))
		var packed []string
		for _, refs := range all.Packed(packages) {
			packed = append(packed, flatten.JoinRefs(refs, " "))
		}
		Expect(packed).To(Equal(want))
	},
		Entry("the first", engine.UseFirst, "one", "a@1", "c@1"),
		Entry("the last", engine.UseLast, "two", "a@1", "c@1"),
	)
})

var _ = Describe("Packed, where a content counts that did not before", func() {
	It("lists the layer that holds it", func() {
		a, _ := module("a", "one", "x")
		b, _ := module("a", "two", "y")
		c, _ := module("a", "three", "x")
		packages := []*image.Package{pkg(in(a, hash('1'))), pkg(in(b, hash('2'))), pkg(in(c, hash('1')))}
		all, err := engine.Collect(context.Background(), packages, engine.UseLast)
		Expect(err).NotTo(HaveOccurred())
		Expect(all.Modules[a.Ref()].Source).To(Equal("three"))
		Expect(all.Packed(packages)).To(Equal([][]flatten.Ref{{a.Ref()}}))
	})
})

var _ = Describe("EntryPath", func() {
	order := flatten.Order{{Entries: make([]flatten.Entry, 2)}, {Entries: make([]flatten.Entry, 1)}}
	DescribeTable("finds the group of an entry", func(entry int, want ...any) {
		Expect(engine.EntryPath("order", order, entry)).To(Equal(want))
	},
		Entry("first", 0, "order", 0, "group", 0),
		Entry("second", 1, "order", 0, "group", 1),
		Entry("in the second group", 2, "order", 1, "group", 0),
		Entry("none", 3, "order"),
		Entry("the module itself", -1, "order", 0, "group", 0),
	)
})

var _ = Describe("Verify", func() {
	a, b := flatten.Ref{ID: "a", Version: "1"}, flatten.Ref{ID: "b", Version: "1"}
	config := func(hs ...v1.Hash) *v1.ConfigFile { return &v1.ConfigFile{RootFS: v1.RootFS{DiffIDs: hs}} }
	layer := func(h v1.Hash, refs ...flatten.Ref) engine.Layer {
		return engine.Layer{Layer: &image.Layer{Diff: h}, Resolved: engine.Resolved{Plan: flatten.PlannedLayer{Refs: refs}}}
	}
	label := func(hs map[flatten.Ref]v1.Hash) flatten.LayersLabel {
		l := flatten.LayersLabel{}
		for r, h := range hs {
			l.Add(flatten.Module{Info: flatten.Info{ID: r.ID, Version: r.Version}}, h)
		}
		return l
	}
	right := label(map[flatten.Ref]v1.Hash{a: hash('1'), b: hash('2')})

	It("finds nothing wrong with what is right, more layers around or not", func() {
		Expect(engine.Verify(config(hash('0'), hash('1'), hash('2'), hash('3')), []engine.Layer{layer(hash('1'), a), layer(hash('2'), b)}, right)).To(Succeed())
	})

	DescribeTable("finds what is wrong, and that it is a bug", func(c *v1.ConfigFile, layers []engine.Layer, l flatten.LayersLabel, want string) {
		err := engine.Verify(c, layers, l)
		Expect(err).To(MatchError(ContainSubstring(want)))
		Expect(engine.IsBug(err)).To(BeTrue())
	},
		Entry("layers in another order", config(hash('2'), hash('1')), []engine.Layer{layer(hash('1'), a), layer(hash('2'), b)}, right, "layer 2 of buildpacks, "+hash('2').String()+", is out of order"),
		Entry("a label that leads elsewhere", config(hash('1'), hash('2')), []engine.Layer{layer(hash('1'), a), layer(hash('2'), b)},
			label(map[flatten.Ref]v1.Hash{a: hash('2'), b: hash('2')}), "label has a@1 in layer "+hash('2').String()),
		Entry("a label that leads nowhere", config(hash('1'), hash('2')), []engine.Layer{layer(hash('1'), a), layer(hash('2'), b)},
			label(map[flatten.Ref]v1.Hash{a: hash('1')}), "label has b@1 in layer , but it is in "+hash('2').String()),
		Entry("a ref in two layers", config(hash('1'), hash('2')), []engine.Layer{layer(hash('1'), a), layer(hash('2'), a, b)}, right, "a@1 is in two layers"),
	)
})
