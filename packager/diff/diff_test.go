package diff_test

import (
	"encoding/json"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/diff"
	"laminate/packager/image"
)

var _ = Describe("an order", func() {
	// groups are the changes of groups, a line each.
	groups := func(d *diff.Diff) (all []string) {
		for _, o := range d.Orders {
			for _, g := range o.Groups {
				line := strings.TrimSpace(o.Name + ": " + g.Change + " " + strings.Join(g.Entries, " "))
				for _, v := range g.Versions {
					line += "; " + v.Name + " " + v.From + ">" + v.To
				}
				if g.Change == diff.Changed {
					line += "; +" + strings.Join(g.Added, " ") + " -" + strings.Join(g.Removed, " ")
				}
				if g.Reordered {
					line += "; reordered"
				}
				all = append(all, line)
			}
		}
		return all
	}
	const modules = "base a@1 b@1 c@1 d@1 d@2"

	DescribeTable("differs in its groups and their entries", func(old, new []string, want ...string) {
		Expect(groups(compare(builder(modules, old...), builder(modules, new...)))).To(equalWords(want))
	},
		Entry("not at all", []string{"a", "b c?"}, []string{"a", "b c?"}),
		Entry("not where a version is written", []string{"a"}, []string{"a@1"}),
		Entry("a group is added", []string{"a"}, []string{"b", "a"}, "order: added b"),
		Entry("a group is removed", []string{"a", "b c?"}, []string{"a"}, "order: removed b c (optional)"),
		Entry("a group is moved", []string{"a", "b", "c"}, []string{"c", "a", "b"}, "order: moved c"),
		Entry("an entry is added", []string{"a b"}, []string{"a b c"}, "order: changed a b c; +c -"),
		Entry("an entry becomes optional", []string{"a b"}, []string{"a b?"}, "order: changed a b (optional); +b (optional) -b"),
		Entry("entries are reordered", []string{"a b c"}, []string{"b a c"}, "order: changed b a c; + -; reordered"),
		Entry("an entry names another version", []string{"d@1"}, []string{"d@2"}, "order: changed d@2; d 1>2; + -"),
		Entry("groups have nothing in common", []string{"a"}, []string{"b"}, "order: removed a", "order: added b"),
	)

	It("differs in extensions and system buildpacks as well", func() {
		old, new := builder(modules), builder(modules)
		new.labels[flatten.OrderExtensionsLabel] = order("e")
		new.labels[flatten.SystemLabel] = map[string]any{"post": map[string]any{"buildpacks": []flatten.Entry{{ID: "a", Version: "1"}}}}
		d := compare(old, new)
		Expect(groups(d)).To(Equal([]string{"order of extensions: added e", "system buildpacks after: added a@1"}))
		Expect(d.Old.Headroom-d.New.Headroom).To(Equal(1), "system buildpacks cost a layer")
	})

	It("of many groups takes no time", func() {
		many := func(prefix string) (o flatten.Order) {
			for range 10_000 {
				o = append(o, order(prefix)...)
			}
			return o
		}
		old, new := builder(modules), builder(modules)
		old.labels[flatten.OrderLabel], new.labels[flatten.OrderLabel] = many("a b"), many("c d@1")
		Expect(groups(compare(old, new))).To(HaveLen(20_000))
	})
})

var _ = Describe("settings", func() {
	metadata := func(change func(*flatten.BuilderMetadata)) spec {
		s := builder("base a@1")
		var m flatten.BuilderMetadata
		m.Lifecycle.Version, m.Lifecycle.APIs.Platform.Supported = "0.20.0", []string{"0.13", "0.14"}
		m.RunImages = []flatten.RunImage{{Image: "run", Mirrors: []string{"m1", "m2"}}}
		change(&m)
		s.labels[flatten.BuilderMetadataLabel] = m
		return s
	}

	It("are values, lists, the environment and labels", func() {
		old := metadata(func(*flatten.BuilderMetadata) {})
		new := metadata(func(m *flatten.BuilderMetadata) {
			m.Lifecycle.Version, m.Lifecycle.APIs.Platform.Supported = "0.21.0", []string{"0.14", "0.15"}
			m.RunImages[0].Mirrors = []string{"m2", "m1"}
			m.CreatedBy.Name = "laminate"
		})
		old.config = func(c *v1.ConfigFile) { c.Config.Env = []string{"A=1", "B=1"} }
		new.config = func(c *v1.ConfigFile) { c.Config.Env = []string{"B=2", "C="}; c.Config.User = "cnb" }
		old.labels["short"], new.labels["short"] = "a", "b"
		old.labels["object"], new.labels["object"] = `{"same": [1, 2],"x":1,"y":1}`, `{"same":[1,2],"x":2,"z":1}`
		new.labels["long"] = strings.Repeat("x", 1000)
		d := compare(old, new)
		Expect(d.Values).To(Equal([]diff.Value{
			{Name: "lifecycle", Change: diff.Changed, From: "0.20.0", To: "0.21.0"},
			{Name: "created by", Change: diff.Added, To: "laminate"},
			{Name: "user", Change: diff.Added, To: "cnb"},
		}))
		Expect(d.Lists).To(Equal([]diff.List{
			{Name: "mirrors of run", Added: []string{}, Removed: []string{}, Reordered: true},
			{Name: "Platform APIs", Added: []string{"0.15"}, Removed: []string{"0.13"}},
		}))
		Expect(d.Env).To(Equal([]diff.Value{
			{Name: "A", Change: diff.Removed, From: "1"}, {Name: "B", Change: diff.Changed, From: "1", To: "2"}, {Name: "C", Change: diff.Added},
		}))
		labels := map[string]diff.Label{}
		for _, l := range d.Labels {
			labels[l.Key] = l
		}
		Expect(labels).To(HaveLen(4))
		Expect(labels["short"]).To(Equal(diff.Label{Key: "short", Change: diff.Changed, From: "a", To: "b", Keys: []string{}, OldBytes: 1, NewBytes: 1}))
		Expect(labels["long"]).To(Equal(diff.Label{Key: "long", Change: diff.Added, Keys: []string{}, NewBytes: 1000}))
		Expect(labels["object"].Keys).To(Equal([]string{"x", "y", "z"}))
		Expect(labels["object"].From).To(BeEmpty())
		Expect(labels[flatten.BuilderMetadataLabel].Keys).To(Equal([]string{"createdBy", "images", "lifecycle"}))
	})

	It("tell what a label says otherwise of a buildpack that is the same", func() {
		old, new := builder("base a@1 b@1 c@1"), builder("base a@1 b@1 c@1")
		new.config = func(c *v1.ConfigFile) {
			label := c.Config.Labels[flatten.BuildpackLayersLabel]
			c.Config.Labels[flatten.BuildpackLayersLabel] = strings.Replace(label, `"api":"0.10"`, `"api":"0.9"`, 1)
		}
		d := compare(old, new)
		Expect(said(d)).To(BeEmpty())
		Expect(d.Labels).To(HaveLen(1))
		Expect(d.Labels[0].Covered).To(BeFalse())
		Expect(d.Labels[0].Keys).To(Equal([]string{"a@1"}))
		d = compare(old, builder("base a@1,b@1 c@2"))
		Expect(d.Labels[0].Key).To(Equal(flatten.BuildpackLayersLabel))
		Expect(d.Labels[0].Covered).To(BeTrue(), "other layers and versions are described")
	})

	It("tell the build image from what a tool put on it", func() {
		old, new := builder("base1 base2 life a@1"), builder("base1 base3 life a@1")
		Expect(compare(old, new).Layers.Base).To(Equal(diff.BaseLayers{Old: 3, New: 3, Kept: 2}))
		old.history = []string{"apt", "apt", "laminate: lifecycle 1", "laminate: a@1"}
		new.history = old.history
		Expect(compare(old, new).Layers.Base).To(Equal(diff.BaseLayers{Old: 2, New: 2, Kept: 1}))
	})

	It("tell the build image from the directories and the lifecycle that pack put on it", func() {
		old, new := builder("base1 base2 dirs life1 a@1 order"), builder("base1 base3 dirs life2 a@1 order")
		for _, s := range []spec{old, new} {
			s.labels[flatten.BuilderMetadataLabel] = `{"createdBy":{"name":"Pack CLI"}}`
		}
		Expect(compare(old, new).Layers.Base).To(Equal(diff.BaseLayers{Old: 2, New: 2, Kept: 1}))
		new.history = []string{"apt", "apt", "", "", "laminate: a@1", ""} // laminate changed its layers
		Expect(compare(old, new).Layers.Base).To(Equal(diff.BaseLayers{Old: 2, New: 2, Kept: 1}))
	})
})

var _ = Describe("platforms", func() {
	on := func(arch, variant, layers string) *image.Image {
		s := builder(layers)
		s.config = func(c *v1.ConfigFile) { c.Architecture, c.Variant = arch, variant }
		return s.image()
	}
	targets := func(r *diff.Report) (all []string) {
		for _, d := range r.Images {
			all = append(all, d.Target)
		}
		return all
	}

	It("are paired by name, in any order", func() {
		r, err := diff.Platforms(
			[]*image.Image{on("amd64", "", "a@1"), on("arm64", "v8", "a@1"), on("s390x", "", "a@1")},
			[]*image.Image{on("arm64", "", "a@1"), on("riscv64", "", "a@1"), on("amd64", "", "a@1")})
		Expect(err).NotTo(HaveOccurred())
		Expect(targets(r)).To(Equal([]string{"linux/arm64", "linux/amd64"}))
		Expect(r.AddedTargets).To(Equal([]string{"linux/riscv64"}))
		Expect(r.RemovedTargets).To(Equal([]string{"linux/s390x"}))
		Expect(r.Identical).To(BeFalse())
	})

	It("are compared if each has one, and said to differ", func() {
		r, err := diff.Platforms([]*image.Image{on("amd64", "", "a@1")}, []*image.Image{on("arm64", "", "a@1")})
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Images).To(HaveLen(1))
		Expect(r.Images[0].Values).To(Equal([]diff.Value{{Name: "platform", Change: diff.Changed, From: "linux/amd64", To: "linux/arm64"}}))
	})

	It("are identical if all images are", func() {
		one := []*image.Image{on("amd64", "", "a@1"), on("arm64", "", "a@1")}
		r, err := diff.Platforms(one, one)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Identical).To(BeTrue())
		r, err = diff.Platforms(one, one[:1])
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Identical).To(BeFalse())
		Expect(r.RemovedTargets).To(Equal([]string{"linux/arm64"}))
	})

	It("have no null list in JSON", func() {
		r, err := diff.Platforms([]*image.Image{on("amd64", "", "a@1,b@1")}, []*image.Image{on("amd64", "", "b@1 c@2")})
		Expect(err).NotTo(HaveOccurred())
		text, err := json.Marshal(r)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(text)).NotTo(ContainSubstring("null"))
	})
})

var _ = DescribeTable("images of an index are paired by platform, and then by the version of the distribution",
	func(old, new, pairs, added, removed string) {
		of := func(names string) (all []*image.Image) {
			for name := range strings.FieldsSeq(names) {
				arch, version, _ := strings.Cut(name, ":")
				all = append(all, spec{layers: layersOf("a"), labels: map[string]any{"name": name}, config: func(c *v1.ConfigFile) { c.OS, c.Architecture, c.OSVersion = "linux", arch, version }}.image())
			}
			return all
		}
		r, err := diff.Platforms(of(old), of(new))
		Expect(err).NotTo(HaveOccurred())
		var got []string
		for _, d := range r.Images {
			was, is := "same", "same"
			for _, l := range d.Labels {
				if l.Key == "name" {
					was, is = l.From, l.To
				}
			}
			got = append(got, was+">"+is)
		}
		Expect(strings.Join(got, " ")).To(Equal(pairs))
		Expect(strings.Join(r.AddedTargets, " ")).To(Equal(added))
		Expect(strings.Join(r.RemovedTargets, " ")).To(Equal(removed))
	},
	Entry("in another order", "amd64:22.04 amd64:24.04", "amd64:24.04 amd64:22.04", "same>same same>same", "", ""),
	Entry("with a newer one", "amd64:22.04 arm64:22.04", "amd64:24.04 arm64:22.04", "amd64:22.04>amd64:24.04 same>same", "", ""),
	Entry("with one more", "amd64:22.04", "amd64:24.04 amd64:22.04", "same>same", "linux/amd64", ""),
	Entry("with one less", "amd64:22.04 arm64:1", "amd64:22.04 s390x:1", "same>same", "linux/s390x", "linux/arm64"),
)
