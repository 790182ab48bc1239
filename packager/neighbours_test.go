package packager_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/engine"
	"laminate/packager/location"
)

// asBefore is an exploded image as laminate once flattened it: all in one layer,
// each piece with the entry of its id directory. It has laminate's own label in
// the form of that time if it is labelled.
func asBefore(exploded *engine.Image, labelled bool) v1.Image {
	GinkgoHelper()
	type piece struct {
		ID      string `json:"id"`
		Version string `json:"version"`
		Content string `json:"content"`
		Length  int64  `json:"length"`
	}
	var together []byte
	var pieces []piece
	var facts []flatten.Facts
	for _, l := range exploded.Layers {
		together = append(together, bytes.TrimSuffix(uncompressedTar(l), make([]byte, 1024))...)
		facts = append(facts, l.Pieces...)
		pieces = append(pieces, piece{l.Pieces[0].Ref.ID, l.Pieces[0].Ref.Version, l.Pieces[0].ContentID.String(), l.Pieces[0].Length})
	}
	whole := gzip9(append(together, make([]byte, 1024)...))
	diffID, err := whole.DiffID()
	Expect(err).NotTo(HaveOccurred())
	label := layersLabelOf(exploded.Image)
	for _, versions := range label {
		for version, info := range versions {
			info.LayerDiffID = diffID.String()
			versions[version] = info
		}
	}
	img := relabelled(exploded.Image, label, whole)
	if !labelled {
		return img
	}
	config := configOf(img).DeepCopy()
	text, err := json.Marshal(map[string]any{diffID.String(): map[string]any{"recipe": flatten.Recipe(facts).String(), "pieces": pieces}})
	Expect(err).NotTo(HaveOccurred())
	config.Config.Labels[flatten.RecipesLabelKey] = string(text)
	img, err = mutate.ConfigFile(img, config)
	Expect(err).NotTo(HaveOccurred())
	return img
}

var _ = Describe("two versions of one id", func() {
	var b *bench
	// file writes a package.toml of all of it, from directories.
	file := func() string {
		return b.toml("acme_left@1", "acme_a@1", "acme_b@1", "acme_a@2", "acme_a@3")
	}
	BeforeEach(func() {
		b = newBench()
		for _, ref := range []string{"acme/a@1", "acme/a@2", "acme/b@1", "acme_a@3"} {
			b.Component(ref)
		}
		b.Composite("acme/left@1", "acme/a@1", "acme/b@1", "acme/a@2", "acme_a@3")
		b.Composite("acme/root@1", "acme/left@1")
	})
	pieces := func(img *engine.Image) (refs []string) {
		for _, p := range img.Layers[0].Pieces {
			refs = append(refs, p.Ref.String())
		}
		return refs
	}

	It("stand next to each other in a layer, under one entry of their directory, and have the identities that they have alone", func() {
		exploded := b.build(file())
		for _, c := range []change{flat(flatten.All), group("acme/left", "acme/b", "acme*"), both(flat(flatten.Auto), func(o *packager.Options) { o.MaxLayers = 1 })} {
			img := b.build(file(), c)
			Expect(pieces(img)).To(Equal([]string{"acme/left@1", "acme/a@1", "acme/a@2", "acme_a@3", "acme/b@1"}))
			Expect(filesOf(img.Image)).To(Equal(filesOf(exploded.Image)))
			for _, l := range exploded.Layers {
				Expect(img.Layers[0].Pieces).To(ContainElement(l.Pieces[0]))
			}
		}
	})

	It("are built as packaged where the source's layer cannot be used, in the same order", func() {
		b.keepLayout("zstd", recompressed(b.build(file(), flat(flatten.All)).Image, zstdCompressed))
		img := b.build(b.toml("acme_root@1", "zstd"), flat(flatten.AsPackaged))
		Expect(pieces(img)).To(Equal([]string{"acme/left@1", "acme/a@1", "acme/a@2", "acme_a@3", "acme/b@1"}))
	})

	for _, labelled := range []bool{true, false} {
		text := map[bool]string{true: ", and labelled so", false: ""}[labelled]
		Describe("that laminate once packaged with an entry of the directory for each"+text, func() {
			var before v1.Image
			BeforeEach(func() {
				before = asBefore(b.build(file()), labelled)
				b.keepLayout("before", before)
			})

			It("are taken apart, and their layer is never used as it is", func() {
				top := b.toml("acme_root@1", "acme_left@1", "acme_a@1", "acme_b@1", "acme_a@2", "acme_a@3")
				want := map[flatten.Mode]string{}
				for _, mode := range []flatten.Mode{flatten.None, flatten.Composites, flatten.All} {
					want[mode] = imageID(b.build(top, flat(mode)).Image)
				}
				cached := b.cached("cache")
				for range 2 { // the second time the cache has a report of the layer
					for mode, id := range want {
						img := b.build(b.toml("acme_root@1", "before"), both(flat(mode), cached))
						Expect(imageID(img.Image)).To(Equal(id))
						Expect(blobsOf(img.Image)).NotTo(ContainElement(blobsOf(before)[0]))
					}
				}
				again := blobsOf(b.build(b.toml("before"), flat(flatten.All)).Image)
				Expect(again).To(Equal(blobsOf(b.build(file(), flat(flatten.All)).Image)))
			})

			It("are refused as packaged, with what to do", func() {
				Expect(b.fails(b.toml("acme_root@1", "before"), flat(flatten.AsPackaged))).To(MatchError(And(
					ContainSubstring("has two entries for /cnb/buildpacks/acme_a, which Docker and podman refuse"),
					ContainSubstring("; use a mode other than as-packaged"))))
			})

			It("are built anew over such a previous image, and the plan stays", func() {
				for _, mode := range []flatten.Mode{flatten.All, flatten.Auto} {
					c := both(flat(mode), func(o *packager.Options) { o.MaxLayers = 1 })
					want := b.build(file(), c)
					img := b.build(file(), both(c, over(location.OCILayout, b.At("before"), "")))
					Expect(blobsOf(img.Image)).To(Equal(blobsOf(want.Image)))
					Expect(reused(img)).To(BeZero())
				}
			})
		})
	}

	It("are used as they are where another tool has them in laminate's shape, and read as packaged only where nothing is said of them", func() {
		ours := b.build(file(), flat(flatten.All)).Image
		r := newCountingRegistry()
		push(ours, r.host+"/acme/ours:1")
		theirs := recompressed(ours, gzip9)
		push(theirs, r.host+"/acme/theirs:1")
		for _, img := range []v1.Image{ours, theirs} {
			name := map[v1.Image]string{ours: "ours", theirs: "theirs"}[img]
			r.layerReads(img)
			jobs, err := b.prepare(b.toml("acme_root@1", "docker://"+r.host+"/acme/"+name+":1"), flat(flatten.AsPackaged))
			Expect(err).NotTo(HaveOccurred())
			made, err := jobs[0].Build(GinkgoT().Context())
			Expect(err).NotTo(HaveOccurred())
			Expect(blobsOf(made.Image)).To(ContainElement(blobsOf(img)[0]))
			reads := r.layerReads(img)
			Expect(slices.Max(reads)).To(Equal(map[string]int{"ours": 0, "theirs": 1}[name]))
		}
	})

	It("stay as pack flattened them, apart from each other, as packaged, and are built anew otherwise", func() {
		random := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 1))
		for range 5 {
			theirs := flattenedByPack(b.build(file()).Image, random)
			b.keepCNB("theirs.cnb", theirs)
			top := b.toml("acme_root@1", "theirs.cnb")
			Expect(blobsOf(b.build(top, flat(flatten.AsPackaged)).Image)).To(ContainElement(blobsOf(theirs)[0]))
			Expect(filesOf(b.build(top, flat(flatten.Composites)).Image)).To(HaveLen(len(filesOf(b.build(top).Image))))
		}
	})
})
