package packager_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/engine"
	"laminate/packager/location"
)

var _ = Describe("what a dry run says of a layer", func() {
	It("is what the run does, where the previous image holds a source's layer that is not in normal form", func() {
		b := newBench()
		honest := b.build(b.toml(b.Component("acme/a@1"))).Image
		layers, err := honest.Layers()
		Expect(err).NotTo(HaveOccurred())
		entries := entriesOf(layers[0])
		for i := range entries {
			entries[i].Name = strings.TrimPrefix(entries[i].Name, "/")
		}
		_, err = b.alien(entries)
		Expect(err).NotTo(HaveOccurred())
		file := b.toml("alien")
		run := func(mode flatten.Mode, changes ...change) *engine.Image {
			img, err := b.run(file, append(changes, flat(mode))...)
			Expect(err).NotTo(HaveOccurred())
			return img
		}
		previous := run(flatten.AsPackaged).Image
		b.keepLayout("previous", previous)
		over := over(location.OCILayout, b.At("previous"), "")

		b.Keep(previous, "docker-archive:previous.tar:acme/previous:1") // which has no blobs
		unstored := oldArchive(b)
		outlook, _ := b.outlook(file, unstored)
		Expect(outlook.IsNew(0)).To(BeTrue())
		outlook, _ = b.outlook(file, flat(flatten.AsPackaged), unstored)
		Expect(outlook.IsNew(0)).To(BeFalse())

		for mode, isNew := range map[flatten.Mode]bool{flatten.None: true, flatten.AsPackaged: false} {
			outlook, _ := b.outlook(file, flat(mode), over)
			img := run(mode, over)
			Expect(outlook.IsNew(0)).To(Equal(isNew), string(mode))
			Expect(outlook.Layers[0].Origin).To(Equal(img.Layers[0].Origin), string(mode))
			Expect(blobsOf(img.Image)[0] != blobsOf(previous)[0]).To(Equal(isNew), string(mode))
		}
		outlook, _ = b.outlook(file, over)
		Expect(outlook.Layers[0].Why).To(ContainSubstring("not in normal form"))
	})
})

var _ = Describe("a source's layer of which only the previous image says what it holds", func() {
	It("is used unread, and gives the same image as if it had been read", func() {
		b := newBench()
		r := newCountingRegistry()
		foreign := flattenedByPack(b.pair(flatten.None).Image, rand.New(rand.NewPCG(1, 2)))
		ref := r.host + "/acme/left:1"
		push(foreign, ref)
		file := b.toml("docker://" + ref)
		first := b.build(file, flat(flatten.All))
		Expect(r.layerReads(foreign)).NotTo(HaveEach(0))
		b.keepLayout("previous", first.Image)
		r.layerReads(foreign) // which counts anew

		jobs, err := b.prepare(file, flat(flatten.All), over(location.OCILayout, b.At("previous"), ""))
		Expect(err).NotTo(HaveOccurred())
		again, err := jobs[0].Build(GinkgoT().Context())
		Expect(err).NotTo(HaveOccurred())
		Expect(r.layerReads(foreign)).To(HaveEach(0))
		Expect(again.Layers[0].Origin).To(Equal(engine.FromSource))
		Expect(digestOf(again.Image)).To(Equal(digestOf(first.Image)))
		Expect(readThrough(again.Image)).To(Succeed())
	})
})

var _ = Describe("as packaged", func() {
	It("uses the source's layer, also where the previous image has the same content in another", func() {
		b := newBench()
		exploded := b.pair(flatten.None).Image
		b.Keep(b.pair(flatten.All).Image, "oci:previous:v1")
		var source v1.Image // with the same pieces in another order, which its label tells
		for seed := uint64(0); source == nil || slices.Equal(entryNames(source), entryNames(b.pair(flatten.All).Image)); seed++ {
			b.keepLayout("foreign", flattenedByPack(exploded, rand.New(rand.NewPCG(seed, seed))))
			source = b.build(b.toml("foreign"), flat(flatten.All)).Image
		}
		b.keepLayout("left", source)
		file := b.toml("left")
		img, err := b.run(file, flat(flatten.AsPackaged), over(location.OCILayout, b.At("previous"), "v1"))
		Expect(err).NotTo(HaveOccurred())
		Expect(blobsOf(img.Image)).To(Equal(blobsOf(source)))
	})

	It("gives the same labels with a previous image that knows more of a layer, and without", func() {
		b := newBench()
		b.keepLayout("left", flattenedByPack(b.pair(flatten.None).Image, rand.New(rand.NewPCG(1, 2))))
		file := b.toml("left")
		b.keepLayout("previous", b.build(file, flat(flatten.All)).Image)
		without := b.build(file, flat(flatten.AsPackaged))
		with := b.build(file, flat(flatten.AsPackaged), over(location.OCILayout, b.At("previous"), ""))
		Expect(digestOf(with.Image)).To(Equal(digestOf(without.Image)))
	})
})

func entryNames(img v1.Image) (names []string) {
	GinkgoHelper()
	layers, err := img.Layers()
	Expect(err).NotTo(HaveOccurred())
	for _, e := range entriesOf(layers[0]) {
		names = append(names, e.Name)
	}
	return names
}

func oldArchive(b *bench) change {
	return over(location.DockerArchive, b.At("previous.tar"), "acme/previous:1")
}

var _ = Describe("a previous image without blobs", func() {
	It("has the layers that packages provide", func() {
		b := newBench()
		var packages []string
		for _, name := range []string{"a", "b", "left"} {
			if name == "left" {
				b.Composite("acme/left@1", "acme/a@1", "acme/b@1")
				continue
			}
			packages = append(packages, b.keepLayout(name, b.build(b.toml(b.Component("acme/"+name+"@1"))).Image))
		}
		file := b.toml("acme_left@1", packages...)
		b.Keep(b.build(file).Image, "docker-archive:previous.tar:acme/previous:1")
		outlook, _ := b.outlook(file, oldArchive(b))
		for i := range outlook.Layers {
			Expect(outlook.IsNew(i)).To(BeFalse(), "layer %d", i+1)
		}
	})
})

var _ = Describe("an automatic plan", func() {
	It("reads no layer, also if no label describes it", func() {
		b := newBench()
		r := newCountingRegistry()
		foreign := gzip9Image(b.pair(flatten.None))
		push(foreign, r.host+"/acme/left:1")
		file := b.toml("docker://" + r.host + "/acme/left:1")
		r.layerReads(foreign)
		b.prepareOver(file, r.host+"/acme/left:1")
		Expect(r.layerReads(foreign)).To(HaveEach(0))
	})
})

func (b *bench) prepareOver(file, previous string) {
	GinkgoHelper()
	_, err := b.prepare(file, auto(2), over(location.Registry, "", previous))
	Expect(err).NotTo(HaveOccurred())
}

var _ = Describe("as packaged, over its own output", func() {
	It("uses the layers again of which only a part counts", func() {
		b := newBench()
		for _, ref := range []string{"acme/a@1", "acme/b@1", "acme/s@1"} {
			b.Component(ref)
		}
		for _, name := range []string{"a", "b"} {
			b.Composite("acme/of-"+name+"@1", "acme/"+name+"@1", "acme/s@1")
			img := b.build(b.toml("acme_of-"+name+"@1", "acme_"+name+"@1", "acme_s@1"), flat(flatten.All)).Image
			b.Keep(img, "docker-archive:"+name+".tar:acme/"+name+":1")
		}
		b.Composite("acme/root@1", "acme/of-a@1", "acme/of-b@1")
		file := b.toml("acme_root@1", "docker-archive:a.tar", "docker-archive:b.tar")
		first := b.build(file, flat(flatten.AsPackaged))
		b.keepLayout("out", first.Image)
		again := b.build(file, flat(flatten.AsPackaged), over(location.OCILayout, b.At("out"), ""))
		Expect(digestOf(again.Image)).To(Equal(digestOf(first.Image)))
		Expect(reused(again)).To(Equal(len(again.Layers)))
	})
})

var _ = Describe("layers that cannot be read", func() {
	It("are reported by the first of the plan, whichever fails first", func() {
		b := newBench()
		var packages []string
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			b.Component("acme/" + name + "@1")
			img := gzip9Image(b.build(b.toml("acme_" + name + "@1")))
			packages = append(packages, b.keepLayout(name, img))
			if name != "a" {
				for _, blob := range blobsOf(img) {
					Expect(os.WriteFile(b.At(name+"/blobs/sha256/"+strings.TrimPrefix(blob, "sha256:")), []byte("short"), 0o600)).To(Succeed())
				}
			}
		}
		b.Composite("acme/root@1", "acme/a@1", "acme/b@1", "acme/c@1", "acme/d@1", "acme/e@1")
		for range 10 {
			Expect(b.fails(b.toml("acme_root@1", packages...))).To(MatchError(HavePrefix("b: layer ")))
		}
	})
})
