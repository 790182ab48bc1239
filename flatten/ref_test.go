package flatten_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

var _ = Describe("a ref", func() {
	DescribeTable("is read from id@version", func(s, id, version string) {
		ref, err := flatten.ParseRef(s)
		Expect(err).NotTo(HaveOccurred())
		Expect(ref).To(Equal(flatten.Ref{ID: id, Version: version}))
		Expect(ref.String()).To(Equal(s))
	},
		Entry("of one word", "a@1", "a", "1"),
		Entry("with a path for an id", "acme/go/build@0.1.2-rc.3+build.7", "acme/go/build", "0.1.2-rc.3+build.7"),
		Entry("with dots that are not alone", "a..b/.c@1..2", "a..b/.c", "1..2"),
		Entry("with what is seen in the wild", "acme/ein_büildpack~1@v1_0", "acme/ein_büildpack~1", "v1_0"),
		Entry("with parts of 200 bytes", strings.Repeat("i", 200)+"@"+strings.Repeat("1", 200), strings.Repeat("i", 200), strings.Repeat("1", 200)),
	)

	DescribeTable("is refused if it cannot have a directory of its own", func(s string, message ...string) {
		ref, err := flatten.ParseRef(s)
		Expect(ref).To(BeZero())
		for _, m := range message {
			Expect(err).To(MatchError(ContainSubstring(m)))
		}
	},
		Entry("empty", "", "id is missing", "version is missing"),
		Entry("without a version", "a", `ref "a": version is missing`),
		Entry("with an empty version", "a@", "version is missing"),
		Entry("without an id", "@1", "id is missing"),
		Entry("with two versions", "a@1@2", `invalid version "1@2"`),
		Entry("with a path for a version", "a@1/2", `invalid version "1/2"`),
		Entry("that leads up", "..@1", `invalid id ".."`),
		Entry("that leads up within", "a/../b@1", `invalid id "a/../b"`),
		Entry("with a dot component", "a/./b@1", `invalid id "a/./b"`),
		Entry("with an empty component", "a//b@1", `invalid id "a//b"`),
		Entry("that begins with a slash", "/a@1", `invalid id "/a"`),
		Entry("that ends with a slash", "a/@1", `invalid id "a/"`),
		Entry("whose version leads up", "a@..", `invalid version ".."`),
		Entry("whose version is its id's directory", "a@.", `invalid version "."`),
		Entry("with a space", "a b@1", "invalid id "),
		Entry("with a line break", "a@1\n", "invalid version "),
		Entry("with a control character", "a\x1b[31m@1", "invalid id "),
		Entry("with a NUL", "a\x00@1", "invalid id "),
		Entry("with a backslash", `a\b@1`, "invalid id "),
		Entry("with a comma", "a,b@1", "invalid id "),
		Entry("with a glob", "a/*@1", "invalid id "),
		Entry("that is no text", "a\xff@1", "invalid id "),
		Entry("that is no text, its version", "a@\xc3", "invalid version "),
		Entry("whose directory would be a whiteout", ".wh.a@1", "invalid id "),
		Entry("whose version's directory would be a whiteout", "a@.wh.1", "invalid version "),
		Entry("that is too long", strings.Repeat("i", 201)+"@1", "id is longer than 200 bytes"),
		Entry("whose version is too long", "a@"+strings.Repeat("1", 201), "version is longer than 200 bytes"),
	)

	It("has a directory for each kind, with the id in one component", func() {
		ref := r("acme/go/build@1.2")
		Expect(flatten.Buildpack.IDDir(ref)).To(Equal("/cnb/buildpacks/acme_go_build"))
		Expect(flatten.Buildpack.Dir(ref)).To(Equal("/cnb/buildpacks/acme_go_build/1.2"))
		Expect(flatten.Extension.Dir(ref)).To(Equal("/cnb/extensions/acme_go_build/1.2"))
		Expect(flatten.Buildpack.Descriptor()).To(Equal("buildpack.toml"))
		Expect(flatten.Extension.Descriptor()).To(Equal("extension.toml"))
	})

	It("is written as its id where it has no version", func() {
		Expect(flatten.Ref{ID: "a/b"}.String()).To(Equal("a/b"))
	})

	DescribeTable("is compared by id, then by version", func(a, b string, want int) {
		Expect(r(a).Compare(r(b))).To(Equal(want))
		Expect(r(b).Compare(r(a))).To(Equal(-want))
	},
		Entry(nil, "a@2", "b@1", -1), Entry(nil, "a@1", "a@2", -1), Entry(nil, "a@10", "a@9", -1), Entry(nil, "a@1", "a@1", 0))
})

var _ = Describe("a target", func() {
	distros := func(nameVersion ...string) (ds []flatten.Distro) {
		for i := 0; i < len(nameVersion); i += 2 {
			ds = append(ds, flatten.Distro{Name: nameVersion[i], Version: nameVersion[i+1]})
		}
		return ds
	}

	DescribeTable("is read from os/arch/variant:distro@version", func(s string, want flatten.Target, written string) {
		t, err := flatten.ParseTarget(s)
		Expect(err).NotTo(HaveOccurred())
		Expect(t).To(Equal(want))
		Expect(t.String()).To(Equal(written))
		Expect(flatten.ParseTarget(written)).To(Equal(want))
	},
		Entry("os alone", "linux", flatten.Target{OS: "linux"}, "linux"),
		Entry("os and arch", "linux/amd64", flatten.Target{OS: "linux", Arch: "amd64"}, "linux/amd64"),
		Entry("variant", "linux/arm/v7", flatten.Target{OS: "linux", Arch: "arm", Variant: "v7"}, "linux/arm/v7"),
		Entry("distribution", "linux/amd64:ubuntu@22.04", flatten.Target{OS: "linux", Arch: "amd64", Distros: distros("ubuntu", "22.04")}, "linux/amd64:ubuntu@22.04"),
		Entry("distributions", "linux/arm/v7:ubuntu@22.04;debian@12", flatten.Target{OS: "linux", Arch: "arm", Variant: "v7", Distros: distros("ubuntu", "22.04", "debian", "12")},
			"linux/arm/v7:ubuntu@22.04;debian@12"),
		Entry("versions", "linux/amd64:ubuntu@22.04@24.04", flatten.Target{OS: "linux", Arch: "amd64", Distros: distros("ubuntu", "22.04", "ubuntu", "24.04")},
			"linux/amd64:ubuntu@22.04;ubuntu@24.04"),
	)

	DescribeTable("is refused", func(s, why string) {
		t, err := flatten.ParseTarget(s)
		Expect(t).To(BeZero())
		Expect(err).To(MatchError(And(ContainSubstring(why), ContainSubstring("write os/arch[/variant][:distro@version]"))))
	},
		Entry("empty", "", "want an operating system"),
		Entry("without an arch after the slash", "linux/", "want an operating system"),
		Entry("without an os", "/amd64", "want an operating system"),
		Entry("of four parts", "linux/arm/v7/x", "want an operating system"),
		Entry("in capitals", "Linux/amd64", `invalid name "Linux"`),
		Entry("that leads up", "linux/..", `invalid name ".."`),
		Entry("with an empty list of distributions", "linux/amd64:", "missing name of a distribution"),
		Entry("with an empty distribution", "linux/amd64:ubuntu@1;", "missing name of a distribution"),
		Entry("with a version of nothing", "linux/amd64:@1", "missing name of a distribution"),
		Entry("with a distribution without a version", "linux/amd64:ubuntu", `missing version of distribution "ubuntu"`),
		Entry("with an empty version", "linux/amd64:ubuntu@", `missing version of distribution "ubuntu"`),
		Entry("with an empty version between", "linux/amd64:ubuntu@1@@2", `missing version of distribution "ubuntu"`),
		Entry("with a version that leads up", "linux/amd64:ubuntu@..", `missing version of distribution "ubuntu"`),
		Entry("with a path for a distribution", "linux/amd64:a/b@1", `invalid distribution "a/b@1"`),
		Entry("with a version that leads away", `linux/amd64:a@1/../2`, `invalid distribution "a@1/../2"`),
		Entry("with a NUL", "linux/amd64:a\x00@1", `invalid distribution "a\x00@1"`),
		Entry("with a control character", "linux/amd64:a@1\x1b[2J", "invalid distribution"),
		Entry("with a space", "linux/amd64:a b@1", "invalid distribution"),
		Entry("that is no text", "linux/amd64:a@\xff", "invalid distribution"),
	)

	It("leads through folders, the widest first", func() {
		t, err := flatten.ParseTarget("linux/arm/v7:ubuntu@22.04")
		Expect(err).NotTo(HaveOccurred())
		Expect(t.Folders()).To(Equal([]string{"linux", "arm", "v7", "ubuntu@22.04"}))
		Expect(flatten.Target{OS: "linux", Variant: "v7"}.Folders()).To(Equal([]string{"linux", "v7"}))
	})

	It("is taken apart by distribution", func() {
		t, err := flatten.ParseTarget("linux/amd64:ubuntu@22.04@24.04;debian@12")
		Expect(err).NotTo(HaveOccurred())
		var each []string
		for _, one := range t.PerDistro() {
			each = append(each, one.String())
		}
		Expect(each).To(Equal([]string{"linux/amd64:ubuntu@22.04", "linux/amd64:ubuntu@24.04", "linux/amd64:debian@12"}))
		Expect(t.Distros).To(HaveLen(3), "the target itself stays as it is")
		Expect(flatten.Target{OS: "linux"}.PerDistro()).To(Equal([]flatten.Target{{OS: "linux"}}))
	})
})
