package packager_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

var _ = Describe("laminate's own label, forged", func() {
	// The label says of the layer what is true of its first part; the layer
	// holds more, of which platforms would not know where it came from.
	forge := func(b *bench, tarball func(honest []byte) []byte, lie func(*flatten.Facts)) {
		honest := b.pair(flatten.All)
		layers, err := honest.Image.Layers()
		Expect(err).NotTo(HaveOccurred())
		spoiled := gzip9(tarball(uncompressedTar(layers[0])))
		diffID, err := spoiled.DiffID()
		Expect(err).NotTo(HaveOccurred())
		label := layersLabelOf(honest.Image)
		for id, versions := range label {
			for version, info := range versions {
				info.LayerDiffID = diffID.String()
				label[id][version] = info
			}
		}
		img := relabelled(honest.Image, label, spoiled)
		recipes := flatten.RecipesLabel{}
		pieces := slices.Clone(honest.Layers[0].Pieces)
		lie(&pieces[0])
		recipes.Add(diffID, pieces)
		text, err := json.Marshal(recipes)
		Expect(err).NotTo(HaveOccurred())
		config := configOf(img).DeepCopy()
		config.Config.Labels[flatten.RecipesLabelKey] = string(text)
		forged, err := mutate.ConfigFile(img, config)
		Expect(err).NotTo(HaveOccurred())
		b.keepLayout("left", forged)
	}

	DescribeTable("is found out when the layer goes by", func(tarball func([]byte) []byte, text string) {
		b := newBench()
		forge(b, tarball, func(*flatten.Facts) {})
		// The plan wants the forged layer as it is: nobody has to read it.
		err := b.fails(b.toml("left"), flat(flatten.All))
		Expect(err).To(MatchError(And(ContainSubstring("left: "), ContainSubstring(text))))
	},
		Entry("a lifecycle beside the buildpacks", func(honest []byte) []byte {
			extra := tarOf(entry{Header: tar.Header{Name: "/cnb/lifecycle/creator", Typeflag: tar.TypeReg, Mode: 0o4755}, Body: "#!/bin/sh"})
			return append(extra[:1024:1024], honest...)
		}, "/cnb/lifecycle/creator is outside of /cnb/buildpacks"),
		Entry("another file in the place of one", func(honest []byte) []byte {
			return bytes.Replace(honest, []byte("exit 0"), []byte("exit 1"), 1)
		}, "other content"),
		Entry("a longer end", func(honest []byte) []byte { return append(bytes.Clone(honest), make([]byte, 1024)...) }, "does not end in"),
	)

	It("is found out where it tells a wrong length, by which automatic plans would go", func() {
		b := newBench()
		forge(b, func(honest []byte) []byte { return honest }, func(f *flatten.Facts) { f.Length += 512 })
		Expect(b.fails(b.toml("left"), flat(flatten.All))).To(MatchError(And(ContainSubstring("left: "), ContainSubstring("other content"))))
		forge(b, func(honest []byte) []byte { return honest }, func(f *flatten.Facts) { f.Length = 0 })
		b.build(b.toml("left"), flat(flatten.All)) // it is not known: so are those of older labels
	})
})

var _ = Describe("what a source's manifest says beside its layers", func() {
	It("is none of ours", func() {
		b := newBench()
		honest := b.pair(flatten.None)
		layers, err := honest.Image.Layers()
		Expect(err).NotTo(HaveOccurred())
		config := configOf(honest.Image).DeepCopy()
		config.RootFS.DiffIDs, config.History = nil, nil
		img, err := mutate.ConfigFile(empty.Image, config)
		Expect(err).NotTo(HaveOccurred())
		for _, l := range layers {
			img, err = mutate.Append(img, mutate.Addendum{Layer: l, URLs: []string{"http://169.254.169.254/"}, Annotations: map[string]string{"a": "b"}})
			Expect(err).NotTo(HaveOccurred())
		}
		b.keepLayout("left", img)
		manifest, err := b.build(b.toml("left")).Manifest()
		Expect(err).NotTo(HaveOccurred())
		for _, l := range manifest.Layers {
			Expect(l.URLs).To(BeEmpty())
			Expect(l.Annotations).To(BeEmpty())
		}
	})
})
