package source_test

import (
	"context"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/image"
	"laminate/packager/location"
)

// labelled is a package of the sample with another entry for acme/a.
func labelled(change func(*flatten.LayerInfo)) (location.Location, *image.Package, error) {
	loc := at(location.OCILayout, layoutOfOne(sample{compression: layer.Gzip, change: func(l flatten.LayersLabel, _ *v1.ConfigFile) {
		root := l["acme/root"]["1.0.0"]
		root.Stacks = nil
		l["acme/root"]["1.0.0"] = root
		info := l["acme/a"]["1.0.0"]
		change(&info)
		l["acme/a"]["1.0.0"] = info
	}}.image()), "")
	p, err := openAt(loc, flatten.Target{})
	return loc, p, err
}

var _ = Describe("what a label says of a buildpack", func() {
	DescribeTable("is doubted", func(why string, change func(*flatten.LayerInfo)) {
		loc, p, err := labelled(change)
		Expect(err).NotTo(HaveOccurred())
		Expect(p.Problems).To(HaveLen(1))
		Expect(p.Problems[0].Warning).To(BeTrue())
		Expect(p.Problems[0].Error()).To(Equal(loc.Written + ": acme/a@1.0.0 has " + why))
	},
		Entry("an API to come", "unknown buildpack API 9.9", func(i *flatten.LayerInfo) { i.API = "9.9" }),
		Entry("an order and stacks", "an order and stacks; its stacks are ignored", func(i *flatten.LayerInfo) {
			i.Order = flatten.Order{{Entries: []flatten.Entry{{ID: "acme/b", Version: "1.0.0"}}}}
		}),
		Entry("an order and targets", "an order and targets; its targets are ignored", func(i *flatten.LayerInfo) {
			i.Order = flatten.Order{{Entries: []flatten.Entry{{ID: "acme/b", Version: "1.0.0"}}}}
			i.Stacks, i.Targets = nil, []flatten.Target{{OS: "linux"}}
		}),
	)

	It("is not doubted for nothing", func() {
		_, p, err := labelled(func(*flatten.LayerInfo) {})
		Expect(err).NotTo(HaveOccurred())
		Expect(p.Problems).To(BeEmpty())
	})

	DescribeTable("is refused", func(api, why string) {
		loc, _, err := labelled(func(i *flatten.LayerInfo) { i.API = api })
		Expect(err).To(MatchError(loc.Written + ": label io.buildpacks.buildpack.layers has " + why))
	},
		Entry("without an API", "", "no api for acme/a@1.0.0"),
		Entry("with anything for an API", "0.10\n", `invalid api "0.10\n" for acme/a@1.0.0`),
	)
})

var _ = Describe("what is told of one source", func() {
	lines := func(err error) []string {
		GinkgoHelper()
		Expect(err).To(HaveOccurred())
		return strings.Split(err.Error(), "\n")
	}
	enough := func(last string) OmegaMatcher {
		return And(HaveLen(21), HaveEach(Not(BeEmpty())), ContainElement(HaveSuffix(last)))
	}

	It("is not all that is wrong with its label", func() {
		for _, change := range []func(flatten.LayerInfo) flatten.LayerInfo{
			func(i flatten.LayerInfo) flatten.LayerInfo { i.API = ""; return i },
			func(i flatten.LayerInfo) flatten.LayerInfo {
				i.LayerDiffID = "sha256:" + strings.Repeat("0", 64)
				return i
			},
			func(i flatten.LayerInfo) flatten.LayerInfo { i.LayerDiffID = "none"; return i },
		} {
			loc := at(location.OCILayout, layoutOfOne(sample{compression: layer.Gzip, change: func(l flatten.LayersLabel, _ *v1.ConfigFile) {
				for n := range 50 {
					l["acme/a"][fmt.Sprint(n)] = change(l["acme/a"]["1.0.0"])
				}
			}}.image()), "")
			_, err := openAt(loc, flatten.Target{})
			Expect(lines(err)).To(enough("and 30 more"))
		}
	})

	It("is not all that there is to doubt", func() {
		var t strings.Builder
		for n := range 50 {
			fmt.Fprintf(&t, "unknown%d = 1\n", n)
		}
		p := open(opener(), tree{"buildpack.toml": t.String() + descriptor("acme/a"), "bin/detect": "#!", "bin/build": "#!"}.dir(), flatten.Target{})
		Expect(p.Problems).To(HaveLen(21))
		Expect(p.Problems[20].Message).To(Equal("and 30 more"))
		Expect(p.Problems[20].Warning).To(BeTrue())
	})

	It("is not all that is wrong with its buildpack.toml", func() {
		dir := tree{"buildpack.toml": descriptor("acme/a") + strings.Repeat("[[targets]]\nos = \"?\"\n", 50)}.dir()
		_, err := opener().Package(context.Background(), path(dir), flatten.Buildpack, flatten.Target{})
		Expect(lines(err)).To(enough("buildpack.toml: and 30 more"))
	})

	It("is not all that is wrong with its files", func() {
		t := component("acme/a")
		for n := range 50 {
			t[fmt.Sprintf(".wh.%d", n)] = ""
		}
		Expect(lines(openError(opener(), t.dir()))).To(enough("and 30 more"))
		var all []entry
		for n := range 50 {
			all = append(all, regular(fmt.Sprint("../", n), ""))
		}
		Expect(lines(openError(opener(), file("x.tar", with(all...))))).To(enough("and possibly more: reading stopped here"))
	})
})
