package release_test

import (
	"maps"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/release"
	"laminate/fixtures"
	"laminate/fixtures/workbench"
	"laminate/flatten"
)

var _ = Describe("a release", func() {
	var l *lab
	BeforeEach(func() { l = newLab() })

	It("publishes both variants and a buildpackage, everywhere under the same digests", func() {
		other := fixtures.CountedRegistry(GinkgoT())
		toml := l.toml("builder mirror "+other.Host+"/far", variants) + l.javaTOML("java")
		o := l.succeed(toml, "1.2.3")
		Expect(o.State).To(Equal(release.Pending))
		tags := l.tags()
		Expect(slices.Sorted(maps.Keys(tags))).To(Equal([]string{
			"builder:1.2.3-buildpackless-full", "builder:1.2.3-full", "builder:buildpackless-full", "builder:full", "java:1.2.3", "java:latest",
			"mirror:1.2.3-buildpackless-full", "mirror:1.2.3-full", "mirror:buildpackless-full", "mirror:full",
		}))
		far := (&lab{Bench: l.Bench, Traffic: other}).tags()
		for _, tag := range []string{"1.2.3-full", "full"} {
			Expect([]string{tags["builder:"+tag], tags["mirror:"+tag], far["far:"+tag]}).To(HaveEach(o.Items[0].Digest))
		}
		for _, tag := range []string{"1.2.3-buildpackless-full", "buildpackless-full"} {
			Expect([]string{tags["builder:"+tag], tags["mirror:"+tag], far["far:"+tag]}).To(HaveEach(o.Items[1].Digest))
		}
		Expect([]string{tags["java:1.2.3"], tags["java:latest"]}).To(HaveEach(o.Items[2].Digest))

		By("saying what it did")
		Expect(o.Schema).To(Equal(1))
		Expect(o.Version).To(Equal("1.2.3"))
		Expect(o.Items[1].Title).To(Equal("buildpackless-full"))
		Expect(o.Items[1].Tags).To(ContainElement(other.Host + "/far:1.2.3-buildpackless-full"))
		Expect(o.Items[2].Kind).To(Equal("buildpackage"))
		for _, item := range o.Items {
			Expect(item.Verified).To(HaveLen(1))
			Expect(item.Verified[0].OK).To(BeTrue())
			Expect(item.Last).To(BeEmpty())
			Expect(item.Images[0].Digest).To(Equal(item.Digest))
		}
	})

	It("makes a buildpackless variant of the layers of the standard one, which says that it has no buildpacks", func() {
		l.succeed(l.toml("builder", variants), "1.0.0")
		standard, less := l.image("builder:full"), l.image("builder:buildpackless-full")
		blobs, fewer := workbench.BlobsOf(standard), workbench.BlobsOf(less)
		Expect(fewer[:len(fewer)-1]).To(Equal(blobs[:len(fewer)-1]), "all but the configuration")
		Expect(blobs).To(HaveLen(len(fewer) + 2))
		label := workbench.ConfigOf(less).Config.Labels[flatten.BuilderMetadataLabel]
		Expect(label).To(ContainSubstring(`"description":"Two tools. No buildpacks are included; specify them for each build."`))
		Expect(workbench.ConfigOf(standard).Config.Labels[flatten.BuilderMetadataLabel]).To(ContainSubstring(`"description":"Two tools"`))
	})

	It("describes variants as it is told to", func() {
		l.succeed(l.toml("builder", "[[builders.variants]]\nname = 'buildpackless'\ndescription = 'Bring your own.'"), "1.0.0")
		Expect(workbench.ConfigOf(l.image("builder:buildpackless-full")).Config.Labels[flatten.BuilderMetadataLabel]).To(ContainSubstring(`"description":"Bring your own."`))
	})

	It("has an index of several targets, the same in all repositories", func() {
		targets := "targets = ['linux/amd64', 'linux/arm64', 'linux/amd64:busybox@1']\n"
		other := fixtures.CountedRegistry(GinkgoT())
		o := l.succeed(l.toml("builder mirror "+other.Host+"/far", targets), "1.0.0")
		tags, far := l.tags(), (&lab{Bench: l.Bench, Traffic: other}).tags()
		Expect([]string{tags["builder:full"], tags["mirror:full"], far["far:full"], tags["mirror:1.0.0-full"]}).To(HaveEach(o.Items[0].Digest))
		Expect(o.Items[0].Images).To(HaveLen(3))
		Expect(o.Items[0].Verified).To(HaveLen(3))
	})

	It("counts a blob once, even if it is in an image twice", func() {
		l.succeed(l.toml("builder"), "1.0.0")
		base := l.image("builder:full")
		layers, err := base.Layers()
		Expect(err).NotTo(HaveOccurred())
		size, err := layers[0].Size()
		Expect(err).NotTo(HaveOccurred())
		fixture, err := fixtures.BaseImage("")
		Expect(err).NotTo(HaveOccurred())
		own, err := fixture.Layers()
		Expect(err).NotTo(HaveOccurred())
		twice, err := mutate.AppendLayers(fixture, own[0])
		Expect(err).NotTo(HaveOccurred())
		l.Keep(twice, "oci:twice")
		l.Write("builder.toml", strings.Replace(builderTOML, "image = \"oci:base\"", "image = \"oci:twice\"", 1)+builderOf("acme/a@1.0.0", "acme/b@1.0.0"))
		o := l.succeed(l.toml("other"), "1.0.0")
		img := o.Items[0].Images[0]
		Expect(img.Layers).To(Equal(len(layers) + 1))
		var sum int64
		m, err := l.image("other:full").Manifest()
		Expect(err).NotTo(HaveOccurred())
		for _, d := range m.Layers {
			sum += d.Size
		}
		Expect(img.Bytes).To(Equal(sum - size))
	})

	It("tags as release.toml says", func() {
		l.succeed(l.toml("builder", "tags = ['v{version}_{name}.{variant}', 'edge']"), "1.2.3")
		Expect(l.names()).To(Equal([]string{"builder:edge", "builder:v1.2.3_full.standard"}))
	})

	It("attaches the provenance also if a tag without a version had the digest before", func() {
		l.succeed(l.toml("builder"), "1.0.0")
		ref := func(tag string) name.Reference {
			r, err := name.ParseReference(l.Host + "/second:" + tag)
			Expect(err).NotTo(HaveOccurred())
			return r
		}
		Expect(remote.Write(ref("full"), l.image("builder:full"))).To(Succeed()) // as builder create does
		o := l.succeed(l.toml("second"), "1.0.0", force)
		index, err := remote.Index(ref(strings.Replace(o.Items[0].Digest, ":", "-", 1)))
		Expect(err).NotTo(HaveOccurred())
		m, err := index.IndexManifest()
		Expect(err).NotTo(HaveOccurred())
		Expect(m.Manifests).To(HaveLen(2), "the SBOM, and the provenance")
	})

	It("moves no tag to a prerelease, unless by force", func() {
		toml := l.toml("builder", "tags = ['{version}', 'edge']")
		l.Log.Warnings = nil
		l.succeed(toml, "1.2.3-rc.1")
		Expect(l.names()).To(Equal([]string{"builder:1.2.3-rc.1"}))
		Expect(l.Log.Warnings).To(ContainElement("full: 1.2.3-rc.1 is a prerelease; only tags with the version are written"))
		l.succeed(toml, "1.2.3-rc.1", force)
		Expect(l.names()).To(ConsistOf("builder:1.2.3-rc.1", "builder:edge"))
	})

	It("uses the plan, the media types and the targets of release.toml", func() {
		toml := l.toml("builder", "flatten = 'all'\nmedia-types = 'docker'\ntargets = ['linux/arm64']")
		l.succeed(toml, "1.0.0")
		img := l.image("builder:full")
		Expect(workbench.Shared(img)).To(ContainElement(ConsistOf("acme/a@1.0.0", "acme/b@1.0.0")))
		manifest, err := img.Manifest()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(manifest.MediaType)).To(ContainSubstring("docker"))
		Expect(workbench.ConfigOf(img).Architecture).To(Equal("arm64"))
	})
})
