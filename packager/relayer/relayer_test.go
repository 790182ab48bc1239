package relayer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	ocilayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/fixtures/workbench"
	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/relayer"
	"laminate/packager/sink"
)

// layouts are the ways to lay out an image that need no other image.
var layouts = map[string]layout{
	"none":       mode(flatten.None),
	"composites": mode(flatten.Composites),
	"all":        mode(flatten.All),
	"a group":    groups(flatten.None, "acme/a", "acme/alone"),
}

// partial reports whether some layers stay between two layouts, and others do not: those that stay
// lie lowest then, and the order differs from that of a new image.
func partial(from, to string) bool { return from != to && from != "all" && to != "all" }

// expectSame checks that two images have the same layers and, if they are in order, the same digest.
func expectSame(got, want v1.Image, inOrder bool) {
	GinkgoHelper()
	digests, label := laidOut(got)
	wantDigests, wantLabel := laidOut(want)
	Expect(digests).To(Equal(wantDigests))
	Expect(label).To(Equal(wantLabel))
	if inOrder {
		Expect(workbench.DigestOf(got)).To(Equal(workbench.DigestOf(want)))
	}
}

var _ = Describe("an image that is laid out anew", func() {
	for from, made := range layouts {
		for to, wanted := range layouts {
			It(fmt.Sprintf("is the builder that is created with %s, also of one with %s", to, from), func() {
				b := newBench()
				b.Keep(b.builder(made), "oci:it")
				expectSame(b.relayer("oci:it", wanted), b.builder(wanted), !partial(from, to))
			})
			It(fmt.Sprintf("is the buildpackage that is made with %s, also of one with %s", to, from), func() {
				b := newBench()
				b.Keep(b.buildpackage(made), "it.cnb")
				expectSame(b.relayer("it.cnb", wanted), b.buildpackage(wanted), !partial(from, to))
			})
		}
	}

	DescribeTable("has the rest of its config and its other layers as before",
		func(sections ...string) {
			b := newBench()
			img := b.builder(mode(flatten.None), sections...)
			b.Keep(img, "oci:it")
			wantConfig, wantLayers := besides(img)
			for _, wanted := range layouts {
				gotConfig, gotLayers := besides(b.relayer("oci:it", wanted))
				Expect(gotConfig).To(Equal(wantConfig))
				Expect(gotLayers).To(Equal(wantLayers))
			}
		},
		Entry("a builder"),
		Entry("with system buildpacks", "[[system.pre.buildpacks]]\nid = 'acme/a'\nversion = '1'\n"),
		Entry("with environment", "[[build.env]]\nname = 'A'\nvalue = '1'\n[build]\nimage = 'oci:base'\n"),
	)

	It("keeps what a builder hides of the one below it", func() {
		b := newBench()
		b.Keep(b.builder(mode(flatten.All)), "oci:below")
		b.Write("acme_a@1/lib/data", "replaced")
		over := b.builder(mode(flatten.None), "[build]\nimage = \"oci:below\"\n")
		b.Keep(over, "oci:over")
		for _, wanted := range layouts {
			img := b.relayer("oci:over", wanted)
			files := map[string]string{} // as an engine unpacks them
			layers, err := img.Layers()
			Expect(err).NotTo(HaveOccurred())
			for _, l := range layers {
				for _, e := range workbench.EntriesOf(l) {
					if e.Name == "/cnb/buildpacks/acme_a/.wh.1" {
						delete(files, "/cnb/buildpacks/acme_a/1/lib/data")
					}
					files[e.Name] = e.Body
				}
			}
			Expect(files).To(HaveKeyWithValue("/cnb/buildpacks/acme_a/1/lib/data", "replaced"))
		}
	})

	It("is zstd again where it was", func() {
		b := newBench()
		zstd := func(o *engine.Options) { o.Compression, o.Grouping.Mode = layer.Zstd, flatten.None }
		b.Keep(b.buildpackage(zstd), "oci:it")
		all := func(o *engine.Options) { o.Compression, o.Grouping.Mode = layer.Zstd, flatten.All }
		Expect(workbench.BlobsOf(b.relayer("oci:it", mode(flatten.All)))).To(Equal(workbench.BlobsOf(b.buildpackage(all))))
	})

	It("keeps the layers that stay below those that are new, in their order", func() {
		b := newBench()
		img := b.builder(mode(flatten.None))
		b.Keep(img, "oci:it")
		got := diffIDs(b.relayer("oci:it", groups(flatten.AsPackaged, "acme/left", "acme/b@1")))
		kept := 0
		for kept < len(got) && got[kept] == diffIDs(img)[kept] {
			kept++
		}
		Expect(kept).To(Equal(2), "the build image and the lifecycle") // left was the lowest
		b.Keep(img, "oci:it")
		got = diffIDs(b.relayer("oci:it", groups(flatten.AsPackaged, "acme/b@2", "acme/right")))
		Expect(got[:7]).To(Equal(append(append([]v1.Hash{}, diffIDs(img)[:6]...), got[6])))
	})

	DescribeTable("reads in a registry only the layers that change, and mounts or leaves the rest", func(isOurs bool) {
		b := newBench()
		traffic := fixtures.CountedRegistry(GinkgoT())
		ref := traffic.Host + "/acme/builder"
		img := b.builder(mode(flatten.None))
		if !isOurs {
			c := workbench.ConfigOf(img).DeepCopy()
			delete(c.Config.Labels, flatten.RecipesLabelKey)
			var err error
			img, err = mutate.ConfigFile(img, c)
			Expect(err).NotTo(HaveOccurred())
		}
		b.Keep(img, "docker://"+ref+":1")
		changed := map[string]bool{}
		layers, err := img.Layers()
		Expect(err).NotTo(HaveOccurred())
		label := workbench.LayersLabelOf(img, flatten.Buildpack)
		for _, l := range layers {
			diffID, err := l.DiffID()
			Expect(err).NotTo(HaveOccurred())
			digest, err := l.Digest()
			Expect(err).NotTo(HaveOccurred())
			if id := diffID.String(); id == label["acme/a"]["1"].LayerDiffID || id == label["acme/b"]["1"].LayerDiffID {
				changed[digest.String()] = true
			}
		}
		Expect(changed).To(HaveLen(2))
		m, err := img.Manifest()
		Expect(err).NotTo(HaveOccurred())
		changed[m.Config.Digest.String()] = true // not a layer
		for _, dest := range []string{ref, traffic.Host + "/other/builder"} {
			traffic.Reset()
			flat := b.prepareAndBuild("docker://"+ref+":1", groups(flatten.AsPackaged, "acme/a", "acme/b@1"))
			b.Keep(flat, "docker://"+dest+":flat")
			for _, r := range traffic.Requests(func(r fixtures.Request) bool { return r.Method == "GET" && r.Kind == fixtures.Blob }) {
				Expect(changed).To(HaveKey(r.Digest), "reads a layer that does not change")
			}
			config, err := flat.ConfigName()
			Expect(err).NotTo(HaveOccurred())
			mounts := traffic.Requests(func(r fixtures.Request) bool { return r.Mount && r.Digest != config.String() })
			if dest != ref {
				Expect(mounts).To(HaveLen(len(diffIDs(flat))-1), "all but the new layer")
			}
		}
	},
		Entry("of laminate", true),
		Entry("of another tool", false),
	)

	It("keeps the history of what stays, the annotations of the manifest, and takes labels", func() {
		b := newBench()
		img := b.builder(mode(flatten.None))
		c := workbench.ConfigOf(img).DeepCopy()
		for i := range c.History {
			c.History[i].CreatedBy = fmt.Sprintf("somebody: %d", i)
		}
		c.History = append([]v1.History{{CreatedBy: "nothing", EmptyLayer: true}}, c.History...)
		img, err := mutate.ConfigFile(img, c)
		Expect(err).NotTo(HaveOccurred())
		img = mutate.Annotations(img, map[string]string{"org.opencontainers.image.base.name": "base"}).(v1.Image)
		b.Keep(img, "oci:it")
		two := groups(flatten.AsPackaged, "acme/a", "acme/b@1")
		flat := b.relayer("oci:it", func(o *engine.Options) { two(o); o.Labels = map[string]string{"a": "b"} })
		Expect(workbench.ConfigOf(flat).Config.Labels).To(HaveKeyWithValue("a", "b"))
		var history []string
		for _, h := range workbench.ConfigOf(flat).History {
			history = append(history, h.CreatedBy)
		}
		Expect(history).To(HaveLen(len(c.History) - 1))
		Expect(history[:3]).To(Equal([]string{"nothing", "somebody: 0", "somebody: 1"}))
		Expect(slices.DeleteFunc(slices.Clone(history), func(h string) bool { return !strings.HasPrefix(h, "laminate: ") })).To(Equal([]string{"laminate: acme/a@1, acme/b@1"}))
		Expect(history[len(history)-1]).To(Equal(c.History[len(c.History)-1].CreatedBy))
		m, err := flat.Manifest()
		Expect(err).NotTo(HaveOccurred())
		Expect(m.Annotations).To(HaveKeyWithValue("org.opencontainers.image.base.name", "base"))
	})

	It("has no history of layers for which there was none", func() {
		b := newBench()
		img := b.builder(mode(flatten.None))
		c := workbench.ConfigOf(img).DeepCopy()
		c.History = c.History[:1]
		img, err := mutate.ConfigFile(img, c)
		Expect(err).NotTo(HaveOccurred())
		b.Keep(img, "oci:it")
		var history []string
		for _, h := range workbench.ConfigOf(b.relayer("oci:it", groups(flatten.AsPackaged, "acme/a", "acme/b@1"))).History {
			history = append(history, h.CreatedBy)
		}
		Expect(history).To(HaveLen(10))
		Expect(history[0]).To(Equal(c.History[0].CreatedBy))
		Expect(history[1:]).To(HaveEach(BeElementOf("", "laminate: acme/a@1, acme/b@1")))
	})

	It("does not keep the lower one of two equal layers with a buildpack", func() {
		b := newBench()
		img := b.builder(mode(flatten.None))
		label := workbench.LayersLabelOf(img, flatten.Buildpack)
		layers, err := img.Layers()
		Expect(err).NotTo(HaveOccurred())
		id, err := v1.NewHash(label["acme/a"]["1"].LayerDiffID)
		Expect(err).NotTo(HaveOccurred())
		twice := layers[slices.Index(diffIDs(img), id)]
		img, err = mutate.Append(img, mutate.Addendum{Layer: twice, History: v1.History{CreatedBy: "again"}})
		Expect(err).NotTo(HaveOccurred())
		b.Keep(img, "oci:it")
		for name, wanted := range layouts {
			jobs, err := b.prepare("oci:it", wanted)
			Expect(err).NotTo(HaveOccurred())
			Expect(jobs[0].Others).To(Equal(4), name)
			got, err := jobs[0].Build(context.Background())
			Expect(err).NotTo(HaveOccurred())
			digests, _ := laidOut(got.Image)
			wantDigests, _ := laidOut(b.relayer("oci:it", wanted))
			Expect(digests).To(Equal(wantDigests))
			Expect(slices.Compact(slices.Clone(digests))).To(Equal(digests), "no layer twice")
		}
	})

	It("says what clients of the previous image keep", func() {
		b := newBench()
		b.Keep(b.builder(mode(flatten.None)), "oci:it")
		jobs, err := b.prepare("oci:it", groups(flatten.AsPackaged, "acme/b@1", "acme/b@2"))
		Expect(err).NotTo(HaveOccurred())
		o, err := jobs[0].Outlook(context.Background())
		Expect(err).NotTo(HaveOccurred())
		Expect(o.Previous).To(Equal("oci:it"))
		Expect(o.Kept).To(Equal(5), "all below acme/b")
		Expect(o.Besides).To(BeZero())
		base, err := fixtures.BaseImage("", "OTHER=1")
		Expect(err).NotTo(HaveOccurred())
		b.Keep(base, "oci:base")
		b.Keep(b.buildpackage(mode(flatten.None)), "oci:package")
		loc, err := location.ParseSource("oci:package", b.Dir)
		Expect(err).NotTo(HaveOccurred())
		jobs, err = b.prepare("oci:it", func(o *engine.Options) { o.Previous = &engine.PreviousImage{Location: loc, Named: true} })
		Expect(err).NotTo(HaveOccurred())
		o, err = jobs[0].Outlook(context.Background())
		Expect(err).NotTo(HaveOccurred())
		Expect(o.Previous).To(Equal("oci:package"))
		Expect(o.Besides).To(Equal(4), "build image, lifecycle, extension, configuration")
	})

	It("is done for each platform of an index", func() {
		b := newBench()
		amd := b.buildpackage(mode(flatten.None))
		c := workbench.ConfigOf(amd).DeepCopy()
		c.Architecture = "arm64"
		arm, err := mutate.ConfigFile(amd, c)
		Expect(err).NotTo(HaveOccurred())
		c = c.DeepCopy()
		c.Architecture = "amd64"
		amd, err = mutate.ConfigFile(amd, c)
		Expect(err).NotTo(HaveOccurred())
		dest := location.Location{Kind: location.OCILayout, Path: b.At("index")}
		_, err = sink.Write(context.Background(), dest, []sink.Image{{Image: amd, Target: flatten.Target{OS: "linux", Arch: "amd64"}}, {Image: arm, Target: flatten.Target{OS: "linux", Arch: "arm64"}}}, sink.Options{})
		Expect(err).NotTo(HaveOccurred())
		jobs, err := b.prepare("oci:index", mode(flatten.All))
		Expect(err).NotTo(HaveOccurred())
		Expect(jobs).To(HaveLen(2))
		for i, arch := range []string{"amd64", "arm64"} {
			img, err := jobs[i].Build(context.Background())
			Expect(err).NotTo(HaveOccurred())
			Expect(workbench.ConfigOf(img.Image).Architecture).To(Equal(arch))
			Expect(diffIDs(img.Image)).To(HaveLen(1))
		}
		c = c.DeepCopy()
		c.OSVersion = "24.04"
		newer, err := mutate.ConfigFile(amd, c)
		Expect(err).NotTo(HaveOccurred())
		dest.Path = b.At("distros")
		_, err = sink.Write(context.Background(), dest, []sink.Image{{Image: amd, Target: flatten.Target{OS: "linux", Arch: "amd64"}}, {Image: newer, Target: flatten.Target{OS: "linux", Arch: "amd64", Distros: []flatten.Distro{{Version: "24.04"}}}}}, sink.Options{})
		Expect(err).NotTo(HaveOccurred())
		jobs, err = b.prepare("oci:distros", mode(flatten.All))
		Expect(err).NotTo(HaveOccurred())
		Expect(jobs).To(HaveLen(2), "for two versions of a distribution")
		only := func(o *engine.Options) { o.Targets = []flatten.Target{{OS: "linux", Arch: "arm64"}} }
		jobs, err = b.prepare("oci:index", only)
		Expect(err).NotTo(HaveOccurred())
		Expect(jobs).To(HaveLen(1))
		Expect(jobs[0].Target.Arch).To(Equal("arm64"))
	})

	It("keeps the layers that clients have, with auto", func() {
		b := newBench()
		img := b.builder(mode(flatten.None))
		b.Keep(img, "oci:it")
		auto := func(o *engine.Options) { o.Grouping.Mode, o.MaxLayers = flatten.Auto, 9 }
		got := b.relayer("oci:it", auto)
		Expect(len(diffIDs(got))).To(BeNumerically("<=", 9))
		same := 0
		for _, id := range diffIDs(got) {
			for _, was := range diffIDs(img) {
				if id == was {
					same++
				}
			}
		}
		Expect(same).To(BeNumerically(">", 4), "more than the build image, the lifecycle, the extension and the configuration")
	})

	It("has the modules that no order reaches, too", func() {
		b := newBench()
		img := b.builder(mode(flatten.None))
		c := workbench.ConfigOf(img).DeepCopy()
		c.Config.Labels[flatten.OrderLabel] = `[{"group":[{"id":"acme/left","version":"1"}]}]`
		img, err := mutate.ConfigFile(img, c)
		Expect(err).NotTo(HaveOccurred())
		b.Keep(img, "oci:it")
		flat := b.relayer("oci:it", mode(flatten.All))
		Expect(workbench.LayersLabelOf(flat, flatten.Buildpack).Refs()).To(Equal(workbench.LayersLabelOf(img, flatten.Buildpack).Refs()))
	})
})

var _ = It("a layer with a path twice, as early versions wrote them, is built again although it keeps its buildpacks", func() {
	b := newBench()
	both := groups(flatten.None, "acme/b@1", "acme/b@2")
	made := b.buildpackage(both)
	label := workbench.LayersLabelOf(made, flatten.Buildpack)
	c := workbench.ConfigOf(made).DeepCopy()
	was := label["acme/b"]["1"].LayerDiffID
	layers, err := made.Layers()
	Expect(err).NotTo(HaveOccurred())
	c.RootFS.DiffIDs, c.History = nil, nil
	img, err := mutate.ConfigFile(mutate.MediaType(empty.Image, types.OCIManifestSchema1), &v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers"}})
	Expect(err).NotTo(HaveOccurred())
	for _, l := range layers {
		if diffID, err := l.DiffID(); err != nil || diffID.String() != was {
			Expect(err).NotTo(HaveOccurred())
			img, err = mutate.AppendLayers(img, l)
			Expect(err).NotTo(HaveOccurred())
			continue
		}
		entries := workbench.EntriesOf(l)
		second := slices.IndexFunc(entries, func(e workbench.TarEntry) bool { return e.Name == "/cnb/buildpacks/acme_b/2" })
		data := workbench.TarOf(slices.Insert(entries, second, entries[0])...)
		twice, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
		Expect(err).NotTo(HaveOccurred())
		img, err = mutate.AppendLayers(img, twice)
		Expect(err).NotTo(HaveOccurred())
		diffID, err := twice.DiffID()
		Expect(err).NotTo(HaveOccurred())
		c.Config.Labels[flatten.BuildpackLayersLabel], err = flatten.MoveLayers(c.Config.Labels[flatten.BuildpackLayersLabel], map[flatten.Ref]v1.Hash{{ID: "acme/b", Version: "1"}: diffID, {ID: "acme/b", Version: "2"}: diffID})
		Expect(err).NotTo(HaveOccurred())
	}
	delete(c.Config.Labels, flatten.RecipesLabelKey)
	c.RootFS.DiffIDs, c.History = diffIDs(img), workbench.ConfigOf(img).History
	img, err = mutate.ConfigFile(img, c)
	Expect(err).NotTo(HaveOccurred())
	b.Keep(img, "oci:early")
	Expect(workbench.LayersLabelOf(b.relayer("oci:early", both), flatten.Buildpack)).To(Equal(label))
})

var _ = Describe("what cannot be laid out anew", func() {
	refused := func(img v1.Image, l layout) error {
		GinkgoHelper()
		b := newBench()
		b.Keep(img, "oci:it")
		_, err := b.prepare("oci:it", l)
		Expect(err).To(HaveOccurred())
		return err
	}
	labelled := func(img v1.Image, key, value string) v1.Image {
		GinkgoHelper()
		c := workbench.ConfigOf(img).DeepCopy()
		c.Config.Labels[key] = value
		img, err := mutate.ConfigFile(img, c)
		Expect(err).NotTo(HaveOccurred())
		return img
	}

	It("is an image without buildpacks", func() {
		base, err := fixtures.BaseImage("")
		Expect(err).NotTo(HaveOccurred())
		Expect(refused(base, mode(flatten.All))).To(MatchError(ContainSubstring("neither a builder nor a buildpackage")))
		Expect(refused(labelled(base, flatten.BuilderMetadataLabel, "{}"), mode(flatten.All))).To(MatchError(ContainSubstring("no buildpacks")))
	})

	It("is one whose labels are wrong", func() {
		b := newBench()
		img := b.builder(mode(flatten.None))
		Expect(refused(labelled(img, flatten.BuildpackLayersLabel, `{"a":{"1":{"layerDiffID":"sha256:`+zeros+`"}}}`), mode(flatten.All))).To(MatchError(ContainSubstring("not in the image")))
		Expect(refused(labelled(img, flatten.OrderLabel, `nonsense`), mode(flatten.All))).To(MatchError(ContainSubstring("label " + flatten.OrderLabel)))
	})

	It("is one whose orders are a cycle", func() {
		b := newBench()
		img := b.buildpackage(mode(flatten.None))
		label := workbench.LayersLabelOf(img, flatten.Buildpack)
		in := label["acme/left"]["1"]
		in.Order = flatten.Order{{Entries: []flatten.Entry{{ID: "acme/root", Version: "1"}}}}
		label["acme/left"]["1"] = in
		labels := map[string]string{}
		Expect(engine.EncodeLabels(labels, map[string]any{flatten.BuildpackLayersLabel: label})).To(Succeed())
		Expect(refused(labelled(img, flatten.BuildpackLayersLabel, labels[flatten.BuildpackLayersLabel]), mode(flatten.All))).To(MatchError(ContainSubstring("cycle in order")))
	})

	It("is one that would have too many layers", func() {
		b := newBench()
		atMost := func(o *engine.Options) { o.Grouping.Mode, o.MaxLayers = flatten.None, 7 }
		var many *relayer.TooManyLayersError
		Expect(errors.As(refused(b.builder(mode(flatten.None)), atMost), &many)).To(BeTrue())
		Expect(*many).To(Equal(relayer.TooManyLayersError{Layers: 11, Others: 4, Max: 7, Mode: flatten.None}))
		b.Keep(b.builder(mode(flatten.None)), "oci:it")
		for most, fits := range map[int]bool{10: false, 11: true} {
			_, err := b.prepare("oci:it", func(o *engine.Options) { o.MaxLayers = most })
			Expect(err == nil).To(Equal(fits), "%d: %v", most, err)
		}
	})

	It("is an index with an image that is not for linux, or with two for one platform", func() {
		b := newBench()
		img := b.buildpackage(mode(flatten.None))
		var images []mutate.IndexAddendum
		index := func(name string) error {
			l, err := ocilayout.Write(b.At(name), empty.Index)
			Expect(err).NotTo(HaveOccurred())
			Expect(l.AppendIndex(mutate.AppendManifests(empty.Index, images...))).To(Succeed())
			_, err = b.prepare("oci:"+name, mode(flatten.All))
			return err
		}
		add := func(os, arch, entry string) {
			c := workbench.ConfigOf(img).DeepCopy()
			c.OS, c.Architecture, c.Author = os, arch, entry
			one, err := mutate.ConfigFile(img, c)
			Expect(err).NotTo(HaveOccurred())
			images = append(images, mutate.IndexAddendum{Add: one, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: os, Architecture: entry}}})
		}
		add("windows", "amd64", "amd64")
		add("windows", "arm64", "arm64")
		Expect(index("windows")).To(MatchError("oci:windows: unsupported platform windows/amd64, windows/arm64; laminate makes images for linux only"))
		add("linux", "amd64", "amd64")
		add("linux", "arm64", "arm64")
		Expect(index("both")).To(MatchError("oci:both: unsupported platform windows/amd64, windows/arm64; choose the others with --target linux/amd64 --target linux/arm64"))
		add("linux", "amd64", "s390x")
		Expect(index("two")).To(MatchError(ContainSubstring("several images say linux/amd64")))
	})

	It("is one with a label of the user that is laminate's", func() {
		own := func(o *engine.Options) { o.Labels = map[string]string{flatten.OrderLabel: "x"} }
		Expect(refused(newBench().builder(mode(flatten.None)), own)).To(MatchError(ContainSubstring("reserved")))
	})

	It("is an empty image", func() {
		Expect(refused(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mode(flatten.All))).To(HaveOccurred())
	})
})

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"
