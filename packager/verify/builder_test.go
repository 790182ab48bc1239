package verify_test

import (
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/flatten"
)

// The layers of the builder: 1 base, 2 lifecycle, 3 buildpacks, 4 configuration; with an extension,
// that is in 4, and the configuration in 5.
var _ = Describe("a broken builder", func() {
	var b *bench
	BeforeEach(func() {
		b = newBench()
		b.Extension("acme/e@1")
	})
	flat := func() string {
		GinkgoHelper()
		return b.once("b", "builder", func() { b.build("b", mode(flatten.All), twoOrders, system, withExtension) })
	}
	broken := func(name string, want ...any) {
		GinkgoHelper()
		r := b.report(name)
		Expect(findings(r)).To(HaveExactElements(want...))
		Expect(r.OK).To(BeFalse())
	}
	// replaced is the builder with another text in a file.
	replaced := func(name, path, old, new string) string {
		GinkgoHelper()
		found := false
		changed := b.rewritten(name, func(_ int, all []entry) []entry {
			for i, e := range all {
				if e.Name == path {
					Expect(e.Body).To(ContainSubstring(old))
					all[i].Body, found = strings.Replace(e.Body, old, new, 1), true
				}
			}
			return all
		})
		Expect(found).To(BeTrue())
		return changed
	}
	without := func(name, path string) string {
		GinkgoHelper()
		return b.rewritten(name, func(_ int, all []entry) []entry {
			return slices.DeleteFunc(all, func(e entry) bool { return e.Name == path })
		})
	}

	DescribeTable("whose labels are wrong", func(key, old, new string, want ...any) {
		broken(b.relabelled(flat(), key, old, new), want...)
	},
		Entry("the order names what is not there", flatten.OrderLabel, `"version":"2"`, `"version":"3"`,
			"broken order 0 acme/b@3: the order names it, but it is not in the image",
			"broken order-file 5 : /cnb/order.toml differs from label io.buildpacks.buildpack.order: group 2 has acme/b@2 (optional), the label acme/b@3 (optional)"),
		Entry("the order names one of several", flatten.OrderLabel, `,"version":"2"`, ``,
			"broken order 0 acme/b: the order names it without a version, and the image has acme/b@1, acme/b@2",
			"broken order-file 5 : /cnb/order.toml differs from label io.buildpacks.buildpack.order: group 2 has acme/b@2 (optional), the label acme/b (optional)"),
		Entry("the order of extensions", flatten.OrderExtensionsLabel, `acme/e`, `acme/f`,
			"broken order 0 acme/f: the order of extensions names it, but it is not in the image",
			"broken order-file 5 : /cnb/order.toml differs from label io.buildpacks.buildpack.order-extensions: group 1 has acme/e@1, the label acme/f"),
		Entry("system buildpacks", flatten.SystemLabel, `acme/a`, `acme/c`,
			"broken order 0 acme/c@1: the list of system buildpacks names it, but it is not in the image",
			"broken order-file 5 : /cnb/system.toml differs from label io.buildpacks.buildpack.system: group 1 has acme/a@1, the label acme/c@1"),
		Entry("metadata lists what is not there", flatten.BuilderMetadataLabel, `"id":"acme/b","version":"2"`, `"id":"acme/b","version":"3"`,
			"broken builder-metadata 0 acme/b@3: label io.buildpacks.builder.metadata lists it, but it is not in the image",
			"note builder-metadata 0 acme/b@2: label io.buildpacks.builder.metadata does not list it"),
	)

	It("whose metadata list a buildpack twice is only noted", func() {
		r := b.report(b.relabelled(flat(), flatten.BuilderMetadataLabel, `{"id":"acme/b","version":"2"}`, `{"id":"acme/b","version":"2"},{"id":"acme/b","version":"2"}`))
		Expect(findings(r)).To(HaveExactElements("note builder-metadata 0 acme/b@2: label io.buildpacks.builder.metadata lists it 2 times"))
		Expect(r.OK).To(BeTrue())
	})

	It("whose metadata and order are no JSON", func() {
		r := b.report(b.reconfigured(flat(), func(c *v1.ConfigFile) {
			c.Config.Labels[flatten.BuilderMetadataLabel], c.Config.Labels[flatten.OrderLabel] = "x", "y"
		}))
		Expect(findings(r)[:2]).To(HaveExactElements(HavePrefix("broken label 0 : label io.buildpacks.builder.metadata: "), HavePrefix("broken label 0 : label io.buildpacks.buildpack.order: ")))
	})

	DescribeTable("whose APIs are wrong", func(old, new string, ok bool, want ...any) {
		r := b.report(b.relabelled(flat(), flatten.BuilderMetadataLabel, old, new))
		Expect(findings(r)).To(HaveExactElements(want...))
		Expect(r.OK).To(Equal(ok))
	},
		Entry("buildpacks are too new", `"supported":["0.10"]`, `"supported":["0.8"]`, false,
			"broken api 0 acme/a@1: lifecycle 0.21.0 does not support its Buildpack API 0.10; it supports 0.9, 0.8",
			"broken api 0 acme/b@1: lifecycle 0.21.0 does not support its Buildpack API 0.10; it supports 0.9, 0.8",
			"broken api 0 acme/b@2: lifecycle 0.21.0 does not support its Buildpack API 0.10; it supports 0.9, 0.8",
			"broken api 0 acme/root@1: lifecycle 0.21.0 does not support its Buildpack API 0.10; it supports 0.9, 0.8",
			"broken api 0 acme/e@1: lifecycle 0.21.0 does not support its Buildpack API 0.10; it supports 0.9, 0.8"),
		Entry("extensions and system buildpacks are too new", `"supported":["0.13","0.15"]`, `"supported":["0.12"]`, false,
			"note api 0 : lifecycle 0.21.0 does not support system buildpacks, which require Platform API 0.15",
			"broken api 0 : lifecycle 0.21.0 does not support image extensions, except as an experiment: they require Platform API 0.13"),
		Entry("one is deprecated", `"deprecated":["0.9"],"supported":["0.10"]`, `"deprecated":["0.9","0.10"],"supported":["0.11"]`, true,
			HavePrefix("note api 0 acme/a@1: its Buildpack API 0.10 is deprecated in lifecycle 0.21.0"), HavePrefix("note api 0 acme/b@1"), HavePrefix("note api 0 acme/b@2"), HavePrefix("note api 0 acme/root@1"), HavePrefix("note api 0 acme/e@1")),
		Entry("it has none", `"apis":`, `"other":`, true, "note api 0 : label io.buildpacks.builder.metadata does not say which APIs the lifecycle supports"),
	)

	It("one of whose buildpacks has an API that is unsupported, and which no order names, is only noted", func() {
		r := b.report(b.relabelled(b.build("b", nil, twoOrders), flatten.OrderLabel, `"id":"acme/b"`, `"id":"acme/root"`))
		Expect(r.OK).To(BeFalse()) // no root@2
		b.Write("acme_b@2/buildpack.toml", "api = \"0.9\"\n[buildpack]\nid = \"acme/b\"\nversion = \"2\"\n")
		name := b.build("b", nil, strings.Split(twoOrders, "[[order]]\n[[order.group]]\nid = \"acme/b\"")[0])
		r = b.report(b.relabelled(name, flatten.BuilderMetadataLabel, `"deprecated":["0.9"]`, `"deprecated":[]`))
		Expect(findings(r)).To(HaveExactElements("note api 0 acme/b@2: lifecycle 0.21.0 does not support its Buildpack API 0.9; it supports 0.10"))
		Expect(r.OK).To(BeTrue())
	})

	DescribeTable("whose order.toml is not what the label says", func(old, new, want string) {
		broken(replaced(flat(), "/cnb/order.toml", old, new), "broken order-file 5 : "+want)
	},
		Entry("another id", `id = 'acme/root'`, `id = 'acme/a'`, "/cnb/order.toml differs from label io.buildpacks.buildpack.order: group 1 has acme/a@1, the label acme/root@1"),
		Entry("another version", `version = '2'`, `version = '1'`, "/cnb/order.toml differs from label io.buildpacks.buildpack.order: group 2 has acme/b@1 (optional), the label acme/b@2 (optional)"),
		Entry("not optional", `optional = true`, `optional = false`, "/cnb/order.toml differs from label io.buildpacks.buildpack.order: group 2 has acme/b@2, the label acme/b@2 (optional)"),
		Entry("a group more", `[[order-extensions]]`, "[[order]]\n[[order.group]]\nid = 'acme/a'\n[[order-extensions]]", "/cnb/order.toml differs from label io.buildpacks.buildpack.order: 3 groups, the label has 2"),
		Entry("no TOML", `[[order]]`, `[order`, "/cnb/order.toml:1: expected ']' to close table name"),
	)

	DescribeTable("that lacks a file", func(path, want string) {
		broken(without(flat(), path), "broken "+want)
	},
		Entry("order.toml", "/cnb/order.toml", "builder-file 0 : /cnb/order.toml is missing"),
		Entry("stack.toml", "/cnb/stack.toml", "builder-file 0 : /cnb/stack.toml is missing"),
		Entry("run.toml", "/cnb/run.toml", "builder-file 0 : /cnb/run.toml is missing"),
		Entry("system.toml", "/cnb/system.toml", "builder-file 0 : /cnb/system.toml is missing, but label io.buildpacks.buildpack.system has system buildpacks"),
		Entry("a binary of the lifecycle", "/cnb/lifecycle/detector", "lifecycle 0 : /cnb/lifecycle/detector is missing"),
	)

	It("whose order.toml a whiteout hides", func() {
		name := b.rewritten(flat(), func(number int, all []entry) []entry {
			switch number {
			case 1:
				return append(all, file("cnb/order.toml", ""))
			case 5:
				all = slices.DeleteFunc(all, func(e entry) bool { return e.Name == "/cnb/order.toml" })
				return append(all, file("/cnb/.wh.order.toml", ""))
			}
			return all
		})
		broken(name, "broken builder-file 0 : /cnb/order.toml is missing")
	})

	It("with more layers than platforms can build with", func() {
		var more []v1.Layer
		for i := range 112 {
			more = append(more, layerOf(file(fmt.Sprint("/etc/", i), "")))
		}
		b.keep("crowded", base(more...))
		name := b.build("b", func(o *builder.Options) { o.MaxLayers = 125 }, "[build]\nimage = \"oci:crowded\"\n", twoOrders, system)
		broken(name, "broken layer-count 0 : 119 layers; platforms add up to 7 for a build, and Docker loads at most 125, so that a builder may have 118")
	})
})
