package cli_test

import (
	"encoding/json"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("inspect", func() {
	BeforeEach(func() { enterBuilder() })

	It("describes a builder as JSON", func() {
		Expect(create("oci:out", "-q").code).To(BeZero())
		r := laminate("inspect", "oci:out", "--output", "json")
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(r.stderr).To(BeEmpty())
		var report struct {
			Images []struct {
				Kind    string
				Modules []struct{ Ref string }
			}
		}
		Expect(json.Unmarshal([]byte(r.stdout), &report)).To(Succeed())
		Expect(report.Images).To(HaveLen(1))
		Expect(report.Images[0].Kind).To(Equal("builder"))
		Expect(report.Images[0].Modules).To(HaveExactElements(
			HaveField("Ref", "acme/left@1"), HaveField("Ref", "acme/a@1"), HaveField("Ref", "acme/shared@1"),
			HaveField("Ref", "acme/right@1"), HaveField("Ref", "acme/b@1"), HaveField("Ref", "acme/alone@1"),
		))
	})

	DescribeTable("refuses what makes no sense, before anything is tried", func(want string, args ...string) {
		r := laminate(append([]string{"inspect"}, args...)...)
		Expect(r).To(Equal(result{2, "", "laminate: " + want + "\nSee: laminate inspect --help\n"}))
	},
		Entry("no REF", "REF is missing; name an image, as in acme/builder, image.cnb or oci:DIR"),
		Entry("two", "2 arguments; write REF", "oci:a", "oci:b"),
		Entry("a form that is none", `invalid value "xml" for --output; write html, json, markdown, text or yaml`, "oci:a", "--output", "xml"),
		Entry("two platforms", "--target is one platform, as linux/amd64", "oci:a", "-t", "linux/amd64,linux/arm64"),
	)
})
