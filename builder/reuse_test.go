package builder_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/fixtures"
	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/cache"
	"laminate/packager/engine"
	"laminate/packager/location"
)

// cached returns a run the bench's cache, as another process would open it.
func (b *bench) cached() change {
	GinkgoHelper()
	c, err := cache.Open(b.At("cache"), 0)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(c.Close(context.Background())).To(Succeed()) })
	return func(o *builder.Options) { o.Cache = c }
}

// over makes a layout on the bench, or an image in a registry, the previous image.
func (b *bench) over(layout string) change {
	return func(o *builder.Options) {
		o.Previous = &engine.PreviousImage{Location: location.Location{Kind: location.OCILayout, Path: b.At(layout), Written: layout}}
	}
}

func overRegistry(ref string) change {
	return func(o *builder.Options) {
		o.Previous = &engine.PreviousImage{Location: location.Location{Kind: location.Registry, Ref: ref, Written: ref}}
	}
}

// forms packages the same composites in several forms, and gives a
// builder.toml for each.
func (b *bench) forms(host string) map[string]func() string {
	GinkgoHelper()
	for _, ref := range []string{"acme/a@1", "acme/b@1", "acme/shared@1", "acme/alone@1"} {
		b.Component(ref)
	}
	b.Extension("acme/alone@1-ext")
	b.Composite("acme/left@1", "acme/a@1", "acme/shared@1")
	b.Composite("acme/right@1", "acme/b@1", "acme/shared@1")
	groups := order("acme/left@1", "acme/right@1", "acme/alone@1") + orderExtensions("acme/alone@1-ext")
	forms := map[string]func() string{
		"directories": func() string {
			return b.toml(buildpacks("acme_left@1", "acme_right@1", "acme_a@1", "acme_b@1", "acme_shared@1", "acme_alone@1"), extensions("acme_alone@1-ext"), groups)
		},
	}
	for name, to := range map[string]string{"files": "%s.cnb", "a registry": "docker://" + host + "/acme/%s:1"} {
		for _, mode := range []flatten.Mode{flatten.None, flatten.All} {
			form := string(mode) + " in " + name
			forms[form] = func() string {
				left, right := fmt.Sprintf(to, "left-"+string(mode)), fmt.Sprintf(to, "right-"+string(mode))
				b.pack(left, mode, "acme_left@1", "acme_a@1", "acme_shared@1")
				b.pack(right, mode, "acme_right@1", "acme_b@1", "acme_shared@1")
				return b.toml(buildpacks(left, right, "acme_alone@1"), extensions("acme_alone@1-ext"), groups)
			}
		}
	}
	return forms
}

var _ = Describe("what was made before", func() {
	It("changes no digest where it is in the cache, whatever that was filled by", func() {
		b := newBench()
		type run struct {
			name, want string
			file       func() string
			change
		}
		var runs []run
		forms := b.forms(fixtures.Registry(GinkgoT()))
		for _, form := range slices.Sorted(maps.Keys(forms)) {
			file := forms[form]
			for _, mode := range []flatten.Mode{flatten.None, flatten.Composites, flatten.All} {
				for _, c := range []layer.Compression{layer.Gzip, layer.Zstd} {
					runs = append(runs, run{fmt.Sprintf("%s, %s, %s", form, mode, c), "", file, func(o *builder.Options) { o.Grouping.Mode, o.Compression = mode, c }})
				}
			}
		}
		random := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 0))
		random.Shuffle(len(runs), func(i, j int) { runs[i], runs[j] = runs[j], runs[i] })
		for i, r := range runs[:10] {
			runs[i].want = digestOf(b.build(r.file(), r.change).Image)
		}
		for n, r := range slices.Concat(runs[:10], runs[:3]) {
			Expect(digestOf(b.build(r.file(), r.change, b.cached()).Image)).To(Equal(r.want), "run %d: %s", n+1, r.name)
		}
	})

	It("is not built again out of the cache, be it a lifecycle, buildpacks or the configuration", func() {
		b := newBench()
		file := b.forms(fixtures.Registry(GinkgoT()))["directories"]()
		first := b.build(file, flat(flatten.All), b.cached()).Image
		b.Log.Tasks, b.Log.Notes = nil, nil
		Expect(digestOf(b.build(file, flat(flatten.All), b.cached()).Image)).To(Equal(digestOf(first)))
		Expect(b.Log.Tasks).NotTo(ContainElement(HavePrefix("building")))
		Expect(b.Log.Reused()).To(ConsistOf("lifecycle 0.21.0", "acme/left@1 and 5 more", "acme/alone@1-ext", "configuration"))
	})

	It("is not built again out of the previous image, and nothing of either is read", func() {
		b := newBench()
		r := fixtures.CountedRegistry(GinkgoT())
		forms := b.forms(r.Host)
		file := forms["none in a registry"]()
		first := b.build(file, flat(flatten.All)).Image
		tag, err := name.NewTag(r.Host + "/acme/builder:1")
		Expect(err).NotTo(HaveOccurred())
		Expect(remote.Write(tag, first)).To(Succeed())
		r.Reset()
		b.Log.Tasks = nil
		job := b.plan(file, flat(flatten.All), overRegistry(r.Host+"/acme/builder:1"))
		img, err := job.Build(context.Background())
		Expect(err).NotTo(HaveOccurred())
		Expect(digestOf(img.Image)).To(Equal(digestOf(first)))
		down, _ := r.Layers()
		Expect(down).To(BeZero())
		Expect(b.Log.Tasks).NotTo(ContainElement(HavePrefix("building")))
	})

	It("is built again where it changed, and all else is not", func() {
		b := newBench()
		file := b.forms(fixtures.Registry(GinkgoT()))["directories"]()
		b.keepImage("previous", b.build(file).Image)
		b.Write("acme_b@1/lib/data", "changed")
		want := digestOf(b.build(file).Image)
		b.Log.Tasks = nil
		Expect(digestOf(b.build(file, b.over("previous")).Image)).To(Equal(want))
		others := func(task string) bool { return !strings.HasPrefix(task, "building ") }
		Expect(slices.DeleteFunc(b.Log.Tasks, others)).To(Equal([]string{"building acme/b@1"}))
	})

	It("is found out where the previous image has something else than the lifecycle under its diffID", func() {
		b := newBench()
		file := b.forms(fixtures.Registry(GinkgoT()))["directories"]()
		honest := b.build(file).Image
		layers := layersOf(honest)
		layers[1] = layerOf(types.DockerLayer, binariesOf("evil")...)
		lying, err := mutate.AppendLayers(empty.Image, layers...)
		Expect(err).NotTo(HaveOccurred())
		lying, err = mutate.ConfigFile(lying, configOf(honest))
		Expect(err).NotTo(HaveOccurred())
		b.keepImage("previous", lying)
		img, err := b.plan(file, b.over("previous")).Build(context.Background())
		Expect(err).NotTo(HaveOccurred())
		Expect(readThrough(img.Image)).To(MatchError(ContainSubstring(configOf(honest).RootFS.DiffIDs[1].String())))
	})
})

func binariesOf(content string) []entry { return lifecycleFiles{binary: content}.entries() }
