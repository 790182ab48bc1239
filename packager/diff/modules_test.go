package diff_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/history"
	"laminate/fixtures"
	"laminate/flatten"
	"laminate/packager/diff"
	"laminate/packager/image"
)

var _ = Describe("buildpacks", func() {
	It("are added, removed and upgraded; top-level ones come first, others with what they are in", func() {
		old := builder("base java@1.0.0 jdk@17.0.0 maven@3.0.0 ruby@1.0.0", "java@1.0.0", "ruby")
		old.orders["java@1.0.0"] = order("jdk@17.0.0 maven@3.0.0?")
		new := builder("base java@1.1.0 jdk@17.0.1 maven@3.0.0 go@1.0.0 sbt@1.0.0", "java@1.1.0", "go")
		new.orders["java@1.1.0"] = order("jdk@17.0.1 maven@3.0.0?", "sbt@1.0.0")
		d := compare(old, new)
		Expect(said(d)).To(Equal([]string{"added go >1.0.0", "upgraded java 1.0.0>1.1.0", "removed ruby 1.0.0>", "upgraded jdk 17.0.0>17.0.1", "added sbt >1.0.0"}))
		Expect(d.Unchanged).To(Equal(1))
		Expect(d.Modules[3].TopLevel).To(BeFalse())
		Expect(d.Modules[3].In).To(Equal([]string{"java@1.1.0"}))
		Expect(d.Modules[0].In).To(Equal([]string{}))
		Expect(d.Modules[2].OldLayer).To(Equal(5))
		Expect(d.Modules[2].NewLayer).To(BeZero())
		Expect(d.Orders).To(HaveLen(1), "ruby went and go came; java only has a new version")
	})

	DescribeTable("with the version of before", func(old, new made, unknown int, want ...string) {
		at := func(l made) spec {
			s := builder("base")
			s.layers = append(s.layers, l)
			return s
		}
		d := compare(at(old), at(new))
		Expect(said(d)).To(equalWords(want))
		Expect(d.Unknown).To(Equal(unknown))
	},
		Entry("are the same in the same layer", made{content: "l", refs: []string{"a@1", "b@1"}}, made{content: "l", refs: []string{"a@1", "b@1"}}, 0),
		Entry("are rebuilt in another layer of their own", made{content: "l", refs: []string{"a@1"}}, made{content: "m", refs: []string{"a@1"}}, 0, "rebuilt a 1>1"),
		Entry("cannot be told in a layer of several", made{content: "l", refs: []string{"a@1", "b@1"}}, made{content: "m", refs: []string{"a@1", "b@1"}}, 2),
		Entry("are told by laminate's label",
			made{content: "l", refs: []string{"a@1", "b@1"}, pieces: map[string]string{"a@1": "A", "b@1": "B"}},
			made{content: "m", refs: []string{"a@1", "b@1"}, pieces: map[string]string{"a@1": "A", "b@1": "B2"}}, 0, "rebuilt b 1>1"),
		Entry("are told by the label on one side and a layer on the other",
			made{content: "A", refs: []string{"a@1"}},
			made{content: "m", refs: []string{"a@1", "b@1"}, pieces: map[string]string{"a@1": "A", "b@1": "B"}}, 0, "added b >1"),
	)

	It("are paired by the composites that use them, though another version stays", func() {
		at := func(java, node string) spec {
			s := builder("base java@1 node@1 engine@"+java+" engine@"+node, "java node")
			s.orders["java@1"], s.orders["node@1"] = order("engine@"+java), order("engine@"+node)
			return s
		}
		Expect(said(compare(at("8.0.3", "8.0.4"), at("8.0.3", "8.0.5")))).To(ContainElement("upgraded engine 8.0.4>8.0.5"))
		Expect(said(compare(at("8.0.6", "8.0.4"), at("8.0.7", "8.0.9")))).To(ContainElements("upgraded engine 8.0.6>8.0.7", "upgraded engine 8.0.4>8.0.9"))
	})

	It("are rebuilt if their order changed, whatever the layers say", func() {
		old, new := builder("base x@1,y@1"), builder("base x@1,y@1,z@1")
		old.orders["x@1"], new.orders["x@1"] = order("y@1"), order("y@1?")
		Expect(said(compare(old, new))).To(Equal([]string{"rebuilt x 1>1", "added z >1"}))
	})

	It("move with a content that is unknown", func() {
		d := compare(builder("base a@1,b@1"), builder("base a@1 b@1"))
		Expect(said(d)).To(Equal([]string{"moved a 1>1", "moved b 1>1"}))
		Expect(d.Modules).To(HaveEach(HaveField("Unknown", true)))
		Expect(d.Unknown).To(Equal(2))
	})

	DescribeTable("move between layers", func(old, new string, want ...string) {
		d := compare(builder(old), builder(new))
		var moved []string
		for _, m := range d.Modules {
			if m.Moved {
				moved = append(moved, m.ID)
			}
		}
		Expect(moved).To(equalWords(want))
	},
		Entry("not if nothing else is with them", "base a@1,b@1", "base x@1 a@1,b@1"),
		Entry("not if one of them is upgraded", "base a@1,b@1", "base a@1,b@2"),
		Entry("not if one more comes", "base a@1,b@1", "base a@1,b@1,c@1"),
		Entry("one leaves", "base a@1,b@1,c@1 d@1", "base a@1,b@1 c@1,d@1", "c"),
		Entry("all are put in one layer", "base a@1 b@1 c@1", "base a@1,b@1,c@1", "a", "b", "c"),
		Entry("all are exploded", "base a@1,b@1", "base a@1 b@1", "a", "b"),
		Entry("an upgraded one", "base a@1,b@1,c@1 d@1", "base a@1,b@1 c@2,d@1", "c"),
	)
})

// releases makes a builder of each of the last releases of a real one: every buildpack in a layer
// of its own, above a build image and a lifecycle.
func releases(n int) (all []*image.Image, sets []map[string]bool) {
	GinkgoHelper()
	f, err := os.Open(filepath.Join(fixtures.Root(), "history", "jammy-full.json.gz"))
	Expect(err).NotTo(HaveOccurred())
	defer f.Close()
	h, err := history.Read(f)
	Expect(err).NotTo(HaveOccurred())
	last := *h
	last.Releases = h.Releases[len(h.Releases)-n:]
	modules, expansions := last.Modules(), last.Expansions()
	for i, release := range last.Releases {
		s := builder("base" + release.BuildImage + " lifecycle" + release.Lifecycle)
		var groups []string
		for _, r := range release.Buildpacks {
			groups = append(groups, r.String())
		}
		s.labels[flatten.OrderLabel] = order(groups...)
		set := map[string]bool{}
		for _, r := range expansions[i].Refs {
			size, _ := h.Size(r)
			s.layers = append(s.layers, made{content: r.String(), size: size, refs: []string{r.String()}})
			s.orders[r.String()] = modules[r].Order
			set[r.String()] = true
		}
		all, sets = append(all, s.image()), append(sets, set)
	}
	return all, sets
}

var _ = Describe("the releases of a real builder", func() {
	It("lead from one to the next, and back", func() {
		all, sets := releases(40)
		mirror := map[string]string{diff.Added: diff.Removed, diff.Removed: diff.Added, diff.Upgraded: diff.Downgraded, diff.Downgraded: diff.Upgraded, diff.Changed: diff.Changed}
		upgrades, others := 0, 0
		for i := range all[1:] {
			d := images(all[i], all[i+1])
			set := map[string]bool{}
			for r := range sets[i] {
				set[r] = true
			}
			for _, m := range d.Modules {
				if m.From != "" {
					Expect(set).To(HaveKey(m.ID + "@" + m.From))
					delete(set, m.ID+"@"+m.From)
				}
				if m.Change == diff.Upgraded {
					upgrades++
				} else {
					others++
				}
			}
			for _, m := range d.Modules {
				if m.To != "" {
					set[m.ID+"@"+m.To] = true
				}
			}
			Expect(set).To(Equal(sets[i+1]))
			for _, o := range d.Orders { // of ids, it did not change
				for _, g := range o.Groups {
					Expect(g.Change == diff.Changed && len(g.Added)+len(g.Removed) == 0 && len(g.Versions) > 0).To(BeTrue(), "%+v", g)
				}
			}
			Expect(*d.Layers.Pull.Bytes).To(BeNumerically("<=", *d.Layers.Prefix.Bytes))

			back := images(all[i+1], all[i])
			var forth, mirrored []string
			forth = said(d)
			for _, m := range back.Modules {
				mirrored = append(mirrored, mirror[m.Change]+" "+m.ID+" "+m.To+">"+m.From)
			}
			slices.Sort(forth)
			slices.Sort(mirrored)
			Expect(mirrored).To(Equal(forth))

			none := images(all[i], all[i])
			Expect(none.Identical).To(BeTrue())
			Expect(none.Orders).To(BeEmpty())
			Expect(none.Modules).To(BeEmpty())
			Expect(none.Empty()).To(BeTrue(), "%+v", none)
		}
		Expect(upgrades).To(BeNumerically(">", 6*others), "releases upgrade; they seldom add or remove")
	})
})

var _ = It("says what is wrong with labels, and compares the rest", func() {
	good, bad := builder("base a@1", "a"), builder("base a@1", "a")
	bad.labels[flatten.BuilderMetadataLabel] = "{"
	bad.labels[flatten.BuildpackLayersLabel] = `{"a":{"1":{"api":"0.10","layerDiffID":"` + hashOf("gone").String() + `"}}}`
	d := compare(good, bad)
	Expect(d.Old.Problems).To(BeEmpty())
	Expect(d.New.Problems).To(HaveLen(2))
	Expect(strings.Join(d.New.Problems, "\n")).To(And(ContainSubstring("label io.buildpacks.builder.metadata"), ContainSubstring("label says that a@1 is in layer")))
	Expect(said(d)).To(Equal([]string{"removed a 1>"}))
})
