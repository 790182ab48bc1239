package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
)

var _ = Describe("verify", func() {
	BeforeEach(func() { enterBuilder() })

	It("says that a builder is ok, and that it holds what another holds", func() {
		Expect(create("oci:out", "-q").code).To(BeZero())
		Expect(create("oci:flat", "-q", "--flatten=all").code).To(BeZero())
		r := laminate("verify", "oci:flat", "--against", "oci:out")
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(r.stderr).To(BeEmpty())
		Expect(r.stdout).To(MatchRegexp(`^oci:flat linux/amd64: ok, \d layers, 6 buildpacks, [0-9.]+ kB read
oci:out linux/amd64: ok, \d+ layers, 6 buildpacks, [0-9.]+ kB read
oci:flat holds the same buildpacks with the same files as oci:out
$`))
	})

	// damaged changes a byte of the largest blob of a layout.
	damaged := func(dir string) {
		GinkgoHelper()
		files, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
		Expect(err).NotTo(HaveOccurred())
		large, size := "", int64(0)
		for _, f := range files {
			content, err := os.ReadFile(f)
			Expect(err).NotTo(HaveOccurred())
			if n := int64(len(content)); n > size && content[0] == 0x1f {
				large, size = f, n
			}
		}
		content, err := os.ReadFile(large)
		Expect(err).NotTo(HaveOccurred())
		content[len(content)/2] ^= 1
		Expect(os.WriteFile(large, content, 0o644)).To(Succeed())
	}

	It("lists what is broken, and exits with 1", func() {
		Expect(create("oci:out", "-q").code).To(BeZero())
		damaged("out")
		r := laminate("verify", "oci:out")
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(MatchRegexp(`^oci:out linux/amd64: broken, .*\n   broken: layer \d+: `))
		Expect(r.stderr).To(Equal("laminate: oci:out: 1 problem\n"))
		for line := range strings.Lines(r.stdout) {
			Expect(len(line)).To(BeNumerically("<=", 101))
		}

		r = laminate("verify", "oci:out", "--output", "json", "-q")
		Expect(r.code).To(Equal(1))
		var result struct {
			Schema int
			OK     bool
			Images []struct {
				OK       bool
				Findings []struct{ Severity, What, Message string }
			}
		}
		Expect(json.Unmarshal([]byte(r.stdout), &result)).To(Succeed())
		Expect(result.Schema).To(Equal(1))
		Expect(result.OK).To(BeFalse())
		Expect(result.Images[0].OK).To(BeFalse())
		Expect(result.Images[0].Findings).To(HaveLen(1))
		Expect(result.Images[0].Findings[0]).To(And(HaveField("Severity", "broken"), HaveField("What", "blob")))
	})

	It("counts differences", func() {
		Expect(create("oci:out", "-q").code).To(BeZero())
		Expect(laminate("package", "oci:one", "--path", "alone", "-q").code).To(BeZero())
		r := laminate("verify", "oci:one", "--against", "oci:out")
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(ContainSubstring("\n5 differences from oci:out:\n   broken: acme/a@1: buildpack is only in the image to compare with\n"))
		Expect(r.stderr).To(Equal("laminate: oci:one: 5 differences from oci:out\n"))
	})

	It("compares with a builder of too many layers, and says what makes fewer", func() {
		host := fixtures.Registry(GinkgoT())
		at := host + "/acme/builder:"
		Expect(create(at+"1", "--publish", "-q").code).To(BeZero())
		good, err := name.ParseReference(at + "1")
		Expect(err).NotTo(HaveOccurred())
		img, err := remote.Image(good)
		Expect(err).NotTo(HaveOccurred())
		for range 120 {
			l, err := random.Layer(10, types.DockerLayer)
			Expect(err).NotTo(HaveOccurred())
			img, err = mutate.AppendLayers(img, l)
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(remote.Write(good.Context().Tag("deep"), img)).To(Succeed())
		r := laminate("verify", at+"deep")
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(ContainSubstring("laminate flatten"))
		Expect(laminate("inspect", at+"deep").stdout).To(ContainSubstring("laminate flatten"))
		r = laminate("verify", at+"1", "--against", at+"deep")
		Expect(r.stdout).To(MatchRegexp(`builder:deep linux/amd64: ok, .*\n   note: \d+ layers; `))
		Expect(r.stderr).To(BeEmpty())
		Expect(r.code).To(BeZero())
		Expect(laminate("verify", at+"deep", "--against", at+"1").code).To(Equal(1))
	})

	It("counts the problems of each image", func() {
		Expect(create("oci:out", "-q").code).To(BeZero())
		Expect(create("oci:good", "-q").code).To(BeZero())
		damaged("out")
		Expect(laminate("verify", "oci:good", "--against", "oci:out").stderr).To(HavePrefix("laminate: oci:out: 1 problem"))
	})

	It("tells a registry that is gone from an image that is broken", func() {
		host := fixtures.Registry(GinkgoT())
		Expect(create(host+"/acme/builder:1", "--publish", "-q").code).To(BeZero())
		Expect(laminate("verify", host+"/acme/builder:1").code).To(BeZero())
		r := laminate("verify", host+"/acme/other:1")
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(BeEmpty())
		Expect(r.stderr).To(HavePrefix("laminate: " + host + "/acme/other:1: "))
		Expect(r.stderr).NotTo(ContainSubstring("problem"))
	})

	DescribeTable("refuses what makes no sense, before anything is tried", func(want string, args ...string) {
		r := laminate(append([]string{"verify"}, args...)...)
		Expect(r).To(Equal(result{2, "", "laminate: " + want + "\nSee: laminate verify --help\n"}))
	},
		Entry("no REF", "REF is missing; name an image, as in acme/builder, image.cnb or oci:DIR"),
		Entry("two", "2 arguments; write REF; to compare two images, write --against REF2", "oci:a", "oci:b"),
		Entry("a form that is none", `invalid value "xml" for --output; write json or text`, "oci:a", "--output", "xml"),
		Entry("an image to compare with that is none", "--against has an empty value", "oci:a", "--against", ""),
	)
})
