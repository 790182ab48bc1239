package packager_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/flatten"
	"laminate/packager/engine"
)

// Each of these was seen to go wrong in another packager.
var _ = Describe("flattened dependencies", func() {
	var b *bench
	var random *rand.Rand
	// flattened packages a composite of the bench: by laminate, or as pack does.
	flatteners := map[string]func(img func(...change) *engine.Image) v1.Image{
		"laminate": func(img func(...change) *engine.Image) v1.Image { return img(flat(flatten.All)).Image },
		"pack":     func(img func(...change) *engine.Image) v1.Image { return flattenedByPack(img().Image, random) },
	}
	BeforeEach(func() {
		b = newBench()
		random = rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 1))
		for _, ref := range []string{"acme/a@1", "acme/b@1", "acme/b@2", "acme/shared@1"} {
			b.Component(ref)
		}
		b.Composite("acme/left@1", "acme/a@1", "acme/shared@1", "acme/b@1")
		b.Composite("acme/right@1", "acme/b@2", "acme/shared@1")
		b.Composite("acme/root@1", "acme/left@1", "acme/right@1")
	})
	left := func(c ...change) *engine.Image {
		return b.build(b.toml("acme_left@1", "acme_a@1", "acme_b@1", "acme_shared@1"), c...)
	}
	right := func(c ...change) *engine.Image {
		return b.build(b.toml("acme_right@1", "acme_b@2", "acme_shared@1"), c...)
	}
	fromDirectories := func(c ...change) *engine.Image {
		return b.build(b.toml("acme_root@1", "acme_left@1", "acme_right@1", "acme_a@1", "acme_b@1", "acme_b@2", "acme_shared@1"), c...)
	}

	for who, by := range flatteners {
		Describe("by "+who, func() {
			fromPackages := func(c ...change) *engine.Image {
				b.keepCNB("left.cnb", by(left))
				b.keepCNB("right.cnb", by(right))
				return b.build(b.toml("acme_root@1", "left.cnb", "right.cnb"), c...)
			}

			It("do not lose the files of a child that two of them share, nor hold them twice", func() {
				exploded := fromDirectories()
				for _, mode := range []flatten.Mode{flatten.None, flatten.Composites, flatten.All} {
					img := fromPackages(flat(mode)) // build and filesOf see what stands twice
					Expect(filesOf(img.Image)).To(Equal(filesOf(exploded.Image)))
					Expect(imageID(img.Image)).To(Equal(imageID(fromDirectories(flat(mode)).Image)))
				}
			})

			It("keep all of their children where they are packaged again", func() {
				b.keepCNB("left.cnb", by(left))
				b.Composite("acme/outer@1", "acme/left@1")
				img := b.build(b.toml("acme_outer@1", "left.cnb")) // exact: no child lies in a layer without its files
				Expect(shared(img.Image)).To(ConsistOf(
					[]string{"acme/left@1"}, []string{"acme/a@1"}, []string{"acme/b@1"}, []string{"acme/shared@1"}, []string{"acme/outer@1"}))
				files := filesOf(img.Image)
				delete(files, "/cnb/buildpacks/acme_outer")
				for name := range files {
					if moduleDir(name) == "/cnb/buildpacks/acme_outer/1" {
						delete(files, name)
					}
				}
				Expect(files).To(Equal(filesOf(left().Image)))
			})

			It("have right labels where a child of one of them is excluded", func() {
				img := fromPackages(flat(flatten.All), exclude("acme/a"))
				Expect(shared(img.Image)).To(Equal([][]string{
					{"acme/a@1"}, {"acme/b@1", "acme/b@2", "acme/left@1", "acme/right@1", "acme/root@1", "acme/shared@1"}}))
				Expect(imageID(img.Image)).To(Equal(imageID(fromDirectories(flat(flatten.All), exclude("acme/a")).Image)))
			})

			It("can be grouped anew by any of their refs, and no composite goes missing", func() {
				img := fromPackages(group("acme/left@1", "acme/b@2"))
				Expect(shared(img.Image)).To(Equal([][]string{
					{"acme/b@2", "acme/left@1"}, {"acme/a@1"}, {"acme/shared@1"}, {"acme/b@1"}, {"acme/right@1"}, {"acme/root@1"}}))
				Expect(layersLabelOf(img.Image)["acme/left"]["1"].Order).To(HaveLen(1))
				Expect(imageID(img.Image)).To(Equal(imageID(fromDirectories(group("acme/left@1", "acme/b@2")).Image)))
			})

			It("are not exploded again where the plan wants their layer", func() {
				dependency := by(func(c ...change) *engine.Image {
					return b.build(b.toml("acme_left@1", "acme_a@1", "acme_b@1", "acme_shared@1"), c...)
				})
				b.keepCNB("left.cnb", dependency)
				b.Composite("acme/outer@1", "acme/left@1")
				b.Log.Tasks = nil
				img := b.build(b.toml("acme_outer@1", "left.cnb"), flat(flatten.Composites))
				Expect(blobsOf(img.Image)).To(HaveLen(2))
				Expect(blobsOf(img.Image)).To(ContainElement(blobsOf(dependency)[0]))
				Expect(b.Log.Tasks).To(ContainElement("building acme/outer@1"))
				Expect(b.Log.Tasks).NotTo(ContainElement(HavePrefix("building acme/left@1 ")))
			})
		})
	}

	It("give their layers away as they are where pack left them apart", func() {
		exploded := left().Image
		theirs := flattenedByPack(exploded, random, "acme/a@1")
		b.keepCNB("left.cnb", theirs)
		img := b.build(b.toml("left.cnb"))
		Expect(blobsOf(img.Image)).To(ContainElement(blobsOf(theirs)[1]))
		Expect(imageID(img.Image)).To(Equal(imageID(left().Image)))
	})

	It("are put in the same order at every run, on any number of cores", func() {
		b.keepCNB("left.cnb", flatteners["laminate"](left))
		b.keepCNB("right.cnb", flatteners["laminate"](right))
		file := b.toml("acme_root@1", "left.cnb", "right.cnb")
		first := map[flatten.Mode]string{}
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
		for n := range 8 {
			runtime.GOMAXPROCS(1 + n%4)
			for _, mode := range []flatten.Mode{flatten.None, flatten.Composites, flatten.All} {
				d := digestOf(b.build(file, flat(mode)).Image)
				if n == 0 {
					first[mode] = d
				}
				Expect(d).To(Equal(first[mode]))
			}
		}
	})
})

var _ = Describe("refs that were asked for", func() {
	DescribeTable("are errors where they mean nothing, with what is near them",
		func(c change, text string) {
			b := newBench()
			b.Component("acme/node@1.0.0")
			b.Component("acme/npm@2.0.0")
			b.Composite("acme/web@1", "acme/node@1.0.0", "acme/npm@2.0.0")
			Expect(b.fails(b.toml("acme_web@1", "acme_node@1.0.0", "acme_npm@2.0.0"), c)).To(MatchError(HavePrefix(text)))
		},
		Entry("in a group", group("acme/nod", "acme/npm"), `unknown buildpack "acme/nod"; did you mean acme/node@1.0.0, acme/npm@2.0.0 or acme/web@1?`),
		Entry("in an exclusion", exclude("acme/node@1.0.1"), `unknown buildpack "acme/node@1.0.1"; did you mean acme/node@1.0.0?`),
		Entry("in both, all at once", both(group("zzz"), exclude("yyy/*")),
			"unknown buildpack \"zzz\"; name one of acme/web@1, acme/node@1.0.0, acme/npm@2.0.0\nunknown buildpack \"yyy/*\"; name one of acme/web@1, acme/node@1.0.0, acme/npm@2.0.0"),
		Entry("or where one cannot be in two places", both(group("acme/*"), exclude("acme/npm")),
			"conflicting layers for buildpack acme/npm@2.0.0: group 1 and excluded"),
	)
})

var _ = Describe("one ref with two contents", func() {
	var b *bench
	BeforeEach(func() {
		b = newBench()
		b.Component("acme/a@1")
		b.Composite("acme/left@1", "acme/a@1")
		b.keepCNB("left.cnb", b.build(b.toml("acme_left@1", "acme_a@1"), flat(flatten.All)).Image)
		b.Composite("acme/root@1", "acme/left@1", "acme/a@1")
	})

	It("is an error that names both sources, whichever comes first", func() {
		b.Write("acme_a@1/lib/data", "something else")
		for _, deps := range [][2]string{{"left.cnb", "acme_a@1"}, {"acme_a@1", "left.cnb"}} {
			Expect(b.fails(b.toml("acme_root@1", deps[:]...))).To(MatchError(
				"conflicting contents of buildpack acme/a@1 in " + deps[0] + " and in " + deps[1] + "; change the version of one, or choose one with --on-conflict first|last"))
		}
	})

	It("is none where the contents are equal, whatever they came in", func() {
		want := b.build(b.toml("acme_root@1", "acme_left@1", "acme_a@1"))
		for _, deps := range [][]string{{"left.cnb", "acme_a@1"}, {"acme_a@1", "left.cnb"}, {"acme_a@1", "acme_left@1", "left.cnb", "left.cnb"}} {
			Expect(digestOf(b.build(b.toml("acme_root@1", deps...)).Image)).To(Equal(digestOf(want.Image)))
		}
	})
})

var _ = Describe("a .cnb whose layers are not in gzip", func() {
	for name, compress := range map[string]func([]byte) v1.Layer{"uncompressed": uncompressed, "zstd": zstdCompressed} {
		It("is read right: "+name, func() {
			b := newBench()
			b.Component("acme/a@1")
			b.Component("acme/b@1")
			b.Composite("acme/left@1", "acme/a@1", "acme/b@1")
			b.Composite("acme/root@1", "acme/left@1")
			exploded := b.build(b.toml("acme_left@1", "acme_a@1", "acme_b@1"))
			flattened := b.build(b.toml("acme_left@1", "acme_a@1", "acme_b@1"), flat(flatten.All))
			b.keepCNB("exploded.cnb", recompressed(exploded.Image, compress))
			b.keepCNB("flattened.cnb", recompressed(flattened.Image, compress))
			want := b.build(b.toml("acme_root@1", "acme_left@1", "acme_a@1", "acme_b@1"))
			for _, file := range []string{"exploded.cnb", "flattened.cnb"} {
				Expect(digestOf(b.build(b.toml("acme_root@1", file)).Image)).To(Equal(digestOf(want.Image)))
			}
		})
	}
})

var _ = Describe("file descriptors", func() {
	It("do not grow in number with the buildpacks", func() {
		b := newBench()
		var refs, deps []string
		for _, letter := range "abcdefghijklmnop" {
			x, y, z := fmt.Sprintf("acme/x%c@1", letter), fmt.Sprintf("acme/y%c@1", letter), fmt.Sprintf("acme/z%c@1", letter)
			flattened := b.build(b.toml(b.Composite(x, y), b.Component(y)), flat(flatten.All))
			refs = append(refs, x, z)
			deps = append(deps, b.keepCNB(fmt.Sprintf("%c.cnb", letter), flattened.Image)) // has to be taken apart
			if dir := b.Component(z); letter < 'h' {
				deps = append(deps, dir)
			} else {
				deps = append(deps, b.tgz(dir))
			}
		}
		b.Composite("acme/root@1", refs...)
		file := b.toml("acme_root@1", deps...)
		b.build(file)                                    // what is opened once per process is open now
		defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which closes what nobody else did
		before, peak := openFiles(), 0
		b.Log.Hook = func() { peak = max(peak, openFiles()) }
		for _, mode := range []flatten.Mode{flatten.None, flatten.All} {
			_, err := b.run(file, flat(mode))
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(peak).To(BeNumerically(">", 0))
		Expect(peak-before).To(BeNumerically("<", 16), "at the peak")
		Expect(openFiles()).To(Equal(before), "afterwards")
	})
})

// openFiles returns the number of files that this process has open.
func openFiles() int {
	n, ok := fixtures.OpenFiles()
	if !ok {
		Skip("there is no /proc here")
	}
	return n
}

var _ = Describe("an OCI layout of images for several platforms", func() {
	var b *bench
	digests := map[string]string{}
	BeforeEach(func() {
		b = newBench()
		var images []v1.Image
		for _, arch := range []string{"amd64", "arm64"} {
			img := b.build(b.toml(b.Add(module{Ref: "acme/a@1", Files: map[string]string{"lib/arch": arch}})), target("linux/"+arch))
			images = append(images, img.Image)
			digests[arch] = blobsOf(img.Image)[0]
		}
		b.keepLayout("both", images...)
	})

	It("returns the image for the target", func() {
		for _, arch := range []string{"arm64", "amd64"} {
			img := b.build(b.toml("oci:both"), target("linux/"+arch))
			Expect(blobsOf(img.Image)).To(Equal([]string{digests[arch]}))
			Expect(configOf(img.Image).Architecture).To(Equal(arch))
		}
	})

	It("returns none where it has none for the target, or nobody says which", func() {
		Expect(b.fails(b.toml("oci:both"), target("linux/s390x"))).To(MatchError("oci:both: no image for linux/s390x; available: linux/amd64, linux/arm64"))
		Expect(b.fails(b.toml("oci:both"))).To(MatchError("oci:both: ambiguous: images for linux/amd64, linux/arm64; choose with --target linux/amd64 or --target linux/arm64"))
	})
})
