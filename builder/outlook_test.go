package builder_test

import (
	"context"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/fixtures"
	"laminate/flatten"
)

var _ = Describe("the outlook", func() {
	var b *bench
	var file string
	BeforeEach(func() {
		b = newBench()
		file = b.dozen()
	})
	look := func(changes ...change) (builder.Outlook, *builder.Job) {
		GinkgoHelper()
		job := b.plan(file, changes...)
		o, err := job.Outlook(context.Background())
		Expect(err).NotTo(HaveOccurred())
		return o, job
	}
	const all = 12

	It("knows of nothing before where there is no previous image", func() {
		o, job := look()
		Expect(o.Previous).To(BeEmpty())
		Expect(o.Besides).To(BeEmpty())
		Expect(o.Kept).To(BeZero())
		Expect(isNew(o)).To(HaveEach(true))
		img, err := job.Build(context.Background())
		Expect(err).NotTo(HaveOccurred())
		for i, l := range layersOf(img.Image)[2 : 2+all] {
			rc, err := l.Uncompressed()
			Expect(err).NotTo(HaveOccurred())
			Expect(o.Bytes[i]).To(Equal(length(rc)-1024), "of %v", job.Plan[i].Refs)
		}
	})

	It("is that nothing is new over what was made just so", func() {
		b.keepImage("previous", b.build(file, flat(flatten.Composites)).Image)
		o, _ := look(flat(flatten.Composites), b.over("previous"))
		Expect(isNew(o)).To(HaveEach(false))
		Expect(o.Kept).To(Equal(len(isNew(o))))
		Expect(o.Besides).To(BeEmpty())
	})

	It("tells what is new, and what Docker's engine keeps: all below the first that differs", func() {
		b.keepImage("previous", b.build(file).Image)
		b.Write("acme_e@1/lib/data", "changed")
		o, job := look(b.over("previous"))
		at := slices.IndexFunc(job.Plan, func(l flatten.PlannedLayer) bool { return l.Refs[0].ID == "acme/e" })
		for i, fresh := range isNew(o) {
			Expect(fresh).To(Equal(i == at))
		}
		Expect(o.Kept).To(Equal(at))
		Expect(o.Besides).To(BeEmpty())
	})

	It("is right about what is made of it: just those layers are new", func() {
		previous := b.build(file, auto(9)).Image
		b.keepImage("previous", previous)
		b.Write("acme_b@1/lib/data", "changed")
		b.Write("acme_h@1/lib/data", "changed")
		o, job := look(auto(8), b.over("previous"))
		img, err := job.Build(context.Background())
		Expect(err).NotTo(HaveOccurred())
		is, was := blobsOf(img.Image)[2:], blobsOf(previous)
		for i, fresh := range isNew(o) {
			Expect(slices.Contains(was, is[i])).To(Equal(!fresh), "layer %d", i+1)
		}
	})

	It("names what else is new: build image, lifecycle, whiteouts, extensions, configuration", func() {
		b.Extension("acme/ext@1")
		file = b.dozen(extensions("acme_ext@1"), orderExtensions("acme/ext@1"))
		b.keepImage("previous", b.build(file).Image)
		b.keepImage("base", b.build(b.toml(buildpacks("acme_alone@1"), order("acme/alone@1"))).Image)
		b.Write("lifecycle.tgz", gz(tarOf(lifecycleFiles{binary: "other"}.entries()...)))
		b.Write("acme_ext@1/bin/generate", "changed")
		file = b.dozen(extensions("acme_ext@1"), orderExtensions("acme/ext@1"), "[[run.images]]\nimage = 'oci:run'\nmirrors = ['oci:run']\n")
		b.Write("acme_alone@1/lib/data", "changed")
		o, _ := look(b.over("previous"))
		Expect(o.Besides).To(Equal([]string{"build image (1 of 4)", "lifecycle", "whiteouts", "acme/ext@1", "configuration"}))
		Expect(o.Kept).To(BeZero())
	})

	It("reads no layer where labels tell, and writes nothing", func() {
		r := fixtures.CountedRegistry(GinkgoT())
		file = b.packed("docker://"+r.Host+"/acme/%s:1", flatten.Composites)
		tag, err := name.NewTag(r.Host + "/acme/builder:1")
		Expect(err).NotTo(HaveOccurred())
		Expect(remote.Write(tag, b.build(file, auto(9)).Image)).To(Succeed())
		r.Reset()
		for _, n := range []int{15, 9, 5} {
			o, _ := look(auto(n), overRegistry(r.Host+"/acme/builder:1"))
			Expect(o.Bytes).To(HaveEach(BeNumerically(">", 0)))
		}
		down, up := r.Layers()
		Expect(down + up).To(BeZero())
	})
})
