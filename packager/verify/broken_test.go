package verify_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures/workbench"
	"laminate/flatten"
	"laminate/packager/engine"
)

const layersLabel = flatten.BuildpackLayersLabel

// The layers of the exploded package: 1 acme/a@1, 2 acme/b@1, 3 acme/root@1; the flattened has one.
var _ = Describe("a broken buildpackage", func() {
	var b *bench
	BeforeEach(func() { b = newBench() })

	// broken expects exactly these findings, in this order.
	broken := func(name string, want ...any) {
		GinkgoHelper()
		r := b.report(name)
		Expect(findings(r)).To(HaveExactElements(want...))
		Expect(r.OK).To(BeFalse())
	}
	diffID := func(name string, number int) string {
		GinkgoHelper()
		return workbench.ConfigOf(b.open(name)).RootFS.DiffIDs[number-1].String()
	}

	It("whose label names a layer that is not there", func() {
		name := b.root("p", flatten.None)
		gone := "sha256:" + strings.Repeat("0", 64)
		broken(b.relabelled(name, layersLabel, diffID(name, 1), gone),
			"broken label-layer 0 acme/a@1: label "+layersLabel+" has it in layer "+gone+", which is not in the image",
			"broken order 0 acme/root@1: its order: missing buildpack acme/a@1",
			HavePrefix("note unlabelled-directory 1 acme/a@1: unused: it is in the layer ("),
		)
	})

	It("whose label has the layers of two refs the wrong way round", func() {
		name := b.root("p", flatten.None)
		one, two := diffID(name, 1), diffID(name, 2)
		broken(b.reconfigured(name, func(c *v1.ConfigFile) {
			c.Config.Labels[layersLabel] = strings.NewReplacer(one, two, two, one).Replace(c.Config.Labels[layersLabel])
		}),
			"broken missing-directory 1 acme/b@1: label "+layersLabel+" has it in this layer, but /cnb/buildpacks/acme_b/1 is not there; it is in layer 2",
			"broken missing-directory 2 acme/a@1: label "+layersLabel+" has it in this layer, but /cnb/buildpacks/acme_a/1 is not there; it is in layer 1",
		)
	})

	It("whose config has the diffIDs of two layers the wrong way round", func() {
		name := b.root("p", flatten.None)
		broken(b.reconfigured(name, func(c *v1.ConfigFile) {
			d := c.RootFS.DiffIDs
			d[0], d[1] = d[1], d[0]
		}),
			HavePrefix("broken diff-id 1 : diffID is "+diffID(name, 1)+", config says "+diffID(name, 2)),
			HavePrefix("broken diff-id 2 : diffID is "+diffID(name, 2)+", config says "+diffID(name, 1)),
		)
	})

	DescribeTable("that has a path twice", func(path string, twice func([]entry) []entry) {
		name := b.rewritten(b.root("p", flatten.All), func(_ int, entries []entry) []entry { return twice(entries) })
		broken(name, "broken duplicate-path 1 : duplicate path "+path+": Docker and podman refuse the layer")
	},
		Entry("a file", "/cnb/buildpacks/acme_a/1/lib/data", func(all []entry) []entry { return append(all, file("/cnb/buildpacks/acme_a/1/lib/data", "x")) }),
		Entry("a directory", "/cnb/buildpacks/acme_a", func(all []entry) []entry { return append(all, directory("/cnb/buildpacks/acme_a")) }),
	)

	It("whose layer is not in the form that laminate writes is only noted", func() {
		r := b.report(b.rewritten(b.root("p", flatten.All), func(_ int, all []entry) []entry { return append(all, directory("/cnb")) }))
		Expect(findings(r)).To(HaveExactElements("note form 1 : another tool's layer: it has an entry for /cnb"))
		Expect(r.OK).To(BeTrue())
	})

	It("that holds what no buildpack may", func() {
		broken(b.rewritten(b.root("p", flatten.All), func(_ int, all []entry) []entry {
			return append(all, file("/cnb/buildpacks/acme_a/1/.wh.lib", ""))
		}), HavePrefix("broken content 1 : /cnb/buildpacks/acme_a/1/.wh.lib is a whiteout"))
	})

	DescribeTable("whose descriptor is not what the label says", func(old, new, want string) {
		broken(b.rewritten(b.root("p", flatten.All), func(_ int, all []entry) []entry {
			for i, e := range all {
				if strings.HasSuffix(e.Name, "/buildpack.toml") {
					all[i].Body = strings.Replace(e.Body, old, new, 1)
				}
			}
			return all
		}), "broken descriptor 1 "+want)
	},
		Entry("api", "api = \"0.10\"\n\n[buildpack]\nid = \"acme/a\"", "api = \"0.9\"\n\n[buildpack]\nid = \"acme/a\"", `acme/a@1: buildpack.toml differs from the label: api is "0.9", the label has "0.10"`),
		Entry("id", "id = \"acme/a\"\nversion = \"1\"\nname", "id = \"acme/x\"\nversion = \"1\"\nname", `acme/a@1: buildpack.toml differs from the label: id is "acme/x", the label has "acme/a"`),
		Entry("version", "id = \"acme/a\"\nversion = \"1\"\nname", "id = \"acme/a\"\nversion = \"7\"\nname", `acme/a@1: buildpack.toml differs from the label: version is "7", the label has "1"`),
		Entry("name", `name = "A"`, `name = "B"`, `acme/a@1: buildpack.toml differs from the label: name is "B", the label has "A"`),
		Entry("homepage", "com/a", "com/b", `acme/a@1: buildpack.toml differs from the label: homepage is "https://example.com/b", the label has "https://example.com/a"`),
		Entry("mixins", `["x"]`, `["y", "z"]`, `acme/a@1: buildpack.toml differs from the label: stacks is any (y, z), the label has any (x)`),
		Entry("targets", `arch = "amd64"`, `arch = "arm64"`, `acme/a@1: buildpack.toml differs from the label: targets is linux/arm64:ubuntu@24.04, the label has linux/amd64:ubuntu@24.04`),
		Entry("an entry of the order", `optional = true`, `optional = false`, `acme/root@1: buildpack.toml differs from the label: order: group 1 has acme/b@1, the label acme/b@1 (optional)`),
		Entry("a group of the order", "[[order]]", "[[order]]\n[[order.group]]\nid = \"acme/a\"\nversion = \"1\"\n[[order]]", `acme/root@1: buildpack.toml differs from the label: order: group 1 has 1 entries, the label 2`),
		Entry("one that cannot be read", "[buildpack]\nid = \"acme/a\"", "[buildpack\nid = \"acme/a\"", `acme/a@1: buildpack.toml:3: expected ']' to close table name`),
	)

	DescribeTable("whose descriptor cannot be read", func(severity, want string, change func([]entry) []entry) {
		r := b.report(b.rewritten(b.root("p", flatten.All), func(_ int, all []entry) []entry { return change(all) }))
		Expect(findings(r)).To(ContainElement(severity + " descriptor 1 acme/a@1: " + want))
	},
		Entry("it is missing", "broken", "buildpack.toml is missing in its directory", func(all []entry) []entry {
			return slices.DeleteFunc(all, func(e entry) bool { return e.Name == "/cnb/buildpacks/acme_a/1/buildpack.toml" })
		}),
		Entry("it is large", "note", "buildpack.toml is larger than 1024 KiB; it is not compared with the label", func(all []entry) []entry {
			for i, e := range all {
				if e.Name == "/cnb/buildpacks/acme_a/1/buildpack.toml" {
					all[i].Body = strings.Repeat("#", 2<<20)
				}
			}
			return all
		}),
	)

	DescribeTable("whose label lacks what older tools leave out is only noted", func(old, want string) {
		r := b.report(b.relabelled(b.root("p", flatten.All), layersLabel, old, ""))
		Expect(findings(r)).To(HaveExactElements("note descriptor 1 acme/a@1: the label lacks what buildpack.toml has: " + want))
		Expect(r.OK).To(BeTrue())
	},
		Entry("name and homepage", `,"homepage":"https://example.com/a","name":"A"`, "name, homepage"),
		Entry("targets", `"targets":[{"os":"linux","arch":"amd64","distros":[{"name":"ubuntu","version":"24.04"}]}],`, "targets"),
		Entry("distributions", `,"distros":[{"name":"ubuntu","version":"24.04"}]`, "distributions of targets"),
	)

	It("that has a buildpack in two layers", func() {
		name := b.rewritten(b.root("p", flatten.None), func(number int, all []entry) []entry {
			if number == 3 {
				all = append(all, directory("/cnb/buildpacks/acme_a"), directory("/cnb/buildpacks/acme_a/1"), file("/cnb/buildpacks/acme_a/1/other", "x"))
			}
			return all
		})
		broken(name, "broken two-layers 3 acme/a@1: /cnb/buildpacks/acme_a/1 is in this layer and in layer 1, which the label names, with different content")
	})

	It("whose upper layer removes a buildpack of a lower one, or a part of it", func() {
		name := b.rewritten(b.root("p", flatten.None), func(number int, all []entry) []entry {
			if number == 3 {
				all = append(all, file("/cnb/buildpacks/acme_a/.wh.1", ""), file("/cnb/buildpacks/acme_b/1/bin/.wh.build", ""))
			}
			return all
		})
		broken(name, HavePrefix("broken content 3 "),
			"broken hidden 3 acme/a@1: the layer removes it: label "+layersLabel+" has it in layer 1",
			"broken hidden 3 acme/b@1: the layer removes a part of it: /cnb/buildpacks/acme_b/1/bin/.wh.build",
		)
	})

	It("that has a directory in no label", func() {
		broken(b.rewritten(b.root("p", flatten.All), func(_ int, all []entry) []entry {
			return append(all, directory("/cnb/buildpacks/acme_x"), directory("/cnb/buildpacks/acme_x/1"))
		}), "broken unlabelled-directory 1 : /cnb/buildpacks/acme_x/1 is in no label")
	})

	DescribeTable("whose order is wrong", func(old, new string, want ...any) {
		name := b.pack("p", engine.Options{Grouping: flatten.Grouping{Mode: flatten.All}}, "acme_root@1", "acme_a@1", "acme_b@1")
		r := b.report(b.relabelled(name, layersLabel, old, new))
		orders := slices.DeleteFunc(findings(r), func(s string) bool { return !strings.Contains(s, " order ") })
		Expect(orders).To(HaveExactElements(want...))
	},
		Entry("an entry that is missing", `{"id":"acme/b","version":"1","optional":true}`, `{"id":"acme/b","version":"9","optional":true}`,
			"broken order 0 acme/root@1: its order: missing buildpack acme/b@9; found only 1"),
		Entry("an entry without a version", `{"id":"acme/b","version":"1","optional":true}`, `{"id":"acme/b","optional":true}`,
			HavePrefix("note order 0 acme/root@1: its order: entry acme/b has no version; using acme/b@1")),
		Entry("a cycle", `"acme/a","version":"1"`, `"acme/root","version":"1"`,
			"broken order 0 acme/root@1: its order has a cycle: acme/root@1 -> acme/root@1"),
	)

	It("whose order has an ambiguous entry", func() {
		b.Composite("acme/two@1", "acme/b@1", "acme/b@2")
		name := b.pack("p", engine.Options{}, "acme_two@1", "acme_b@1", "acme_b@2")
		Expect(findings(b.report(b.relabelled(name, layersLabel, `"id":"acme/b","version":"1"}`, `"id":"acme/b"}`)))).To(HaveExactElements(
			"broken order 0 acme/two@1: its order: buildpack acme/b is ambiguous: found 1, 2; name one",
			"broken descriptor 3 acme/two@1: buildpack.toml differs from the label: order: group 1 has acme/b@1, the label acme/b",
		))
	})

	It("two of whose refs have one directory", func() {
		name := b.root("p", flatten.All)
		r := b.report(b.reconfigured(name, func(c *v1.ConfigFile) {
			l := c.Config.Labels[layersLabel]
			c.Config.Labels[layersLabel] = strings.TrimSuffix(l, "}") + `,"acme_a":{"1":{"api":"0.10","layerDiffID":"` + c.RootFS.DiffIDs[0].String() + `"}}}`
		}))
		Expect(findings(r)).To(ContainElement("broken shared-directory 0 acme_a@1: has the same directory as acme/a@1: /cnb/buildpacks/acme_a/1"))
	})

	DescribeTable("whose other labels are wrong", func(change func(labels map[string]string), want ...any) {
		r := b.report(b.reconfigured(b.root("p", flatten.None), func(c *v1.ConfigFile) { change(c.Config.Labels) }))
		var image []string
		for i, f := range r.Findings {
			if f.Layer == 0 {
				image = append(image, findings(r)[i])
			}
		}
		Expect(image).To(HaveExactElements(want...))
		Expect(r.OK).To(BeFalse())
	},
		Entry("layers that are no JSON", func(l map[string]string) { l[layersLabel] = "{" }, HavePrefix("broken label 0 : label "+layersLabel+": unexpected end of JSON input")),
		Entry("no layers", func(l map[string]string) { delete(l, layersLabel) }, "broken label 0 : label "+layersLabel+" is missing"),
		Entry("metadata that are no JSON", func(l map[string]string) { l[flatten.BuildpackageMetadataLabel] = "x" }, HavePrefix("broken label 0 : buildpackage metadata label: ")),
		Entry("another root", func(l map[string]string) {
			l[flatten.BuildpackageMetadataLabel] = `{"id":"acme/z","version":"1"}`
		}, "broken root 0 acme/z@1: label "+flatten.BuildpackageMetadataLabel+" names it as the root, but it is not in the image"),
		Entry("two invalid refs", func(l map[string]string) { l[layersLabel] = `{"a b":{"1":{"layerDiffID":"x"}}}` },
			HavePrefix("broken label 0 : label "+layersLabel+": a b@1: invalid id"), HavePrefix("broken label 0 : label "+layersLabel+": a b@1: layerDiffID")),
		Entry("none that says what the image is", func(l map[string]string) { delete(l, flatten.BuildpackageMetadataLabel) },
			"broken label 0 : label "+layersLabel+" names buildpacks, but there is neither label "+flatten.BuilderMetadataLabel+" nor "+flatten.BuildpackageMetadataLabel+": the image is no builder and no package"),
		Entry("no api", func(l map[string]string) {
			l[layersLabel] = strings.Replace(l[layersLabel], `"api":"0.10",`, "", 1)
		}, "broken api 0 acme/a@1: label "+layersLabel+" has no Buildpack API for it"),
		Entry("laminate's own that is no JSON", func(l map[string]string) { l[flatten.RecipesLabelKey] = "x" }, HavePrefix("broken laminate-label 0 : laminate.layers label: invalid character")),
		Entry("laminate's own with an entry that it did not write", func(l map[string]string) {
			l[flatten.RecipesLabelKey] = strings.Replace(l[flatten.RecipesLabelKey], `"p":`, `"r":"x","p":`, 1)
		}, MatchRegexp("^broken laminate-label 0 : label laminate.layers: the entry of layer [-_A-Za-z0-9]{43} is inconsistent$")),
	)

	// own replaces what laminate's label says of a piece.
	own := func(name string, change func([]flatten.Facts)) string {
		GinkgoHelper()
		return b.reconfigured(name, func(c *v1.ConfigFile) {
			l, err := flatten.ParseRecipesLabel(c.Config.Labels[flatten.RecipesLabelKey])
			Expect(err).NotTo(HaveOccurred())
			for _, pieces := range l {
				change(pieces)
			}
			Expect(engine.EncodeLabels(c.Config.Labels, map[string]any{flatten.RecipesLabelKey: l})).To(Succeed())
		})
	}

	It("whose laminate label has another content identity", func() {
		name := b.root("p", flatten.All)
		var right, wrong v1.Hash
		broken(own(name, func(p []flatten.Facts) {
			right, wrong = p[1].ContentID, p[0].ContentID
			p[1].ContentID = wrong
		}), WithTransform(func(s string) string {
			return strings.NewReplacer(right.String(), "RIGHT", wrong.String(), "WRONG").Replace(s)
		},
			MatchRegexp("^broken laminate-label 1 acme/.@1: its content identity is RIGHT, label laminate.layers says WRONG$")))
	})

	It("whose laminate label has another length", func() {
		broken(own(b.root("p", flatten.All), func(p []flatten.Facts) { p[0].Length += 512 }),
			MatchRegexp(`^broken laminate-label 1 acme/root@1: its length is \d+, label laminate.layers says \d+$`))
	})

	It("whose laminate label has another order", func() {
		broken(own(b.root("p", flatten.All), func(p []flatten.Facts) { p[0], p[1] = p[1], p[0] }),
			"broken laminate-label 1 : label laminate.layers has the modules in another order")
	})

	It("whose laminate label names another module", func() {
		r := b.report(own(b.root("p", flatten.All), func(p []flatten.Facts) { p[0].Ref.Version = "7" }))
		Expect(r.OK).To(BeFalse())
		Expect(findings(r)).To(ContainElement("broken laminate-label 1 acme/root@7: label laminate.layers has it in this layer, but it is not there"))
	})

	Describe("whose blob is damaged", func() {
		damage := func(change func([]byte) []byte) string {
			GinkgoHelper()
			name := b.root("p", flatten.None)
			layers, err := b.open(name).Layers()
			Expect(err).NotTo(HaveOccurred())
			digest, err := layers[0].Digest()
			Expect(err).NotTo(HaveOccurred())
			file := filepath.Join(b.At("p"), "blobs", "sha256", digest.Hex)
			content, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			if content = change(content); content == nil {
				Expect(os.Remove(file)).To(Succeed())
			} else {
				Expect(os.WriteFile(file, content, 0o644)).To(Succeed())
			}
			return name
		}
		DescribeTable("is found, and the other layers are checked", func(change func([]byte) []byte, want string) {
			broken(damage(change), MatchRegexp("^broken blob 1 : "+want))
		},
			Entry("truncated", func(c []byte) []byte { return c[:len(c)/2] }, `.*\d+ bytes`),
			Entry("longer", func(c []byte) []byte { return append(c, 0) }, `.*\d+ bytes`),
			Entry("another byte", func(c []byte) []byte { c[len(c)/2] ^= 1; return c }, ".+"),
			Entry("another byte in the gzip header, which changes no file", func(c []byte) []byte { c[4] ^= 1; return c }, ".*sha256"),
			Entry("not compressed", func(c []byte) []byte { return make([]byte, len(c)) }, "media type says compressed with gzip, but blob is not compressed"),
			Entry("missing", func([]byte) []byte { return nil }, ".*no such file"),
		)
	})

	It("with more layers than engines load", func() {
		img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers"}})
		Expect(err).NotTo(HaveOccurred())
		var layers []v1.Layer
		for i := range 126 {
			layers = append(layers, layerOf(file(fmt.Sprint("/etc/", i), "")))
		}
		img, err = mutate.AppendLayers(img, layers...)
		Expect(err).NotTo(HaveOccurred())
		broken(b.keep("many", img), "broken layer-count 0 : 126 layers; Docker loads at most 125")
	})

	It("with a config that some tools refuse", func() {
		broken(b.reconfigured(b.root("p", flatten.All), func(c *v1.ConfigFile) { c.Config.Labels["x"] = strings.Repeat("x", 4<<20) }),
			MatchRegexp(`^broken size 0 : config has \d+ bytes; podman, CRI-O and skopeo read at most 4194304$`))
	})

	It("has no more findings than a person can read", func() {
		r := b.report(b.reconfigured(b.root("p", flatten.All), func(c *v1.ConfigFile) {
			order := strings.Repeat(`{"id":"acme/a"},`, 50)
			for i := range 1500 {
				order += fmt.Sprintf(`{"id":"acme/none-%d"},`, i)
			}
			c.Config.Labels[layersLabel] = strings.Replace(c.Config.Labels[layersLabel], `"group":[`, `"group":[`+order, 1)
		}))
		Expect(r.Findings).To(HaveLen(1000))
		Expect(r.Omitted).To(BeNumerically(">", 500))
	})
})
