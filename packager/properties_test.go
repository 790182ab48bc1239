package packager_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/engine"
)

// wish is a way in which a tree can be packaged.
type wish struct {
	name string
	change
}

// wishes returns two of all the ways. What they choose at random they choose once.
func (t *orderTree) grouping() []wish {
	grouped, apart := t.some(), t.some()
	all := []wish{
		{"composites", flat(flatten.Composites)},
		{"all", flat(flatten.All)},
		{"a group", group(grouped...)},
		{"composites but a group", both(flat(flatten.Composites), group(grouped...))},
		{"all but some", both(flat(flatten.All), exclude(apart...))},
	}
	t.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:2]
}

var _ = Describe("any tree of orders", func() {
	each := func(trees uint64, check func(t *orderTree)) {
		GinkgoHelper()
		for i := range trees {
			seed := uint64(GinkgoRandomSeed())<<8 + i
			By(fmt.Sprintf("tree of seed %d", seed), func() { check(growTree(seed)) })
		}
	}

	It("holds the same files however it is flattened, under labels that differ in diffIDs alone", func() {
		each(20, func(t *orderTree) {
			exploded := t.build(t.file())
			for _, w := range t.grouping() {
				img := t.build(t.file(), w.change) // which also sees that the plan is exact
				Expect(filesOf(img.Image)).To(Equal(filesOf(exploded.Image)), w.name)
				Expect(labelsButDiffIDs(img.Image)).To(Equal(labelsButDiffIDs(exploded.Image)), w.name)
			}
		})
	})

	It("returns the same bytes in whatever order its parts are named, on any number of cores", func() {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
		each(6, func(t *orderTree) {
			for _, w := range t.grouping() {
				runtime.GOMAXPROCS(1)
				one := t.build(t.file(), w.change)
				runtime.GOMAXPROCS(4)
				Expect(digestOf(t.build(t.file(), w.change).Image)).To(Equal(digestOf(one.Image)), w.name)
			}
		})
	})

	It("does not care what came out of a package that was flattened before", func() {
		each(6, func(t *orderTree) {
			root := len(t.dirs) - 1
			top, inside, outside := t.cut()
			if top < 0 {
				return
			}
			file := t.toml(t.dirs[top], inside...)
			t.keepCNB("laminate.cnb", t.build(file, flat(flatten.All)).Image)
			t.keepCNB("pack.cnb", flattenedByPack(t.build(file).Image, t.random, t.some()...))
			for _, w := range t.grouping() {
				want := t.build(t.file(), w.change)
				for _, from := range []string{"laminate.cnb", "pack.cnb"} {
					img := t.build(t.toml(t.dirs[root], append(outside, from)...), w.change)
					Expect(filesOf(img.Image)).To(Equal(filesOf(want.Image)), w.name+" from "+from)
					Expect(labelsButDiffIDs(img.Image)).To(Equal(labelsButDiffIDs(want.Image)), w.name+" from "+from)
					Expect(shared(img.Image)).To(Equal(shared(want.Image)), w.name+" from "+from)
				}
			}
		})
	})
})

// tgz archives a directory of the bench, its entries in the order in which
// nobody would have them.
func (b *bench) tgz(dir string) string {
	GinkgoHelper()
	entries := treeEntries(b.At(dir))
	for i := range entries {
		j := len(entries) - 1 - i
		if i >= j {
			break
		}
		entries[i], entries[j] = entries[j], entries[i]
	}
	for i := range entries {
		info, err := os.Stat(b.At(dir + "/" + strings.TrimSuffix(entries[i].Name, "/")))
		Expect(err).NotTo(HaveOccurred())
		entries[i].Mode, entries[i].Name = int64(info.Mode().Perm()), "./"+entries[i].Name
		entries[i].Uid, entries[i].Uname, entries[i].ModTime = 1000, "somebody", info.ModTime()
	}
	entries = append([]entry{{Header: tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o700}}}, entries...)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err := w.Write(tarOf(entries...))
	Expect(err).NotTo(HaveOccurred())
	Expect(w.Close()).To(Succeed())
	Expect(os.WriteFile(b.At(dir+".tgz"), z.Bytes(), 0o600)).To(Succeed())
	return dir + ".tgz"
}

var _ = Describe("a composite of directories", func() {
	var b *bench
	var want *engine.Image
	modes := []flatten.Mode{flatten.None, flatten.Composites, flatten.All}
	directories := []string{"acme_a@1", "acme_b@1", "acme_c@1", "acme_inner@1"}
	BeforeEach(func() {
		b = newBench()
		b.Component("acme/a@1")
		b.Component("acme/b@1")
		b.Component("acme/c@1")
		b.Write("acme_a@1/lib/big", strings.Repeat("more than a member of gzip takes\n", 1<<16))
		b.Composite("acme/inner@1", "acme/a@1", "acme/b@1")
		b.Add(module{Ref: "acme/root@1", Order: []string{"acme/c@1", "acme/inner@1"}, TOML: `
[metadata]
anything = "goes"
`})
		want = b.build(b.toml("acme_root@1", directories...))
	})

	It("is the same image out of its archives", func() {
		deps := make([]string, len(directories))
		for i, d := range directories {
			deps[i] = b.tgz(d)
		}
		Expect(digestOf(b.build(b.toml(b.tgz("acme_root@1"), deps...)).Image)).To(Equal(digestOf(want.Image)))
	})

	for _, kept := range modes {
		DescribeTable(fmt.Sprintf("is the same image out of one that has its layers by %q", kept),
			func(keep func(img *engine.Image) string) {
				from := keep(b.build(b.toml("acme_root@1", directories...), flat(kept)))
				for _, mode := range modes {
					img := b.build(b.toml("acme_root@1", directories...), flat(mode))
					Expect(digestOf(b.build(b.toml(from), flat(mode)).Image)).To(Equal(digestOf(img.Image)))
				}
			},
			Entry("in a .cnb", func(img *engine.Image) string { return b.Keep(img.Image, "own.cnb") }),
			Entry("in an OCI layout", func(img *engine.Image) string { return b.Keep(img.Image, "oci:own:tag") }),
			Entry("in an OCI archive", func(img *engine.Image) string { return b.Keep(img.Image, "oci-archive:own.tar") }),
			Entry("in a Docker archive", func(img *engine.Image) string { return b.Keep(img.Image, "docker-archive:own.tar:acme/own:1") }),
			Entry("in a Docker archive that another tool wrote", func(img *engine.Image) string {
				tag, err := name.NewTag("acme/own:1")
				Expect(err).NotTo(HaveOccurred())
				Expect(tarball.WriteToFile(b.At("other.tar"), tag, img.Image)).To(Succeed())
				return "docker-archive:other.tar"
			}),
			Entry("in a registry", func(img *engine.Image) string {
				return b.Keep(img.Image, "docker://"+fixtures.Registry(GinkgoT())+"/acme/own:1")
			}),
		)

		It(fmt.Sprintf("has the ID and the blobs of one that another tool compressed, its layers by %q", kept), func() {
			again := recompressed(b.build(b.toml("acme_root@1", directories...), flat(kept)).Image, gzip9)
			b.keepCNB("again.cnb", again)
			b.Log.Tasks = nil
			img := b.build(b.toml("again.cnb"), flat(kept))
			Expect(imageID(img.Image)).To(Equal(imageID(b.build(b.toml("acme_root@1", directories...), flat(kept)).Image)))
			Expect(blobsOf(img.Image)).To(Equal(blobsOf(again)))
			Expect(blobsOf(img.Image)).NotTo(Equal(blobsOf(want.Image)))
		})
	}

	It("is built anew where another compression is wanted, under the same ID", func() {
		b.Keep(want.Image, "own.cnb")
		zstd := func(o *packager.Options) { o.Compression = "zstd" }
		img := b.build(b.toml("own.cnb"), zstd)
		Expect(imageID(img.Image)).To(Equal(imageID(want.Image)))
		Expect(digestOf(img.Image)).To(Equal(digestOf(b.build(b.toml("acme_root@1", directories...), zstd).Image)))
		expectMediaTypes(img.Image, "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+zstd")
		expectMediaTypes(want.Image, "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip")
	})
})

func expectMediaTypes(img v1.Image, manifest, config, layers string) {
	GinkgoHelper()
	m, err := img.Manifest()
	Expect(err).NotTo(HaveOccurred())
	Expect([]string{string(m.MediaType), string(m.Config.MediaType)}).To(Equal([]string{manifest, config}))
	for _, l := range m.Layers {
		Expect(string(l.MediaType)).To(Equal(layers))
	}
}
