package builder_test

import (
	"context"
	"fmt"
	"math/rand"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/fixtures"
	"laminate/flatten"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/sink"
)

// heavy is how much of each component no compressor makes smaller.
const heavy = 200 << 10

// A works is a builder of four composites with 20 components, all of it in a
// registry: build image, run image, packages, and the builder.
type works struct {
	*bench
	*fixtures.Traffic
	mode flatten.Mode
	file string
}

func newWorks(mode flatten.Mode) *works {
	GinkgoHelper()
	w := &works{bench: newBench(), Traffic: fixtures.CountedRegistry(GinkgoT()), mode: mode}
	for _, name := range []string{"base", "run"} {
		w.push(name, baseImage{name: name, layers: 3}.image())
	}
	sections := []string{
		fmt.Sprintf("[build]\nimage = \"docker://%s/base\"\n", w.Host),
		fmt.Sprintf("[[run.images]]\nimage = \"docker://%s/run\"\n", w.Host),
	}
	var uris, groups []string
	for c := range 4 {
		w.packComposite(c)
		uris = append(uris, fmt.Sprintf("docker://%s/composite%d", w.Host, c))
		groups = append(groups, fmt.Sprintf("acme/composite%d", c))
	}
	w.file = w.toml(append(sections, buildpacks(uris...), order(groups...))...)
	return w
}

// push puts an image into the registry, without laminate's help.
func (w *works) push(name string, img v1.Image) {
	GinkgoHelper()
	Expect(remote.Write(w.ref(name), img)).To(Succeed())
}

func (w *works) ref(repo string) name.Reference {
	GinkgoHelper()
	ref, err := name.ParseReference(w.Host + "/" + repo)
	Expect(err).NotTo(HaveOccurred())
	return ref
}

func (w *works) image(repo string) v1.Image {
	GinkgoHelper()
	img, err := remote.Image(w.ref(repo))
	Expect(err).NotTo(HaveOccurred())
	return img
}

// packComposite packages one of the composites anew, with five components.
func (w *works) packComposite(c int) {
	GinkgoHelper()
	var names, refs []string
	for n := range 5 {
		refs = append(refs, fmt.Sprintf("acme/c%d-%d@1", c, n))
		names = append(names, w.heavyComponent(refs[n], int64(10*c+n)))
	}
	w.packAgain(c, refs, names)
}

func (w *works) packAgain(c int, refs, names []string) {
	GinkgoHelper()
	root := w.Composite(fmt.Sprintf("acme/composite%d@1", c), refs...)
	mode := w.mode
	if mode == flatten.Composites {
		mode = flatten.All // in one layer, as the builder wants it
	}
	w.pack(fmt.Sprintf("docker://%s/composite%d", w.Host, c), mode, root, names...)
}

func (w *works) heavyComponent(ref string, seed int64) string {
	GinkgoHelper()
	body := make([]byte, heavy)
	rand.New(rand.NewSource(seed)).Read(body)
	return w.Add(module{Ref: ref, Files: map[string]string{"lib/data": string(body)}})
}

// create makes the builder over what the tag names, in a fresh work directory
// without any cache, and writes it. It counts only that.
func (w *works) create() v1.Hash {
	GinkgoHelper()
	w.Reset()
	at := location.Location{Kind: location.Registry, Ref: w.Host + "/builder:1", Written: "docker://" + w.Host + "/builder:1"}
	job := w.plan(w.file, flat(w.mode), func(o *builder.Options) { o.Previous = &engine.PreviousImage{Location: at} })
	img, err := job.Build(context.Background()) // which is nobody's but laminate's own look at it
	Expect(err).NotTo(HaveOccurred())
	written, err := sink.Write(context.Background(), at, []sink.Image{{Image: img.Image, Target: img.Target}}, sink.Options{})
	Expect(err).NotTo(HaveOccurred())
	return written[0].Digest
}

var _ = Describe("bytes that move between laminate and a registry", func() {
	for _, mode := range []flatten.Mode{flatten.None, flatten.Composites, flatten.AsPackaged} {
		It(fmt.Sprintf("are few the first time, for all layers are mounted (%s)", mode), func() {
			w := newWorks(mode)
			w.create()
			Expect(w.MostHeads()).To(BeNumerically("<=", 1))
			down, up := w.Layers()
			Expect(down).To(BeZero())
			By("sending the lifecycle and the configuration")
			Expect(up).To(BeNumerically("<", 10<<10))
		})

		It(fmt.Sprintf("are next to none when nothing changed (%s)", mode), func() {
			w := newWorks(mode)
			before := w.create()
			Expect(w.create()).To(Equal(before))
			down, up := w.Layers()
			Expect(down + up).To(BeZero())
			Expect(w.Moved()).To(BeNumerically("<", 1<<20))
			By("reading manifests and configs, and asking for nothing else")
			writes := w.Requests(func(r fixtures.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead })
			Expect(writes).To(BeEmpty())
			Expect(w.Count(http.MethodHead, fixtures.Blob)).To(BeZero())
		})
	}

	It("are those of the changed component, out of 20, each in a layer of its own", func() {
		w := newWorks(flatten.None)
		w.create()
		before := diffIDsOf(w.image("builder:1"))
		refs := []string{"acme/c1-0@1", "acme/c1-1@1", "acme/c1-2@1", "acme/c1-3@1", "acme/c1-4@1"}
		var names []string
		for n, ref := range refs {
			seed := int64(10 + n)
			if n == 2 {
				seed = 1000
			}
			names = append(names, w.heavyComponent(ref, seed))
		}
		w.packAgain(1, refs, names)
		w.create()
		img := w.image("builder:1")
		var changed int64
		layers, err := img.Layers()
		Expect(err).NotTo(HaveOccurred())
		var other int
		for i, diffID := range diffIDsOf(img) {
			if diffID != before[i] {
				other++
				size, err := layers[i].Size()
				Expect(err).NotTo(HaveOccurred())
				changed += size
			}
		}
		Expect(other).To(Equal(1))
		Expect(changed).To(BeNumerically(">", heavy))
		var down, up int64
		for _, r := range w.Requests(nil) {
			down += r.Down
			up += r.Up
		}
		Expect(float64(down)).To(BeNumerically("<=", 1.1*float64(changed)))
		Expect(float64(up)).To(BeNumerically("<=", 1.1*float64(changed)))
		Expect(w.MostHeads()).To(BeNumerically("<=", 1))
	})
})

func diffIDsOf(img v1.Image) []v1.Hash {
	GinkgoHelper()
	return configOf(img).RootFS.DiffIDs
}
