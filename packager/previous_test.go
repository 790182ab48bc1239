package packager_test

import (
	"archive/tar"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/source"
)

// over makes the image at the location the previous one.
func over(kind location.Kind, path, ref string) change {
	return func(o *packager.Options) {
		o.Previous = &engine.PreviousImage{Location: location.Location{Kind: kind, Path: path, Ref: ref, Written: path + ref}}
	}
}

func reused(img *engine.Image) (n int) {
	for _, l := range img.Layers {
		if l.Origin != engine.ToBuild {
			n++
		}
	}
	return n
}

var _ = Describe("the previous image", func() {
	It("keeps the layers whose content did not change, by digest, read from nowhere", func() {
		b := newBench()
		r := newCountingRegistry()
		before := b.pair(flatten.None)
		recompressed := gzip9Image(before) // other digests than we would give
		push(recompressed, r.host+"/acme/left:1")
		r.layerReads(recompressed)
		b.Write("acme_b@1/lib/data", "changed")
		file := b.toml("acme_left@1", "acme_a@1", "acme_b@1")
		jobs, err := b.prepare(file, over(location.Registry, "", r.host+"/acme/left:1"))
		Expect(err).NotTo(HaveOccurred())
		after, err := jobs[0].Build(GinkgoT().Context())
		Expect(err).NotTo(HaveOccurred())
		Expect(r.layerReads(recompressed)).To(HaveEach(0))
		Expect(reused(after)).To(Equal(2))
		Expect(blobsOf(after.Image)[0]).To(Equal(blobsOf(recompressed)[0]))
		Expect(blobsOf(after.Image)[1]).NotTo(Equal(blobsOf(recompressed)[1]))
		Expect(blobsOf(after.Image)[2]).To(Equal(blobsOf(recompressed)[2]))
		Expect(readThrough(after.Image)).To(Succeed())
		expectExact(after)
	})

	It("that somebody has named must be there; that of the destination need not", func() {
		b := newBench()
		b.pair(flatten.None)
		file := b.toml("acme_left@1", "acme_a@1", "acme_b@1")
		for _, at := range []location.Location{
			{Kind: location.OCILayout, Path: b.At("nowhere"), Written: "oci:nowhere"},
			{Kind: location.Registry, Ref: newCountingRegistry().host + "/acme/lfet:1", Written: "docker://acme/lfet:1"},
		} {
			for _, named := range []bool{false, true} {
				_, err := b.prepare(file, func(o *packager.Options) { o.Previous = &engine.PreviousImage{Location: at, Named: named} })
				if named {
					Expect(err).To(MatchError(And(HavePrefix("previous image "+at.Written), HaveSuffix("; use --previous none to build without one"))))
				} else {
					Expect(err).NotTo(HaveOccurred())
				}
			}
			_, err := b.prepare(file, func(o *packager.Options) { o.Previous = &engine.PreviousImage{Location: at, Found: true} })
			Expect(err).To(MatchError(And(HavePrefix("previous image "+at.Written), Not(ContainSubstring("--previous")))))
		}
		Expect(b.saidWarnings()).To(BeEmpty())
	})

	It("is missed by an automatic plan, which says so, unless there is to be none", func() {
		b := newBench()
		b.pair(flatten.None)
		file := b.toml("acme_left@1", "acme_a@1", "acme_b@1")
		auto := func(o *packager.Options) { o.Grouping.Mode = flatten.Auto }
		_, err := b.prepare(file, auto)
		Expect(err).NotTo(HaveOccurred())
		Expect(b.saidWarnings()).To(BeEmpty())
		_, err = b.prepare(file, auto, over(location.OCILayout, b.At("nowhere"), ""))
		Expect(err).NotTo(HaveOccurred())
		Expect(b.saidWarnings()).To(ConsistOf(HavePrefix("no image at DEST yet")))
	})

	It("keeps a shared layer by its recipe", func() {
		b := newBench()
		b.Keep(b.pair(flatten.All).Image, "oci:"+b.At("left")+":v1")
		file := b.toml("acme_left@1", "acme_a@1", "acme_b@1")
		Expect(reused(b.build(file, flat(flatten.All), over(location.OCILayout, b.At("left"), "v1")))).To(Equal(1))
		b.Write("acme_b@1/lib/data", "changed")
		Expect(reused(b.build(file, flat(flatten.All), over(location.OCILayout, b.At("left"), "v1")))).To(BeZero())
	})

	DescribeTable("is none where there is no such image, and nobody is warned", func(previous func(b *bench, host string) change) {
		b := newBench()
		b.Keep(b.pair(flatten.None).Image, "oci:"+b.At("left")+":v1")
		b.build(b.toml("acme_left@1", "acme_a@1", "acme_b@1"), previous(b, newCountingRegistry().host))
		Expect(b.saidWarnings()).To(BeEmpty())
	},
		Entry("no repository", func(_ *bench, host string) change { return over(location.Registry, "", host+"/acme/none:1") }),
		Entry("no layout", func(b *bench, _ string) change { return over(location.OCILayout, b.At("none"), "") }),
		Entry("no such tag", func(b *bench, _ string) change { return over(location.OCILayout, b.At("left"), "v2") }),
	)

	It("at the destination ends the run where the registry is silent, which is not asked again", func(ctx SpecContext) {
		b := newBench()
		b.pair(flatten.None)
		config, err := config.ReadPackage(b.toml("acme_left@1", "acme_a@1", "acme_b@1"))
		Expect(err).NotTo(HaveOccurred())
		var asked atomic.Int32
		silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			<-r.Context().Done()
		}))
		DeferCleanup(silent.Close)
		host := strings.TrimPrefix(silent.URL, "http://")
		open := &source.Opener{WorkDir: GinkgoT().TempDir(), Log: &b.Log, Stall: 50 * time.Millisecond}
		o := packager.Options{Config: config, Options: engine.Options{WorkDir: open.WorkDir, Log: &b.Log}}
		over(location.Registry, "", host+"/acme/left:1")(&o)
		_, err = packager.Prepare(ctx, open, o)
		Expect(err).To(MatchError(ContainSubstring("registry " + host + " does not respond: no byte moved for 50ms")))
		Expect(asked.Load()).To(Equal(int32(1)))
		Expect(b.saidWarnings()).To(BeEmpty())
	})

	It("that cannot be read is a warning, and all is made anew", func() {
		b := newBench()
		b.pair(flatten.None)
		img := b.build(b.toml("acme_left@1", "acme_a@1", "acme_b@1"), over(location.Registry, "", "127.0.0.1:1/acme/left:1"))
		Expect(reused(img)).To(BeZero())
		Expect(b.saidWarnings()).To(ConsistOf(ContainSubstring("continuing without the previous image: ")))
	})
})

var _ = Describe("a registry that lies", func() {
	It("about a diffID is found out, as a layout is", func() {
		b := newBench()
		honest := gzip9Image(b.pair(flatten.None))
		config := configOf(honest).DeepCopy()
		was := config.RootFS.DiffIDs[0]
		lie := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("00", 32)}
		config.RootFS.DiffIDs[0] = lie
		config.Config.Labels[flatten.BuildpackLayersLabel] = strings.ReplaceAll(config.Config.Labels[flatten.BuildpackLayersLabel], was.String(), lie.String())
		img, err := mutate.ConfigFile(honest, config)
		Expect(err).NotTo(HaveOccurred())
		source := push(img, newCountingRegistry().host+"/acme/left:1")
		everyMode(func(mode flatten.Mode) {
			Expect(b.fails(b.toml("acme_root@1", source), flat(mode))).To(MatchError(ContainSubstring("config says " + lie.String())))
		})
	})

	It("about what a layer unpacks to is stopped by the limits", func() {
		b := newBench()
		honest := b.pair(flatten.None)
		bomb := gzip9(tarOf(
			entry{Header: tar.Header{Name: "/cnb/buildpacks/acme_a", Typeflag: tar.TypeDir, Mode: 0o755}},
			entry{Header: tar.Header{Name: "/cnb/buildpacks/acme_a/1", Typeflag: tar.TypeDir, Mode: 0o755}},
			entry{Header: tar.Header{Name: "/cnb/buildpacks/acme_a/1/zeros", Typeflag: tar.TypeReg, Mode: 0o644}, Body: strings.Repeat("\x00", 128<<20)},
		))
		layers, err := honest.Image.Layers()
		Expect(err).NotTo(HaveOccurred())
		diffID, err := bomb.DiffID()
		Expect(err).NotTo(HaveOccurred())
		label := layersLabelOf(honest.Image)
		info := label["acme/a"]["1"]
		info.LayerDiffID = diffID.String()
		label["acme/a"]["1"] = info
		source := push(relabelled(honest.Image, label, bomb, layers[1], layers[2]), newCountingRegistry().host+"/acme/left:1")
		Expect(b.fails(b.toml("acme_root@1", source))).To(MatchError(ContainSubstring("times the compressed size")))
	})
})
