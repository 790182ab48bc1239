package release_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/release"
	"laminate/packager/config"
)

var _ = DescribeTable("the version before", func(tags, template, below, want string) {
	img := config.ReleaseImage{Name: "full", Variant: "standard"}
	if name, variant, has := strings.Cut(template, " of "); has {
		template, img.Variant = name, variant
	}
	Expect(release.LastVersion(strings.Fields(tags), config.ReleaseTag(template), img, below)).To(Equal(want))
},
	Entry("is the highest", "1.2.3-full 1.10.0-full 1.9.9-full", "{version}-{name}", "2.0.0", "1.10.0"),
	Entry("is below this one", "1.2.3-full 1.10.0-full 1.9.9-full", "{version}-{name}", "1.10.0", "1.9.9"),
	Entry("is the highest of all without one", "1.2.3 2.0.0", "{version}", "", "2.0.0"),
	Entry("is no prerelease", "1.2.3 2.0.0-rc.1", "{version}", "2.0.0", "1.2.3"),
	Entry("may be before a prerelease", "1.2.3 2.0.0-rc.1", "{version}", "2.0.0-rc.2", "1.2.3"),
	Entry("may begin with v", "v1.2.3 v1.3.0", "{version}", "1.3.1", "v1.3.0"),
	Entry("is not that of another variant", "1.2.3-full 1.2.4-buildpackless-full", "{version}-{name}", "2.0.0", "1.2.3"),
	Entry("is that of the variant", "1.2.3-full 1.2.2-buildpackless-full", "{version}-{variant}-{name} of buildpackless", "2.0.0", "1.2.2"),
	Entry("has three numbers: others are moving tags, or dates", "1.2.3 2 2.0 24 20240101", "{version}", "30.0.0", "1.2.3"),
	Entry("is between what the template has around it", "r1.2.3-full r1.2.4-other 1.2.5-full", "r{version}-{name}", "2.0.0", "1.2.3"),
	Entry("may be in a tag twice", "1.2.3-1.2.3 1.2.4-1.2.5", "{version}-{version}", "2.0.0", "1.2.3"),
	Entry("is not in a tag that only looks like the template", "1x2.3.4 fullx1.2.3", "{name}.{version}", "2.0.0", ""),
	Entry("may be missing", "latest full", "{version}", "2.0.0", ""),
	Entry("is not a version with zeros before", "01.2.3 1.02.3", "{version}", "2.0.0", ""),
)
