package frontend

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/config"
)

var _ = Describe("build arguments", func() {
	It("are settings, and environment variables in capitals", func() {
		a, warnings, err := readArguments(map[string]string{
			"builder": "b", "run-image": "r", "platform-api": "0.12", "cache-id": "c/1", "previous-image": "p", "output": "layout", "tag": "x:1",
			"SOURCE_DATE_EPOCH": "1", "CNB_LOG_LEVEL": "debug", "BP_B": "2", "BP_A": "1", "GOFLAGS": "", "HTTP_PROXY": "x", "http_proxy": "x", "BUILDKIT_INLINE_CACHE": "1",
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())
		Expect(a).To(Equal(arguments{builder: "b", runImage: "r", platformAPI: "0.12", cacheID: "c/1", previousImage: "p", layout: true, tag: "x:1", epoch: "1", logLevel: "debug",
			env: []config.EnvVar{{Name: "BP_A", Value: "1"}, {Name: "BP_B", Value: "2"}, {Name: "GOFLAGS"}}}))
	})

	It("may be empty, as if they were not given", func() {
		a, warnings, err := readArguments(map[string]string{"builder": "", "output": "", "tag": "", "SOURCE_DATE_EPOCH": ""})
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(BeEmpty())
		Expect(a).To(Equal(arguments{}))
	})

	DescribeTable("may be wrong", func(name, value, want string) {
		_, _, err := readArguments(map[string]string{name: value})
		Expect(err).To(MatchError(want))
	},
		Entry("output", "output", "zip", "invalid build argument output=zip; write image or layout"),
		Entry("a version", "platform-api", "0.3", "invalid build argument platform-api=0.3; the lifecycle exports OCI layouts with 0.11 to 0.15"),
		Entry("no version", "platform-api", "x", "invalid build argument platform-api=x; the lifecycle exports OCI layouts with 0.11 to 0.15"),
		Entry("a cache", "cache-id", "a b", "invalid build argument cache-id=a b; it may have letters, digits and _ . @ / -"),
		Entry("a time", "SOURCE_DATE_EPOCH", "now", "invalid build argument SOURCE_DATE_EPOCH=now; write seconds since 1970"),
		Entry("a tag without a layout", "tag", "x", "build argument tag needs output=layout; name an image with the client's own option, such as docker build --tag"),
		Entry("a variable", "BP_X", "\x00", "build argument BP_X has a NUL character"),
	)

	DescribeTable("name the image in a layout as docker load takes it", func(value, want, problem string) {
		a, _, err := readArguments(map[string]string{"output": "layout", "tag": value})
		if problem != "" {
			Expect(err).To(MatchError("invalid build argument tag=" + flatten.Clip(value) + "; " + problem))
			return
		}
		Expect(err).NotTo(HaveOccurred())
		Expect(a.tag).To(Equal(want))
	},
		Entry("with a tag", "acme/shop:RC-1", "acme/shop:RC-1", ""),
		Entry("without one", "acme/shop", "acme/shop:latest", ""),
		Entry("with a registry", "127.0.0.1:5000/shop:1", "127.0.0.1:5000/shop:1", ""),
		Entry("in capitals", "acme/Shop:1", "", "write NAME:TAG: invalid reference format: repository name (acme/Shop) must be lowercase"),
		Entry("without a name", ":1", "", "write NAME:TAG: invalid reference format"),
		Entry("with quotes", `a":1`, "", "write NAME:TAG: invalid reference format"),
		Entry("with a digest", "a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "", "write NAME:TAG: it has a digest"),
	)

	DescribeTable("may be unknown", func(name, want string) {
		_, warnings, err := readArguments(map[string]string{name: "x"})
		Expect(err).NotTo(HaveOccurred())
		Expect(warnings).To(HaveExactElements(want))
	},
		Entry("nearly known", "run_image", `unknown build argument "run_image"; did you mean run-image?`),
		Entry("in small letters", "bp_jvm_version", `unknown build argument "bp_jvm_version"; environment variables of the build are in capitals, or in the project descriptor`),
		Entry("anything", "a.b", `unknown build argument "a.b"; known are builder, cache-id, output, platform-api, previous-image, run-image, tag`),
	)
})
