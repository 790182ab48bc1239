package builder_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/engine"
	"laminate/packager/image"
	"laminate/packager/location"
)

var _ = Describe("the sources of a builder", func() {
	It("are known by digest, or by their content", func(ctx SpecContext) {
		b := newBench()
		b.pack("oci:layout", flatten.All, b.Composite("acme/all@1", "acme/in@1"), b.Component("acme/in@1"))
		b.pack("docker-archive:saved.tar:acme/saved:1", flatten.All, b.Component("acme/saved@1"))
		dir := b.Component("acme/dir@1")
		job := b.plan(b.toml(buildpacks(dir, "oci:layout", "docker-archive:saved.tar"), extensions(b.Extension("acme/ext@1")), order("acme/dir", "acme/all", "acme/saved")))
		open := func(kind location.Kind, path string) *image.Image {
			found, err := b.opener(GinkgoT().TempDir()).Platforms(context.Background(), location.Location{Kind: kind, Path: b.At(path), Written: path}, flatten.Target{})
			Expect(err).NotTo(HaveOccurred())
			return found.Images[0]
		}
		base, err := open(location.OCILayout, "base").Digest()
		Expect(err).NotTo(HaveOccurred())
		layout, err := open(location.OCILayout, "layout").Digest()
		Expect(err).NotTo(HaveOccurred())
		saved, err := open(location.DockerArchive, "saved.tar").ConfigName()
		Expect(err).NotTo(HaveOccurred())

		before, err := job.Sources(ctx)
		Expect(err).NotTo(HaveOccurred())
		img, err := job.Build(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(job.Sources(ctx)).To(Equal(before))
		diffIDs := configOf(img.Image).RootFS.DiffIDs
		Expect(before).To(Equal([]engine.Used{
			{Name: "oci:base", Digest: base},
			{Name: "lifecycle.tgz", Digest: before[1].Digest, OfContent: true},
			{Name: dir, Digest: before[2].Digest, OfContent: true},
			{Name: "oci:layout", Digest: layout},
			{Name: "docker-archive:saved.tar", Digest: saved, OfContent: true},
			{Name: "acme_ext@1", Digest: before[5].Digest, OfContent: true},
		}))
		for _, i := range []int{1, 2, 5} { // each has a layer of its own
			Expect(diffIDs).To(ContainElement(before[i].Digest))
		}
		Expect(before[2].Digest).NotTo(Equal(before[5].Digest))
	})
})
