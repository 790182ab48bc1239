package packager_test

import (
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/flatten"
)

// push puts an image into a registry, without laminate's help.
func push(img v1.Image, ref string) string {
	GinkgoHelper()
	tag, err := name.NewTag(ref)
	Expect(err).NotTo(HaveOccurred())
	Expect(remote.Write(tag, img)).To(Succeed())
	return "docker://" + ref
}

// sample adds a sample buildpack to the bench.
func (b *bench) sample(name string) string {
	GinkgoHelper()
	Expect(fixtures.Write(b.At(name), "buildpacks/"+name)).To(Succeed())
	return name
}

var _ = Describe("the example that flattening was asked for with", func() {
	var b *bench
	var file string
	language := []string{
		"samples/java-maven@0.0.1", "samples/kotlin-gradle@0.0.1", "samples/my-programming-lang@0.0.1", "samples/ruby-bundler@0.0.1",
	}
	BeforeEach(func() {
		b = newBench()
		host := fixtures.Registry(GinkgoT())
		world := b.build(b.toml(b.sample("hello-world")))
		lang := b.build(b.toml(b.sample("my-programming-lang"), b.sample("java-maven"), b.sample("kotlin-gradle"), b.sample("ruby-bundler")))
		file = b.toml(b.sample("hello-universe"), b.sample("hello-moon"),
			push(world.Image, host+"/samples/hello-world:0.0.1"), push(lang.Image, host+"/samples/my-programming-lang:0.0.1"))
	})

	It("has 7 layers when it is exploded", func() {
		img := b.build(file)
		Expect(shared(img.Image)).To(HaveLen(7))
		Expect(shared(img.Image)).To(HaveEach(HaveLen(1)))
	})

	It("has 4 layers when composites are flattened, and the composite's children share its own", func() {
		img := b.build(file, flat(flatten.Composites))
		Expect(shared(img.Image)).To(Equal([][]string{
			{"samples/hello-world@0.0.1"}, {"samples/hello-moon@0.0.1"}, language, {"samples/hello-universe@0.0.1"},
		}))
	})

	It("has 1 layer when everything is flattened", func() {
		Expect(shared(b.build(file, flat(flatten.All)).Image)).To(HaveLen(1))
	})
})
