package packager_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/engine"
)

var _ = Describe("the sources of a package", func() {
	It("are the root and the dependencies in the order of package.toml", func(ctx SpecContext) {
		b := newBench()
		root := b.Composite("acme/all@1", "acme/b@1", "acme/a@1")
		jobs, err := b.prepare(b.toml(root, b.Component("acme/b@1"), b.Component("acme/a@1")))
		Expect(err).NotTo(HaveOccurred())
		img, err := jobs[0].Build(ctx)
		Expect(err).NotTo(HaveOccurred())
		config, err := img.Image.ConfigFile()
		Expect(err).NotTo(HaveOccurred())
		ids := config.RootFS.DiffIDs // acme/a, acme/b, acme/all
		Expect(ids).To(HaveLen(3))
		sources, err := jobs[0].Sources(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(sources).To(ConsistOf(
			engine.Used{Name: root, Digest: sources[0].Digest, OfContent: true},
			engine.Used{Name: "acme_b@1", Digest: sources[1].Digest, OfContent: true},
			engine.Used{Name: "acme_a@1", Digest: sources[2].Digest, OfContent: true},
		))
		for _, s := range sources {
			Expect(ids).To(ContainElement(s.Digest))
		}
	})
})
