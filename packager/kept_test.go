package packager_test

import (
	"archive/tar"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager"
	"laminate/packager/cache"
)

// cached returns a run the cache in a directory of the bench, as another process
// would open it.
func (b *bench) cached(name string) change {
	GinkgoHelper()
	c, err := cache.Open(b.At(name), 0)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(c.Close(context.Background())).To(Succeed()) })
	return func(o *packager.Options) { o.Cache = c }
}

func compressed(c layer.Compression) change {
	return func(o *packager.Options) { o.Compression = c }
}

// prose is text that compresses as text does.
func prose(random *rand.Rand, n int) string {
	text := make([]byte, 0, n+8)
	for len(text) < n {
		text = fmt.Appendf(text, "%d ", random.IntN(5000))
	}
	return string(text[:n])
}

// forms writes a package of the tree's composite in all the forms in which
// sources come, and gives the package.toml for each.
func (t *orderTree) forms(host string) map[string]func() string {
	GinkgoHelper()
	root := len(t.dirs) - 1
	files := map[string]func() string{"directories": func() string { return t.file() }}
	top, inside, outside := t.cut()
	if top < 0 {
		return files
	}
	file := t.toml(t.dirs[top], inside...)
	exploded, shared := t.build(file).Image, t.build(file, flat(flatten.All)).Image
	t.keepCNB("exploded.cnb", exploded)
	t.keepLayout("shared", shared)
	t.keepCNB("pack.cnb", recompressed(exploded, gzip9))
	t.keepCNB("pack-shared.cnb", flattenedByPack(exploded, t.random, t.some()...))
	t.keepLayout("zstd", recompressed(exploded, zstdCompressed))
	archives := slices.Clone(inside)
	for i, dir := range archives {
		archives[i] = t.tgz(dir)
	}
	for name, from := range map[string][]string{
		"archives":                        append(archives, t.dirs[top]),
		"a .cnb":                          {"exploded.cnb"},
		"a layout of a shared layer":      {"shared"},
		"pack's .cnb":                     {"pack.cnb"},
		"pack's shared layer":             {"pack-shared.cnb"},
		"another tool's layout in zstd":   {"zstd"},
		"a Docker archive":                {t.Keep(exploded, "docker-archive:own.tar:acme/own:1")},
		"a registry":                      {push(exploded, host+"/acme/own:1")},
		"a registry, shared":              {push(shared, host+"/acme/shared:1")},
		"a registry that pack pushed to":  {push(recompressed(exploded, gzip9), host+"/acme/pack:1")},
		"a registry, in zstd, by another": {push(recompressed(exploded, zstdCompressed), host+"/acme/zstd:1")},
	} {
		files[name] = func() string { return t.toml(t.dirs[root], slices.Concat(outside, from)...) }
	}
	return files
}

var _ = Describe("a cache", func() {
	It("changes no digest, whatever it was filled by", func() {
		host := fixtures.Registry(GinkgoT())
		for i := range uint64(2) {
			seed := uint64(GinkgoRandomSeed())<<8 + i
			By(fmt.Sprintf("tree of seed %d", seed))
			t := growTree(seed)
			t.Write(t.dirs[0]+"/lib/text", prose(t.random, []int{1<<20 + 5000, 200_000}[i]))
			type run struct {
				name, want string
				file       func() string
				change
			}
			var runs []run
			forms := t.forms(host)
			names := slices.Sorted(maps.Keys(forms))
			t.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			for _, name := range names[:min(len(names), 6)] {
				file := forms[name]
				w := t.grouping()[0]
				c := []layer.Compression{layer.Gzip, layer.Gzip, layer.Zstd}[t.random.IntN(3)]
				if t.random.IntN(4) == 0 {
					w = wish{"none", flat(flatten.None)}
				}
				r := run{fmt.Sprintf("%s, %s, %s", name, w.name, c), "", file, both(w.change, compressed(c))}
				r.want = digestOf(t.build(file(), r.change).Image)
				runs = append(runs, r)
			}
			runs = append(runs, runs...)
			t.random.Shuffle(len(runs), func(i, j int) { runs[i], runs[j] = runs[j], runs[i] })
			for n, r := range runs {
				img := t.build(r.file(), both(r.change, t.cached("cache")))
				Expect(digestOf(img.Image)).To(Equal(r.want), "run %d: %s", n+1, r.name)
			}
		}
	})

	It("is all that a second run needs: it builds nothing, and reads no layer", func() {
		b := newBench()
		r := newCountingRegistry()
		theirs := recompressed(b.pair(flatten.None).Image, gzip9)
		file := b.toml("acme_root@1", push(theirs, r.host+"/acme/left:1"))
		want := digestOf(b.build(file, flat(flatten.All), b.cached("cache")).Image)
		r.layerReads(theirs)
		b.Log.Tasks, b.Log.Notes = nil, nil
		Expect(digestOf(b.build(file, flat(flatten.All), b.cached("cache")).Image)).To(Equal(want))
		Expect(r.layerReads(theirs)).To(HaveEach(0))
		Expect(b.Log.Tasks).To(BeEmpty())
		Expect(b.Log.Notes).To(Equal([]string{"reused acme/root@1 and 3 more"}))
	})

	It("returns what did not change, so that just the rest is read", func() {
		b := newBench()
		r := newCountingRegistry()
		left, alone := recompressed(b.pair(flatten.None).Image, gzip9), b.lone("acme/alone@1", gzip9)
		b.Composite("acme/root@1", "acme/left@1", "acme/alone@1")
		sources := []string{push(left, r.host+"/acme/left:1"), push(alone, r.host+"/acme/alone:1")}
		b.build(b.toml("acme_root@1", sources...), flat(flatten.All), b.cached("cache"))
		b.Write("acme_alone@1/lib/data", "changed")
		other := recompressed(b.build(b.toml("acme_alone@1")).Image, gzip9)
		sources[1] = push(other, r.host+"/acme/alone:1")
		r.layerReads(left)
		img := b.build(b.toml("acme_root@1", sources...), flat(flatten.All), b.cached("cache"))
		Expect(r.gets).To(HaveKeyWithValue(blobsOf(other)[0], 1))
		Expect(r.layerReads(left)).To(HaveEach(0))
		Expect(digestOf(img.Image)).To(Equal(digestOf(b.build(b.toml("acme_root@1", sources...), flat(flatten.All)).Image)))
	})

	It("does not give a piece the form that it had for the sake of another one", func() {
		b := newBench()
		host := fixtures.Registry(GinkgoT())
		a := push(b.lone("acme/a@1", gzip9), host+"/acme/a:1")
		// Of this one no piece can be copied; but only when it has been read.
		sprawling := push(relayered(b.lone("acme/b@1", gzip9), func(tar []byte) []byte { return append(tar, make([]byte, 1024)...) }), host+"/acme/b:1")
		b.Component("acme/c@1")
		b.Composite("acme/first@1", "acme/a@1", "acme/b@1")
		b.Composite("acme/second@1", "acme/a@1", "acme/c@1")
		want := digestOf(b.build(b.toml("acme_second@1", a, "acme_c@1"), flat(flatten.All)).Image)
		b.build(b.toml("acme_first@1", a, sprawling), flat(flatten.All), b.cached("cache"))
		Expect(digestOf(b.build(b.toml("acme_second@1", a, "acme_c@1"), flat(flatten.All), b.cached("cache")).Image)).To(Equal(want))
	})

	It("does not give a buildpack for an extension whose package lies", func() {
		b := newBench()
		honest := b.lone("acme/a@1", gzip9)
		b.keepLayout("buildpack", honest)
		config := configOf(honest).DeepCopy()
		config.Config.Labels[flatten.ExtensionLayersLabel] = config.Config.Labels[flatten.BuildpackLayersLabel]
		delete(config.Config.Labels, flatten.BuildpackLayersLabel)
		b.keepLayout("extension", withConfig(honest, config))
		b.build(b.toml("buildpack"), compressed(layer.Zstd), b.cached("cache"))
		b.Write("extension.toml", "[extension]\nuri = \"extension\"\n")
		for _, c := range []change{compressed(layer.Zstd), both(compressed(layer.Zstd), b.cached("cache"))} {
			Expect(b.fails(b.At("extension.toml"), c)).To(MatchError(ContainSubstring("is outside of /cnb/extensions")))
		}
	})

	It("is not told by a source's label of a length that is none", func() {
		b := newBench()
		honest := b.build(b.toml(b.large("acme/a@1")))
		long, short := honest.Layers[0].Pieces[0], honest.Layers[0].Pieces[0]
		short.Length -= 512
		b.keepLayout("honest", withFacts(recompressed(honest.Image, gzip9), long))
		b.keepLayout("lying", withFacts(recompressed(honest.Image, gzip9), short))
		b.Component("acme/b@1")
		b.Composite("acme/root@1", "acme/a@1", "acme/b@1")
		want := digestOf(b.build(b.toml("acme_root@1", "honest", "acme_b@1"), flat(flatten.All)).Image)
		b.build(b.toml("acme_root@1", "lying", "acme_b@1"), flat(flatten.All), b.cached("cache"))
		Expect(digestOf(b.build(b.toml("acme_root@1", "honest", "acme_b@1"), flat(flatten.All), b.cached("cache")).Image)).To(Equal(want))
	})

	DescribeTable("has what was built for one target at hand for the next", func(changes ...change) {
		b := newBench()
		r := newCountingRegistry()
		theirs := recompressed(b.pair(flatten.None).Image, gzip9)
		file := b.toml(push(theirs, r.host+"/acme/left:1"))
		r.layerReads(theirs)
		jobs, err := b.prepare(file, append(changes, target("linux/amd64"), target("linux/arm64"), b.cached("cache"))...)
		Expect(err).NotTo(HaveOccurred())
		var blobs [][]string
		for _, j := range jobs {
			img, err := j.Build(GinkgoT().Context())
			Expect(err).NotTo(HaveOccurred())
			blobs = append(blobs, blobsOf(img.Image))
		}
		Expect(blobs[0]).To(Equal(blobs[1]))
		Expect(r.layerReads(theirs)).To(HaveEach(1))
	}, Entry("a layer", flat(flatten.All)), Entry("a piece in another compression", compressed(layer.Zstd)))

	It("remembers what a layer holds by its blob, and not by what a source says of it", func() {
		b := newBench()
		r := newCountingRegistry()
		honest := recompressed(b.pair(flatten.None).Image, gzip9)
		layers, err := honest.Layers()
		Expect(err).NotTo(HaveOccurred())
		evil := gzip9(append(tarOf(entry{Header: tar.Header{Name: "/cnb/lifecycle/creator", Typeflag: tar.TypeReg, Mode: 0o4755}, Body: "#!/bin/sh"}), 0))
		lying := withConfig(relabelled(honest, layersLabelOf(honest), append([]v1.Layer{evil}, layers[1:]...)...), configOf(honest))
		file := b.toml("acme_root@1", push(honest, r.host+"/acme/left:1"))
		b.build(file, b.cached("cache"))
		// Nobody would read it any more, where it is only mounted.
		jobs, err := b.prepare(b.toml("acme_root@1", push(lying, r.host+"/acme/left:1")), b.cached("cache"))
		Expect(err).NotTo(HaveOccurred())
		_, err = jobs[0].Build(GinkgoT().Context())
		Expect(err).To(MatchError(ContainSubstring("is outside of /cnb/buildpacks")))
	})
})

// large adds a component that has more than one block of gzip to be copied.
func (b *bench) large(ref string) string {
	GinkgoHelper()
	return b.Add(module{Ref: ref, Files: map[string]string{"lib/text": prose(rand.New(rand.NewPCG(0, 0)), 300_000)}})
}

// lone is a package of one component, compressed by other means.
func (b *bench) lone(ref string, compress func([]byte) v1.Layer) v1.Image {
	GinkgoHelper()
	return recompressed(b.build(b.toml(b.large(ref))).Image, compress)
}

// relayered is the image with its only layer changed, to which the label leads.
func relayered(img v1.Image, change func([]byte) []byte) v1.Image {
	GinkgoHelper()
	layers, err := img.Layers()
	Expect(err).NotTo(HaveOccurred())
	l := gzip9(change(uncompressedTar(layers[0])))
	diffID, err := l.DiffID()
	Expect(err).NotTo(HaveOccurred())
	label := layersLabelOf(img)
	for _, versions := range label {
		for v, info := range versions {
			info.LayerDiffID = diffID.String()
			versions[v] = info
		}
	}
	return relabelled(img, label, l)
}
