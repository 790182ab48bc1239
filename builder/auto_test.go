package builder_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/fixtures"
	"laminate/flatten"
	"laminate/flatten/layer"
)

// refsOfDozen are in the order of the expansion; exploded, they make a builder
// of 15 layers.
var refsOfDozen = []string{"acme/left@1", "acme/a@1", "acme/b@1", "acme/c@1", "acme/d@1", "acme/shared@1", "acme/right@1", "acme/e@1", "acme/f@1", "acme/g@1", "acme/h@1", "acme/alone@1"}

// dozen writes twelve buildpacks, of very different sizes, and a builder.toml
// that uses their directories.
func (b *bench) dozen(sections ...string) string {
	GinkgoHelper()
	var dirs []string
	for i, ref := range refsOfDozen {
		switch ref {
		case "acme/left@1":
			dirs = append(dirs, b.Composite(ref, "acme/a@1", "acme/b@1", "acme/c@1", "acme/d@1", "acme/shared@1"))
		case "acme/right@1":
			dirs = append(dirs, b.Composite(ref, "acme/e@1", "acme/f@1", "acme/g@1", "acme/h@1", "acme/shared@1"))
		default:
			dirs = append(dirs, b.Add(module{Ref: ref, Files: map[string]string{"lib/data": strings.Repeat(ref+"\n", 1<<i)}}))
		}
	}
	return b.toml(append(sections, buildpacks(dirs...), order("acme/left@1", "acme/right@1", "acme/alone@1"))...)
}

// packed packages the two composites of the dozen, and gives a builder.toml
// that uses these packages.
func (b *bench) packed(to string, mode flatten.Mode) string {
	GinkgoHelper()
	left := b.pack(fmt.Sprintf(to, "left"), mode, "acme_left@1", "acme_a@1", "acme_b@1", "acme_c@1", "acme_d@1", "acme_shared@1")
	right := b.pack(fmt.Sprintf(to, "right"), mode, "acme_right@1", "acme_e@1", "acme_f@1", "acme_g@1", "acme_h@1", "acme_shared@1")
	return b.toml(buildpacks(left, right, "acme_alone@1"), order("acme/left@1", "acme/right@1", "acme/alone@1"))
}

// auto plans automatically, for so many layers in all.
func auto(n int) change {
	return func(o *builder.Options) { o.Grouping.Mode, o.MaxLayers = flatten.Auto, n }
}

// built are the layers that had to be built.
func (b *bench) built() []string {
	return slices.DeleteFunc(slices.Clone(b.Log.Tasks), func(t string) bool { return !strings.HasPrefix(t, "building ") })
}

// likePack returns the builder as another tool would have made it of the same
// buildpacks: no label of laminate's, layers by name, compressed otherwise.
func likePack(img v1.Image) v1.Image {
	GinkgoHelper()
	config := configOf(img).DeepCopy()
	delete(config.Config.Labels, flatten.RecipesLabelKey)
	config.RootFS.DiffIDs, config.History = nil, nil
	layers := layersOf(img)
	middle := layers[2 : len(layers)-1]
	names := shared(img)
	Expect(middle).To(HaveLen(len(names)))
	byName := map[string]v1.Layer{}
	for i, l := range middle {
		rc, err := l.Uncompressed()
		Expect(err).NotTo(HaveOccurred())
		content, err := io.ReadAll(rc)
		Expect(err).NotTo(HaveOccurred())
		byName[names[i]], err = tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }, tarball.WithCompressionLevel(gzip.HuffmanOnly))
		Expect(err).NotTo(HaveOccurred())
	}
	slices.Sort(names)
	for i, n := range names {
		middle[i] = byName[n]
	}
	other, err := mutate.ConfigFile(empty.Image, config)
	Expect(err).NotTo(HaveOccurred())
	other, err = mutate.AppendLayers(other, layers...)
	Expect(err).NotTo(HaveOccurred())
	return other
}

var _ = Describe("the automatic plan", func() {
	var b *bench
	var file string
	BeforeEach(func() {
		b = newBench()
		file = b.dozen()
	})
	It("is exploded where that fits", func() {
		exploded, img := b.build(file).Image, b.build(file, auto(15)).Image
		Expect(blobsOf(img)).To(ConsistOf(blobsOf(exploded)))
		Expect(shared(img)).To(HaveLen(12))
		Expect(shared(b.build(file, auto(14)).Image)).To(HaveLen(11))
	})

	It("is within the budget, whatever that is, and uses it up", func() {
		for n := 4; n <= 16; n++ {
			Expect(b.plan(file, auto(n)).Layers.Total()).To(Equal(min(n, 15)), "of at most %d", n)
		}
	})

	It("counts extensions and whiteouts, too", func() {
		b.keepImage("base", b.build(b.toml(buildpacks("acme_alone@1"), order("acme/alone@1"))).Image)
		b.Write("acme_alone@1/lib/data", "new")
		b.Extension("acme/ext@1")
		file = b.dozen(extensions("acme_ext@1"))
		b.Write("acme_alone@1/lib/data", "new")
		job := b.plan(file, auto(12))
		Expect(job.Layers.Total()).To(Equal(12))
		Expect(job.Layers.Whiteouts).To(Equal(1))
		Expect(job.Plan).To(HaveLen(12 - 4 - 1 - 1 - 1 - 1))
		b.build(file, auto(12))
	})

	It("is for what platforms can build with, where nobody says how many", func() {
		b.keepImage("base", baseImage{layers: 112}.image())
		Expect(b.build(file, auto(0)).RawManifest()).NotTo(BeEmpty())
		Expect(b.plan(file, auto(0)).Layers.Total()).To(Equal(119))
		Expect(b.plan(b.dozen("[[system.pre.buildpacks]]\nid = 'acme/a'\n"), auto(0)).Layers.Total()).To(Equal(118))
	})

	DescribeTable("tells where there is no room", func(n, least int, changes ...change) {
		err := b.fails(file, append(changes, auto(n))...)
		var over *builder.OverBudgetError
		Expect(errors.As(err, &over)).To(BeTrue(), "%v", err)
		Expect(over.Layers.Total()).To(Equal(least))
		Expect(over.Fits).To(BeEmpty())
		Expect(over.Least).To(Equal(least))
	},
		Entry("for buildpacks", 3, 4),
		Entry("at all", 1, 4),
		Entry("beside what is asked for", 5, 6, group("acme/a@1", "acme/e@1"), exclude("acme/shared@1")),
	)

	It("has the layers that are asked for, and plans the rest", func() {
		img := b.build(file, group("acme/a@1", "acme/e@1"), exclude("acme/shared@1"), auto(7)).Image
		Expect(shared(img)).To(HaveLen(4))
		Expect(shared(img)).To(ContainElements("acme/a@1 acme/e@1", "acme/shared@1"))
		everything := []change{group("acme/a", "acme/b", "acme/c", "acme/d", "acme/shared", "acme/left"), group("acme/e", "acme/f", "acme/g", "acme/h", "acme/right", "acme/alone"), auto(5)}
		Expect(shared(b.build(file, everything...).Image)).To(HaveLen(2))
	})

	It("has nothing to do without buildpacks", func() {
		less := func(o *builder.Options) { o.Config = o.Config.WithoutBuildpacks() }
		Expect(b.plan(file, less, auto(3)).Plan).To(BeEmpty())
	})

	DescribeTable("is the same over its own output, of which nothing is built", func(n int, c layer.Compression) {
		zipped := func(o *builder.Options) { o.Compression = c }
		first := b.build(file, auto(n), zipped).Image
		b.keepImage("previous", first)
		b.Log.Tasks = nil
		second := b.build(file, auto(n), zipped, b.over("previous"))
		Expect(digestOf(second.Image)).To(Equal(digestOf(first)))
		Expect(b.built()).To(BeEmpty())
	},
		Entry("exploded", 15, layer.Gzip), Entry("in few layers", 7, layer.Gzip), Entry("in one", 4, layer.Gzip), Entry("in zstd", 7, layer.Zstd),
	)

	It("is the same on any number of processors, and with a cache, empty or full", func() {
		want := digestOf(b.build(file, auto(8)).Image)
		DeferCleanup(runtime.GOMAXPROCS, runtime.GOMAXPROCS(1))
		for range 2 {
			Expect(digestOf(b.build(file, auto(8), b.cached()).Image)).To(Equal(want))
		}
	})

	It("puts the same together, whatever the order of the sources", func() {
		want := shared(b.build(file, auto(8)).Image)
		dirs := []string{}
		for _, r := range refsOfDozen {
			dirs = append(dirs, strings.ReplaceAll(r, "/", "_"))
		}
		slices.Reverse(dirs)
		file = b.toml(buildpacks(dirs...), order("acme/left@1", "acme/right@1", "acme/alone@1"))
		Expect(shared(b.build(file, auto(8)).Image)).To(Equal(want))
	})

	It("makes only the layer anew that holds what changed, though it has the same version", func() {
		for _, n := range []int{15, 9, 6} {
			before := b.build(file, auto(n)).Image
			b.keepImage("previous", before)
			b.Write("acme_g@1/lib/data", fmt.Sprintf("changed %d", n))
			after := b.build(file, auto(n), b.over("previous")).Image
			was, is := blobsOf(before), blobsOf(after)
			at := slices.IndexFunc(shared(before), func(refs string) bool { return slices.Contains(strings.Fields(refs), "acme/g@1") }) + 2
			stay := slices.Delete(slices.Clone(was), at, at+1)
			configured := len(stay) - 1
			Expect(is[:configured]).To(Equal(stay[:configured]), "of %d layers", n)
			Expect(is[len(is)-1]).To(Equal(stay[configured]))
			Expect(len(is)).To(BeNumerically("<=", n))
			for _, digest := range is[configured : len(is)-1] {
				Expect(was).NotTo(ContainElement(digest))
			}
			remove(b.At("previous"))
		}
	})

	It("tells the same sizes and so plans the same, whatever form the sources have", func() {
		host := fixtures.Registry(GinkgoT())
		want, bytes := []string(nil), []int64(nil)
		for _, to := range []string{"%s.cnb", "oci:%s", "docker-archive:%s.tar", "docker://" + host + "/acme/%s:1"} {
			for _, mode := range []flatten.Mode{flatten.None, flatten.Composites, flatten.All} {
				file = b.packed(to, mode)
				job := b.plan(file, auto(8))
				o, err := job.Outlook(context.Background())
				Expect(err).NotTo(HaveOccurred())
				img, err := job.Build(context.Background())
				Expect(err).NotTo(HaveOccurred())
				if want == nil {
					want, bytes = shared(img.Image), o.Bytes
				}
				Expect(shared(img.Image)).To(Equal(want), to, mode)
				Expect(o.Bytes).To(Equal(bytes), to, mode)
			}
		}
	})

	It("moves no layer but that of the one that changed, whatever the sizes are", func() {
		random := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 5))
		for range 12 {
			n := 6 + random.IntN(8)
			for _, dir := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "shared", "alone"} {
				b.Write("acme_"+dir+"@1/lib/data", strings.Repeat(dir+"\n", 1<<random.IntN(17)))
			}
			before := b.plan(file, auto(n))
			img, err := before.Build(context.Background())
			Expect(err).NotTo(HaveOccurred())
			b.keepImage("previous", img.Image)
			b.Write("acme_g@1/lib/data", "changed")
			after := b.plan(file, auto(n), b.over("previous"))
			o, err := after.Outlook(context.Background())
			Expect(err).NotTo(HaveOccurred())
			fresh := len(slices.DeleteFunc(isNew(o), func(isNew bool) bool { return !isNew }))
			Expect(len(after.Plan)-fresh).To(Equal(len(before.Plan)-1), "of %d layers", n)
		}
	})

	It("leaves alone what a build image has, and does not count it", func() {
		b.keepImage("base", b.build(file).Image)
		b.Component("acme/new@1")
		b.Component("acme/newer@1")
		file = b.toml(buildpacks("acme_new@1", "acme_newer@1"), order("acme/left@1", "acme/new@1", "acme/newer@1"))
		Expect(b.plan(file, auto(18)).Plan).To(HaveLen(1))
		first := b.build(file, auto(18)).Image
		b.keepImage("previous", first)
		Expect(digestOf(b.build(file, auto(18), b.over("previous")).Image)).To(Equal(digestOf(first)))
	})

	It("is made for each target, over the previous image of each", func() {
		b.keepImage("base", baseImage{}.image(), baseImage{arch: "arm64"}.image())
		unseen := func(o *builder.Options) { o.SkipRunImages = true }
		both := []change{unseen, auto(8), target("linux/amd64"), target("linux/arm64")}
		make := func(changes ...change) (images []v1.Image) {
			jobs, err := b.prepare(file, append(changes, both...)...)
			Expect(err).NotTo(HaveOccurred())
			for _, j := range jobs {
				Expect(j.Layers.Total()).To(Equal(8))
				img, err := j.Build(context.Background())
				Expect(err).NotTo(HaveOccurred())
				images = append(images, img.Image)
			}
			return images
		}
		first := make()
		Expect(first).To(HaveLen(2))
		b.keepImage("previous", first...)
		b.Log.Tasks = nil
		for i, img := range make(b.over("previous")) {
			Expect(digestOf(img)).To(Equal(digestOf(first[i])))
		}
		Expect(b.built()).To(BeEmpty())
	})
})
