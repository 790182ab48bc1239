package packager_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/engine"
	"laminate/packager/location"
)

// auto plans automatically, for so many layers.
func auto(n int) change {
	return func(o *packager.Options) { o.Grouping.Mode, o.MaxLayers = flatten.Auto, n }
}

func (b *bench) outlook(file string, changes ...change) (engine.Outlook, *packager.Job) {
	GinkgoHelper()
	jobs, err := b.prepare(file, changes...)
	Expect(err).NotTo(HaveOccurred())
	o, err := jobs[0].Outlook(GinkgoT().Context())
	Expect(err).NotTo(HaveOccurred())
	return o, jobs[0]
}

var _ = Describe("the automatic plan", func() {
	var b *bench
	var file string
	var refs []string
	previous := func() change { return over(location.OCILayout, b.At("previous"), "") }
	BeforeEach(func() {
		b = newBench()
		var dirs []string
		refs = nil
		for n := range 8 {
			refs = append(refs, fmt.Sprintf("acme/c%d@1", n))
			dirs = append(dirs, b.Add(module{Ref: refs[n], Files: map[string]string{"lib/data": strings.Repeat(refs[n], 1<<n)}}))
		}
		dirs = append(dirs, b.Composite("acme/half@1", refs[:4]...))
		refs = append(refs, "acme/half@1")
		file = b.toml(b.Composite("acme/root@1", append([]string{"acme/half@1"}, refs[3:8]...)...), dirs...)
		refs = append(refs, "acme/root@1")
	})

	It("is exploded where that fits, and within the budget where not", func() {
		Expect(blobsOf(b.build(file, auto(0)).Image)).To(ConsistOf(blobsOf(b.build(file).Image)))
		for n := 1; n <= 11; n++ {
			Expect(b.build(file, auto(n)).Layers).To(HaveLen(min(n, len(refs))))
		}
	})

	It("is for as many layers as a builder may have, where nobody says how many", func() {
		_, job := b.outlook(file, auto(0))
		Expect(job.MaxLayers).To(Equal(flatten.Budget(false)))
	})

	It("has the layers that are asked for, and tells where there is no room besides", func() {
		asked := both(group("acme/c0", "acme/c7"), exclude("acme/c1", "acme/root"))
		img := b.build(file, asked, auto(5))
		Expect(img.Layers).To(HaveLen(5))
		Expect(shared(img.Image)).To(ContainElement([]string{"acme/c0@1", "acme/c7@1"}))
		for n := 1; n <= 3; n++ {
			err := b.fails(file, asked, auto(n))
			var over *packager.TooManyLayersError
			Expect(errors.As(err, &over)).To(BeTrue())
			Expect(over).To(MatchError(fmt.Sprintf("too many layers: 4, the limit is %d", n)))
			Expect(over.Mode).To(Equal(flatten.All))
		}
		Expect(b.build(file, group("acme/*"), auto(1)).Layers).To(HaveLen(1))
	})

	It("is the same over its own output, and makes only what changed", func() {
		for _, n := range []int{10, 5} {
			before := b.build(file, auto(n))
			b.keepLayout("previous", before.Image)
			b.Log.Tasks = nil
			Expect(digestOf(b.build(file, auto(n), previous()).Image)).To(Equal(digestOf(before.Image)))
			Expect(b.Log.Tasks).NotTo(ContainElement(HavePrefix("building")))

			b.Write("acme_c5@1/lib/data", fmt.Sprintf("changed %d", n))
			was := blobsOf(before.Image)
			at := slices.IndexFunc(shared(before.Image), func(refs []string) bool { return slices.Contains(refs, "acme/c5@1") })
			stay := slices.Delete(slices.Clone(was), at, at+1)
			Expect(blobsOf(b.build(file, auto(n), previous()).Image)[:len(stay)]).To(Equal(stay))
			Expect(os.RemoveAll(b.At("previous"))).To(Succeed())
		}
	})

	It("takes the previous image's layers before those of a source that has compressed them otherwise", func() {
		ours := b.build(file)
		b.keepLayout("previous", gzip9Image(ours))
		b.keepCNB("ours.cnb", ours.Image)
		for _, mode := range []flatten.Mode{flatten.None, flatten.Auto, flatten.AsPackaged} {
			img := b.build(b.toml("ours.cnb"), flat(mode), previous())
			Expect(blobsOf(img.Image)).To(ConsistOf(blobsOf(gzip9Image(ours))), string(mode))
		}
	})

	It("keeps what another tool flattened if the source is that", func() {
		theirs := flattenedByPack(b.build(file).Image, rand.New(rand.NewPCG(1, 2)), "acme/c1@1", "acme/root@1")
		b.keepLayout("previous", theirs)
		b.keepLayout("theirs", theirs)
		img := b.build(b.toml("theirs"), auto(3), previous())
		Expect(blobsOf(img.Image)).To(Equal(blobsOf(theirs)))
	})

	Describe("goes by sizes", func() {
		size := func(source string) []int64 {
			GinkgoHelper()
			o, _ := b.outlook(b.toml(source), flat(flatten.AsPackaged))
			return o.Bytes
		}
		packed := func(img v1.Image) (sizes []int64) {
			GinkgoHelper()
			m, err := img.Manifest()
			Expect(err).NotTo(HaveOccurred())
			for _, l := range m.Layers {
				sizes = append(sizes, l.Size)
			}
			return sizes
		}

		It("that are guessed of blobs of which nothing is said: three times as long", func() {
			theirs := gzip9Image(b.build(file))
			b.keepLayout("theirs", theirs)
			var want []int64
			for _, n := range packed(theirs) {
				want = append(want, 3*n)
			}
			Expect(size("theirs")).To(ConsistOf(want))
		})

		It("that are guessed evenly of what shares such a blob", func() {
			theirs := flattenedByPack(b.build(file).Image, rand.New(rand.NewPCG(1, 2)))
			b.keepLayout("theirs", theirs)
			one, _ := b.outlook(b.toml("theirs"))
			Expect(one.Bytes).To(HaveLen(len(refs)))
			Expect(one.Bytes).To(HaveEach(3 * packed(theirs)[0] / int64(len(refs))))
		})

		It("that labels tell, however they lie", func() {
			img := b.build(file, flat(flatten.All))
			pieces := slices.Clone(img.Layers[0].Pieces)
			for i := range pieces {
				pieces[i].Length = math.MaxInt64 &^ 511
			}
			b.keepLayout("lying", withFacts(img.Image, pieces...))
			o, job := b.outlook(b.toml("lying"), auto(4))
			Expect(o.Bytes).To(HaveEach(BeNumerically(">", 0)))
			Expect(job.Plan).To(HaveLen(4))
		})
	})
})
