package cli_test

import (
	"encoding/json"
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("flatten", func() {
	BeforeEach(func() {
		enterBuilder()
		Expect(create("-q", "oci:it").code).To(BeZero())
	})

	It("changes a builder and back, with composites by default", func() {
		was := digest(create("-q", "oci:it", "--flatten=none"))
		Expect(digest(laminate("flatten", "-q", "oci:it", "oci:flat", "--flatten=all"))).To(Equal(digest(create("-q", "oci:new", "--flatten=all"))))
		Expect(digest(laminate("flatten", "-q", "oci:it", "oci:default"))).To(Equal(digest(laminate("flatten", "-q", "oci:it", "oci:composites", "--flatten=composites"))))
		Expect(digest(laminate("flatten", "-q", "oci:flat", "oci:back", "--flatten=none"))).To(Equal(was))
		Expect(digest(laminate("flatten", "-q", "oci:it", "--flatten", "acme/a@1,acme/b@1", "oci:two"))).To(Equal(digest(laminate("flatten", "-q", "oci:it", "oci:three", "--flatten=acme/a@1,acme/b@1"))))
	})

	It("writes over its own source", func() {
		flat := digest(laminate("flatten", "-q", "oci:it", "oci:flat"))
		Expect(digest(laminate("flatten", "-q", "oci:it", "oci:it"))).To(Equal(flat))
		Expect(digest(laminate("flatten", "-q", "left.cnb", "left.cnb", "--flatten=none"))).To(HavePrefix("sha256:"))
		Expect(laminate("flatten", "left.cnb", "oci:plan", "--flatten=none", "--dry-run").stdout).To(ContainSubstring("3 buildpacks in 3 layers"))
	})

	It("prints the plan of a dry run, and what clients of the image pull", func() {
		plan := laminate("flatten", "oci:it", "oci:new", "--dry-run", "--flatten=all")
		Expect(plan.code).To(BeZero(), plan.stderr)
		Expect(plan.stdout).To(ContainSubstring("builder for linux/amd64: 4 layers of at most 119, 115 to spare\n3 layers without buildpacks, unchanged\n6 buildpacks in 1 layer:\n"))
		Expect(plan.stdout).To(ContainSubstring("clients that have oci:it pull"))
		Expect("new").NotTo(BeADirectory())
		var report struct {
			Images []struct {
				Kind        string
				Total       struct{ Layers int }
				Previous    struct{ Image string }
				OtherLayers []struct{ Layers int } `json:"other_layers"`
			}
		}
		plan = laminate("flatten", "oci:it", "oci:new", "--dry-run", "--flatten=all", "--output", "json")
		Expect(json.Unmarshal([]byte(plan.stdout), &report)).To(Succeed())
		Expect(report.Images).To(HaveLen(1))
		Expect(report.Images[0].Kind).To(Equal("builder"))
		Expect(report.Images[0].Total.Layers).To(Equal(4))
		Expect(report.Images[0].OtherLayers[0].Layers).To(Equal(3))
		Expect(report.Images[0].Previous.Image).To(Equal("oci:it"))
	})

	DescribeTable("refuses",
		func(code int, message string, args ...string) {
			r := laminate(append([]string{"flatten"}, args...)...)
			Expect(r.stderr).To(ContainSubstring(message))
			Expect(r.code).To(Equal(code))
			Expect(r.stdout).To(BeEmpty())
		},
		Entry("no image", 2, "REF is missing; name an image"),
		Entry("no destination", 2, "DEST is missing; name where to write", "oci:it"),
		Entry("more arguments", 2, "3 arguments (oci:it, oci:x, oci:y); write REF DEST", "oci:it", "oci:x", "oci:y"),
		Entry("an image without buildpacks", 1, "oci:base: neither a builder nor a buildpackage; only their layers can be changed", "oci:base", "oci:x", "-t", "linux/amd64"),
		Entry("a directory", 1, "is a directory, not an image", "left", "oci:x"),
		Entry("a buildpack that is not there", 1, "acme/none", "oci:it", "oci:x", "--flatten=acme/none,acme/a"),
		Entry("too many layers", 1, "too many layers: 9, the limit is 5; 3 of them hold no buildpacks. --flatten=auto keeps to 5.", "oci:it", "oci:x", "--flatten=none", "--max-layers", "5"),
		Entry("too many that are no buildpacks", 1, "Raise --max-layers to 4 or more, or create the image again", "oci:it", "oci:x", "--flatten=all", "--max-layers", "3"),
		Entry("another platform", 1, "no image for linux/arm64; available: linux/amd64", "oci:it", "oci:x", "-t", "linux/arm64"),
		Entry("a choice between sources", 2, "unknown flag --on-conflict", "oci:it", "oci:x", "--on-conflict", "last"),
	)

	It("leaves nothing behind where it fails", func() {
		before, err := os.ReadDir(".")
		Expect(err).NotTo(HaveOccurred())
		blobs, err := os.ReadDir("it/blobs/sha256")
		Expect(err).NotTo(HaveOccurred())
		for _, b := range blobs { // truncate the layers
			if info, err := b.Info(); err == nil && info.Size() < 1000 && !strings.HasPrefix(b.Name(), ".") {
				Expect(os.Truncate("it/blobs/sha256/"+b.Name(), info.Size()-1)).To(Succeed())
			}
		}
		r := laminate("flatten", "oci:it", "oci:x", "--flatten=all")
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(ContainSubstring("bytes, expected"))
		Expect(os.ReadDir(".")).To(HaveLen(len(before)))
	})
})
