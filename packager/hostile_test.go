package packager_test

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/engine"
)

// everyMode runs a check for each way in which a layer of a source is used: as
// it is, taken apart, and put together with others.
func everyMode(check func(mode flatten.Mode)) {
	GinkgoHelper()
	for _, mode := range []flatten.Mode{flatten.None, flatten.Composites, flatten.All} {
		By(string(mode), func() { check(mode) })
	}
}

// pair makes a composite of two components on the bench, and a root over it
// whose package.toml takes it from the source that is named.
func (b *bench) pair(mode flatten.Mode) *engine.Image {
	GinkgoHelper()
	b.Component("acme/a@1")
	b.Component("acme/b@1")
	b.Composite("acme/left@1", "acme/a@1", "acme/b@1")
	b.Composite("acme/root@1", "acme/left@1")
	return b.build(b.toml("acme_left@1", "acme_a@1", "acme_b@1"), flat(mode))
}

var _ = Describe("a source that lies", func() {
	for _, stored := range []flatten.Mode{flatten.None, flatten.All} {
		It(fmt.Sprintf("about a blob is found out, its layers by %q", stored), func() {
			b := newBench()
			theirs := gzip9Image(b.pair(stored))
			b.keepLayout("left", theirs)
			blob := strings.TrimPrefix(blobsOf(theirs)[0], "sha256:")
			file := b.At("left/blobs/sha256/" + blob)
			content, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			for _, at := range []int{4, len(content) - 5} { // gzip's time, which means nothing, and its checksum
				spoiled := slices.Clone(content)
				spoiled[at] ^= 1
				Expect(os.WriteFile(file, spoiled, 0o644)).To(Succeed())
				everyMode(func(mode flatten.Mode) {
					err := b.fails(b.toml("acme_root@1", "left"), flat(mode))
					Expect(err).To(MatchError(And(ContainSubstring("left: "), ContainSubstring("layer sha256:"+blob), Or(ContainSubstring("digest"), ContainSubstring("checksum")))))
				})
			}
		})

		It(fmt.Sprintf("about a diffID is found out, its layers by %q", stored), func() {
			b := newBench()
			honest := b.pair(stored).Image
			config := configOf(honest).DeepCopy()
			was := config.RootFS.DiffIDs[0]
			lie := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("00", 32)}
			config.RootFS.DiffIDs[0] = lie
			config.Config.Labels[flatten.BuildpackLayersLabel] = strings.ReplaceAll(config.Config.Labels[flatten.BuildpackLayersLabel], was.String(), lie.String())
			delete(config.Config.Labels, flatten.RecipesLabelKey)
			img, err := mutate.ConfigFile(honest, config)
			Expect(err).NotTo(HaveOccurred())
			b.keepLayout("left", img)
			everyMode(func(mode flatten.Mode) {
				err := b.fails(b.toml("acme_root@1", "left"), flat(mode))
				Expect(err).To(MatchError(And(ContainSubstring("left: "), ContainSubstring("layer "+blobsOf(img)[0]),
					ContainSubstring("diffID is "+was.String()+", config says "+lie.String()))))
			})
		})
	}

	It("about where a ref lies is found out", func() {
		b := newBench()
		honest := b.pair(flatten.None).Image
		label := layersLabelOf(honest)
		info := label["acme/a"]["1"]
		info.LayerDiffID = label["acme/b"]["1"].LayerDiffID
		label["acme/a"]["1"] = info
		layers, err := honest.Layers()
		Expect(err).NotTo(HaveOccurred())
		b.keepLayout("left", relabelled(honest, label, layers...))
		everyMode(func(mode flatten.Mode) {
			Expect(b.fails(b.toml("acme_root@1", "left"), flat(mode))).To(MatchError(And(
				ContainSubstring("left: "), ContainSubstring("acme/a@1 has no files in the layer"))))
		})
	})

	It("about a layer that is not in the image is found out", func() {
		b := newBench()
		honest := b.pair(flatten.None).Image
		label := layersLabelOf(honest)
		info := label["acme/a"]["1"]
		info.LayerDiffID = "sha256:" + strings.Repeat("11", 32)
		label["acme/a"]["1"] = info
		layers, err := honest.Layers()
		Expect(err).NotTo(HaveOccurred())
		b.keepLayout("left", relabelled(honest, label, layers...))
		everyMode(func(mode flatten.Mode) {
			Expect(b.said(b.fails(b.toml("acme_root@1", "left"), flat(mode)))).To(Equal(
				"package.toml:4: left: label says that acme/a@1 is in layer sha256:" + strings.Repeat("11", 32) + ", which is not in the image"))
		})
	})
})

func gzip9Image(img *engine.Image) v1.Image { return recompressed(img.Image, gzip9) }

var _ = Describe("a .cnb that ends too early", func() {
	It("is an error that names it, wherever it ends", func() {
		b := newBench()
		b.Keep(b.pair(flatten.All).Image, "left.cnb")
		whole, err := os.ReadFile(b.At("left.cnb"))
		Expect(err).NotTo(HaveOccurred())
		file := b.toml("acme_root@1", "left.cnb")
		var cuts []int
		for at := 0; at < len(whole); at += 97 {
			cuts = append(cuts, at)
		}
		for block := 0; block < len(whole); block += 512 {
			cuts = append(cuts, block)
		}
		for _, at := range cuts {
			Expect(os.WriteFile(b.At("left.cnb"), whole[:at], 0o644)).To(Succeed())
			img, err := b.run(file, flat(flatten.All))
			if err == nil { // nothing but zeros is missing
				Expect(strings.Trim(string(whole[at:]), "\x00")).To(BeEmpty(), "cut at %d of %d", at, len(whole))
				expectExact(img)
				continue
			}
			Expect(err).To(MatchError(ContainSubstring("left.cnb: ")), "cut at %d of %d", at, len(whole))
		}
	})
})

// alien packages the component acme/a@1 out of a layer of these entries.
func (b *bench) alien(entries []entry) (*engine.Image, error) {
	GinkgoHelper()
	honest := b.build(b.toml(b.Component("acme/a@1")))
	return b.alienLayer(honest.Image, gzip9(tarOf(entries...)))
}

func (b *bench) alienLayer(honest v1.Image, l v1.Layer) (*engine.Image, error) {
	GinkgoHelper()
	label := layersLabelOf(honest)
	diffID, err := l.DiffID()
	Expect(err).NotTo(HaveOccurred())
	info := label["acme/a"]["1"]
	info.LayerDiffID = diffID.String()
	label["acme/a"]["1"] = info
	Expect(os.RemoveAll(b.At("alien"))).To(Succeed())
	b.keepLayout("alien", relabelled(honest, label, l))
	return b.run(b.toml("alien"))
}

var _ = Describe("a layer that somebody else made", func() {
	const dir = "/cnb/buildpacks/acme_a"
	var b *bench
	var honest *engine.Image
	var entries []entry
	BeforeEach(func() {
		b = newBench()
		honest = b.build(b.toml(b.Component("acme/a@1")))
		layers, err := honest.Image.Layers()
		Expect(err).NotTo(HaveOccurred())
		entries = entriesOf(layers[0])
	})
	file := func(name, body string) entry {
		return entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, ModTime: entries[0].ModTime}, Body: body}
	}

	DescribeTable("is brought into shape where it is odd",
		func(odd func([]entry) []entry) {
			img, err := b.alien(odd(slices.Clone(entries)))
			Expect(err).NotTo(HaveOccurred())
			expectExact(img)
			Expect(digestOf(img.Image)).To(Equal(digestOf(honest.Image)))
		},
		Entry("by relative names", func(es []entry) []entry {
			for i := range es {
				es[i].Name = strings.TrimPrefix(es[i].Name, "/")
			}
			return es
		}),
		Entry("by names that begin with a dot", func(es []entry) []entry {
			for i := range es {
				es[i].Name = "." + es[i].Name
			}
			return es
		}),
		Entry("by an id directory that is not there", func(es []entry) []entry { return es[1:] }),
		Entry("by id and version directories that are not there", func(es []entry) []entry { return es[2:] }),
		Entry("by directories above", func(es []entry) []entry {
			above := []entry{}
			for _, name := range []string{"/cnb", "/cnb/buildpacks"} {
				above = append(above, entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}})
			}
			return append(above, es...)
		}),
		Entry("by another buildpack that no label speaks of", func(es []entry) []entry {
			return append(es, file("/cnb/buildpacks/acme_b/1/buildpack.toml", "x"))
		}),
	)

	It("is passed on as it is where nothing is odd, whatever its files' times and owners are", func() {
		for i := range entries {
			entries[i].ModTime, entries[i].Uid = entries[i].ModTime.AddDate(30, 0, 0), 1000
		}
		img, err := b.alien(entries)
		Expect(err).NotTo(HaveOccurred())
		expectExact(img)
		Expect(img.Layers[0].Origin).To(Equal(engine.FromSource))
		Expect(blobsOf(img.Image)).NotTo(Equal(blobsOf(honest.Image)))
	})

	DescribeTable("is refused where it holds what no buildpack may",
		func(bad func([]entry) []entry, text string) {
			_, err := b.alien(bad(slices.Clone(entries)))
			Expect(err).To(MatchError("alien: " + text))
			Expect(engine.IsBug(err)).To(BeFalse())
		},
		Entry("a whiteout", func(es []entry) []entry { return append(es, file(dir+"/1/.wh.lib", "")) },
			dir+"/1/.wh.lib is a whiteout: the layer depends on layers below it"),
		Entry("a file outside", func(es []entry) []entry { return append(es, file("/etc/passwd", "root")) },
			"/etc/passwd is outside of /cnb/buildpacks"),
		Entry("a file above", func(es []entry) []entry { return append(es, file("/cnb/order.toml", "")) },
			"/cnb/order.toml is outside of /cnb/buildpacks"),
		Entry("a path that leads upwards", func(es []entry) []entry { return append(es, file(dir+"/1/../../../../etc/passwd", "")) },
			fmt.Sprintf("path %q leads out of its buildpack", dir+"/1/../../../../etc/passwd")),
		Entry("a device", func(es []entry) []entry {
			return append(es, entry{Header: tar.Header{Typeflag: tar.TypeChar, Name: dir + "/1/null", Devmajor: 1, Devminor: 3}})
		}, dir+"/1/null is a device, which a buildpack cannot hold"),
		Entry("a fifo", func(es []entry) []entry {
			return append(es, entry{Header: tar.Header{Typeflag: tar.TypeFifo, Name: dir + "/1/pipe"}})
		}, dir+"/1/pipe is a fifo, which a buildpack cannot hold"),
		Entry("a hard link out of it", func(es []entry) []entry {
			return append(es, entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: dir + "/1/shadow", Linkname: "/etc/shadow"}})
		}, dir+"/1/shadow is a hard link out of its buildpack, to /etc/shadow"),
		Entry("a file twice", func(es []entry) []entry { return append(es, file(dir+"/1/buildpack.toml", "")) },
			"duplicate path "+dir+"/1/buildpack.toml"),
		Entry("nothing at all", func([]entry) []entry { return nil }, "acme/a@1 has no files in the layer"),
		Entry("only another buildpack", func([]entry) []entry { return []entry{file("/cnb/buildpacks/acme_b/1/x", "")} },
			"acme/a@1 has no files in the layer"),
	)
})

var _ = Describe("labels of a source", func() {
	DescribeTable("that are wrong are errors that name it",
		func(key, value, text string) {
			b := newBench()
			config := configOf(b.pair(flatten.None).Image).DeepCopy()
			config.Config.Labels[key] = value
			if value == "" {
				delete(config.Config.Labels, key)
			}
			img, err := mutate.ConfigFile(b.pair(flatten.None).Image, config)
			Expect(err).NotTo(HaveOccurred())
			b.keepLayout("left", img)
			Expect(b.said(b.fails(b.toml("acme_root@1", "left")))).To(And(HavePrefix("package.toml:4: left: "), ContainSubstring(text)))
		},
		Entry("no layers label", flatten.BuildpackLayersLabel, "", "not a buildpackage: missing label io.buildpacks.buildpack.layers"),
		Entry("layers label of no refs", flatten.BuildpackLayersLabel, "{}", "not a buildpackage: label io.buildpacks.buildpack.layers is empty"),
		Entry("layers label that is no JSON", flatten.BuildpackLayersLabel, "{", "layers label: "),
		Entry("an id that leads upwards", flatten.BuildpackLayersLabel, `{"..":{"1":{"layerDiffID":"sha256:`+strings.Repeat("11", 32)+`"}}}`, `invalid id ".."; use letters, digits and . - _ +`),
		Entry("a version that leads upwards", flatten.BuildpackLayersLabel, `{"a":{"../b":{"layerDiffID":"sha256:`+strings.Repeat("11", 32)+`"}}}`, `invalid version "../b"; use letters, digits and . - _ +`),
		Entry("no metadata label", flatten.BuildpackageMetadataLabel, "", "not a buildpackage, perhaps a builder: missing label io.buildpacks.buildpackage.metadata"),
		Entry("a root that is not there", flatten.BuildpackageMetadataLabel, `{"id":"acme/other","version":"1"}`, "label io.buildpacks.buildpackage.metadata names acme/other@1"),
	)

	It("that only laminate reads are ignored where they contradict themselves", func() {
		b := newBench()
		honest := b.pair(flatten.All).Image
		config := configOf(honest).DeepCopy()
		var recipes map[string]struct {
			R string   `json:"r"`
			P []string `json:"p"`
		}
		Expect(json.Unmarshal([]byte(config.Config.Labels[flatten.RecipesLabelKey]), &recipes)).To(Succeed())
		for _, r := range recipes {
			r.P[0] = strings.Join(append(strings.Fields(r.P[0])[:2], strings.Repeat("A", 43)), " ") // the recipe is no longer its digest
		}
		text, err := json.Marshal(recipes)
		Expect(err).NotTo(HaveOccurred())
		config.Config.Labels[flatten.RecipesLabelKey] = string(text)
		img, err := mutate.ConfigFile(honest, config)
		Expect(err).NotTo(HaveOccurred())
		b.keepLayout("left", img)
		Expect(digestOf(b.build(b.toml("left"), flat(flatten.All)).Image)).To(Equal(digestOf(honest)))
	})
})

var _ = Describe("what a run leaves behind", func() {
	It("is nothing beside the sources", func() {
		b := newBench()
		b.keepCNB("left.cnb", flattenedByPack(b.pair(flatten.None).Image, growTree(1).random))
		list := func() (all []string) {
			Expect(filepath.WalkDir(b.Dir, func(p string, _ os.DirEntry, err error) error { all = append(all, p); return err })).To(Succeed())
			return all
		}
		file := b.toml("acme_root@1", "left.cnb")
		before := list()
		b.build(file)
		b.fails(file, exclude("nobody"))
		Expect(list()).To(Equal(before))
	})
})
