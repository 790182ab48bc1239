package builder_test

import (
	"encoding/json"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

var _ = Describe("a build image that is a builder", func() {
	var b *bench
	BeforeEach(func() {
		b = newBench()
		b.Add(module{Ref: "acme/a@1", Files: map[string]string{"lib/old": "old", "lib/both": "old"}})
		b.Component("acme/b@1")
		b.Component("acme/c@1")
		b.Composite("acme/left@1", "acme/a@1", "acme/b@1")
	})
	// before makes a builder of a, b and left, and lets it be the build image.
	before := func(c change) v1.Image {
		img := b.build(b.toml("description = 'old'\n", buildpacks("acme_left@1", "acme_a@1", "acme_b@1"), order("acme/left@1"), "[[system.pre.buildpacks]]\nid = 'acme/b'\n"), c).Image
		b.keepImage("base", img)
		return img
	}

	for _, mode := range []flatten.Mode{flatten.None, flatten.Composites, flatten.All} {
		Describe("flattened by "+string(mode), func() {
			It("keeps what the sources have too, where it is, when the content is the same", func() {
				old := before(flat(mode))
				job := b.plan(b.toml(buildpacks("acme_left@1", "acme_a@1", "acme_b@1", "acme_c@1"), order("acme/left@1", "acme/c@1")), flat(mode))
				Expect(job.Overridden).To(BeEmpty())
				Expect(job.Plan).To(HaveLen(1))
				img := b.build(b.At("builder.toml"), flat(mode)).Image
				Expect(layersOf(img)).To(HaveLen(len(layersOf(old)) + 3)) // lifecycle, c, configuration
				Expect(shared(img)).To(Equal(append(shared(old), "acme/c@1")))
				labels := configOf(img).Config.Labels
				Expect(labels["io.buildpacks.builder.metadata"]).To(ContainSubstring(`"buildpacks":[{"id":"acme/left","version":"1"},{"id":"acme/a","version":"1"},{"id":"acme/b","version":"1"},{"id":"acme/c","version":"1"}]`))
				Expect(labels["io.buildpacks.builder.metadata"]).To(ContainSubstring(`"description":"",`))
				Expect(labels).NotTo(HaveKey("io.buildpacks.buildpack.system")) // that was the old one's
			})

			It("has other content replaced: old files do not show, and one layer more hides them", func() {
				old := before(flat(mode))
				b.Write("acme_a@1/lib/both", "new")
				b.Write("acme_a@1/lib/new", "new")
				remove(b.At("acme_a@1/lib/old"))
				file := b.toml(buildpacks("acme_left@1", "acme_a@1", "acme_b@1"), order("acme/left@1"))
				job := b.plan(file, flat(mode))
				Expect(job.Overridden).To(Equal([]flatten.Ref{{ID: "acme/a", Version: "1"}}))
				Expect(job.Layers.Whiteouts).To(Equal(1))
				img := b.build(file, flat(mode)).Image // exact: the label and what shows agree
				Expect(layersOf(img)).To(HaveLen(len(layersOf(old)) + 4))
				files := seenIn(img)
				Expect(files).NotTo(HaveKey("/cnb/buildpacks/acme_a/1/lib/old"))
				Expect(files["/cnb/buildpacks/acme_a/1/lib/both"].Body).To(Equal("new"))
				Expect(files).To(HaveKey("/cnb/buildpacks/acme_a/1/lib/new"))
				Expect(goldens(layersOf(img)[len(layersOf(old))+1])).To(Equal("0 0644 0:0 1980-01-01T00:00:01Z /cnb/buildpacks/acme_a/.wh.1"))

				Expect(strings.Count(labelOf(img, "io.buildpacks.builder.metadata"), `"acme/a"`)).To(Equal(1))

				// And what comes of that is a build image once more.
				b.keepImage("base", img)
				again := b.build(file, flat(mode)).Image
				Expect(layersOf(again)).To(HaveLen(len(layersOf(img)) + 2))
				want := shows(b.build(file, flat(mode)).Image)
				Expect(shows(again)).To(Equal(want))
			})

			It("may have its buildpacks named in orders and in wishes", func() {
				before(flat(mode))
				img := b.build(b.toml(buildpacks("acme_left@1", "acme_a@1", "acme_b@1", "acme_c@1"), order("acme/left acme/c")), group("acme/a@1", "acme/c@1"), exclude("acme/b")).Image
				Expect(shared(img)).To(ContainElement("acme/c@1"))
			})

			It("returns orders what they name, with no source of it", func() {
				before(flat(mode))
				img := b.build(b.toml(order("acme/left"))).Image
				Expect(seenIn(img)["/cnb/order.toml"].Body).To(ContainSubstring("version = '1'"))
			})
		})
	}

	It("made by others, with a flattened layer, is taken apart where it has to be", func() {
		old := before(flat(flatten.All))
		label, layers := layersLabelOf(old, flatten.Buildpack), layersOf(old)
		shared := entriesOf(layers[2])
		text, err := json.Marshal(label)
		Expect(err).NotTo(HaveOccurred())
		rest := layerOf(types.DockerLayer, shared...)
		diffID, err := rest.DiffID()
		Expect(err).NotTo(HaveOccurred())
		wasID, err := layers[2].DiffID()
		Expect(err).NotTo(HaveOccurred())
		labels := map[string]string{flatten.BuildpackLayersLabel: strings.ReplaceAll(string(text), wasID.String(), diffID.String())}
		b.keepImage("base", baseImage{labels: labels, more: []v1.Layer{rest}}.image())
		b.Write("acme_b@1/lib/data", "new")
		job := b.plan(b.toml(buildpacks("acme_left@1", "acme_a@1", "acme_b@1"), order("acme/left")))
		Expect(job.Overridden).To(Equal([]flatten.Ref{{ID: "acme/b", Version: "1"}}))
		img := b.build(b.At("builder.toml")).Image
		Expect(seenIn(img)["/cnb/buildpacks/acme_b/1/lib/data"].Body).To(Equal("new"))
		Expect(layersOf(img)).To(HaveLen(2 + 1 + 1 + 1 + 1))
	})

	It("cannot have a buildpack whose directory another one would have", func() {
		before(flat(flatten.None))
		b.Component("acme_a@1")
		Expect(b.message(b.fails(b.toml(buildpacks("acme_a@1"), order("acme_a@1"))))).To(Equal(
			"buildpack acme_a@1 (acme_a@1) and acme/a@1 of the build image share the directory /cnb/buildpacks/acme_a/1; change the id or version of one"))
	})

	It("may have extensions, which are kept and replaced likewise", func() {
		b.Extension("acme/x@1")
		b.keepImage("base", b.build(b.toml(extensions("acme_x@1"), orderExtensions("acme/x@1"))).Image)
		same := b.plan(b.At("builder.toml"))
		Expect(same.Extensions).To(BeEmpty())
		b.Write("acme_x@1/bin/generate", "new")
		img := b.build(b.At("builder.toml")).Image
		Expect(seenIn(img)["/cnb/extensions/acme_x/1/bin/generate"].Body).To(Equal("new"))
	})

	It("has labels that are looked at before they are believed", func() {
		b.keepImage("base", baseImage{labels: map[string]string{flatten.BuildpackLayersLabel: `{"a":{"1":{"layerDiffID":"sha256:no"}}}`}}.image())
		Expect(b.message(b.fails(b.toml()))).To(HavePrefix("builder.toml:3: build image oci:base: layers label: a@1: layerDiffID: "))
		b.keepImage("base", baseImage{labels: map[string]string{"io.buildpacks.builder.metadata": "{"}}.image())
		job := b.plan(b.toml())
		_, err := job.Build(GinkgoT().Context())
		Expect(err).To(MatchError("build image oci:base: label io.buildpacks.builder.metadata: unexpected end of JSON input"))
	})
})
