package packager_test

import (
	"archive/tar"
	"encoding/json"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/location"
)

func withConfig(img v1.Image, config *v1.ConfigFile) v1.Image {
	GinkgoHelper()
	img, err := mutate.ConfigFile(img, config)
	Expect(err).NotTo(HaveOccurred())
	return img
}

// withFacts puts laminate's own label on an image of one layer.
func withFacts(img v1.Image, pieces ...flatten.Facts) v1.Image {
	GinkgoHelper()
	config := configOf(img).DeepCopy()
	recipes := flatten.RecipesLabel{}
	recipes.Add(config.RootFS.DiffIDs[0], pieces)
	text, err := json.Marshal(recipes)
	Expect(err).NotTo(HaveOccurred())
	config.Config.Labels[flatten.RecipesLabelKey] = string(text)
	return withConfig(img, config)
}

var _ = Describe("the image that is replaced", func() {
	previous := func(b *bench) change { return over(location.OCILayout, b.At("previous"), "") }
	evil := func() v1.Layer {
		return gzip9(tarOf(entry{Header: tar.Header{Name: "/cnb/lifecycle/creator", Typeflag: tar.TypeReg, Mode: 0o4755}, Body: "#!/bin/sh"}))
	}

	It("leaves nothing to be built where nothing changed, and its digest", func() {
		b := newBench()
		for _, mode := range []flatten.Mode{flatten.None, flatten.Composites, flatten.All} {
			want := b.pair(mode)
			b.keepLayout("previous", want.Image)
			b.Log.Tasks = nil
			img := b.build(b.toml("acme_left@1", "acme_a@1", "acme_b@1"), flat(mode), previous(b))
			Expect(digestOf(img.Image)).To(Equal(digestOf(want.Image)))
			Expect(reused(img)).To(Equal(len(want.Layers)))
			Expect(b.Log.Tasks).NotTo(ContainElement(HavePrefix("building")))
			Expect(os.RemoveAll(b.At("previous"))).To(Succeed())
		}
	})

	It("has what foreign packages come to, so that nothing of either is read", func() {
		b := newBench()
		r := newCountingRegistry()
		theirs := recompressed(b.pair(flatten.None).Image, gzip9)
		file := b.toml("acme_root@1", push(theirs, r.host+"/acme/left:1"))
		ours := b.build(file, flat(flatten.All)).Image
		push(ours, r.host+"/acme/root:1")
		r.layerReads(ours)
		jobs, err := b.prepare(file, flat(flatten.All), over(location.Registry, "", r.host+"/acme/root:1"))
		Expect(err).NotTo(HaveOccurred())
		img, err := jobs[0].Build(GinkgoT().Context())
		Expect(err).NotTo(HaveOccurred())
		Expect(digestOf(img.Image)).To(Equal(digestOf(ours)))
		for _, d := range append(blobsOf(theirs), blobsOf(ours)...) {
			Expect(r.gets).NotTo(HaveKey(d))
		}
	})

	It("does not bring in a layer in which platforms would find nothing", func() {
		b := newBench()
		// A source whose only layer is not in normal form, and an image of
		// another tool that took it as it is.
		sprawling := relayered(b.lone("acme/a@1", gzip9), func(content []byte) []byte {
			return append(tarOf(entry{Header: tar.Header{Name: "/cnb", Typeflag: tar.TypeDir, Mode: 0o755}})[:512:512], content...)
		})
		b.keepLayout("previous", sprawling)
		for _, from := range []string{b.keepLayout("left", sprawling), b.Keep(sprawling, "docker-archive:own.tar:acme/own:1")} {
			img := b.build(b.toml(from), previous(b))
			Expect(digestOf(img.Image)).To(Equal(digestOf(b.build(b.toml(from)).Image)))
			Expect(blobsOf(img.Image)).NotTo(Equal(blobsOf(sprawling)))
		}
	})

	It("is found out where its blob has another diffID than it says, when that is read", func() {
		b := newBench()
		honest := gzip9Image(b.pair(flatten.None))
		layers, err := honest.Layers()
		Expect(err).NotTo(HaveOccurred())
		b.keepLayout("previous", withConfig(relabelled(honest, layersLabelOf(honest), append([]v1.Layer{evil()}, layers[1:]...)...), configOf(honest)))
		Expect(b.fails(b.toml("acme_left@1", "acme_a@1", "acme_b@1"), previous(b))).To(MatchError(ContainSubstring("is outside of /cnb/buildpacks")))
	})

	It("is found out where its label has the right recipe of a wrong layer, whatever refs it names", func() {
		b := newBench()
		honest := b.pair(flatten.All)
		pieces := honest.Layers[0].Pieces
		for _, renamed := range []bool{false, true} {
			forged := append([]flatten.Facts{}, pieces...)
			if renamed {
				forged[0].Ref.Version = "2"
			}
			spoiled := relayered(honest.Image, func(content []byte) []byte {
				return append(tarOf(entry{Header: tar.Header{Name: "/cnb/lifecycle/creator", Typeflag: tar.TypeReg, Mode: 0o4755}, Body: "#!/bin/sh"})[:1024:1024], content...)
			})
			b.keepLayout("previous", withFacts(spoiled, forged...))
			img, err := b.run(b.toml("acme_left@1", "acme_a@1", "acme_b@1"), flat(flatten.All), previous(b))
			if renamed {
				Expect(err).NotTo(HaveOccurred())
				Expect(digestOf(img.Image)).To(Equal(digestOf(honest.Image)))
			} else {
				Expect(err).To(MatchError(ContainSubstring("is outside of /cnb/buildpacks")))
			}
			Expect(os.RemoveAll(b.At("previous"))).To(Succeed())
		}
	})

	It("of another compression gives nothing", func() {
		b := newBench()
		b.keepLayout("previous", b.pair(flatten.All).Image)
		img := b.build(b.toml("acme_left@1", "acme_a@1", "acme_b@1"), flat(flatten.All), compressed(layer.Zstd), previous(b))
		Expect(reused(img)).To(BeZero())
	})
})
