package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
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
	"laminate/packager/attest"
	"laminate/packager/signing"
	"laminate/packager/sink"
	"laminate/packager/verify"
)

// keyPair returns a private key, and writes its public half to a file.
func keyPair(file string) *signing.Key {
	GinkgoHelper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	private, err := x509.MarshalECPrivateKey(ec)
	Expect(err).NotTo(HaveOccurred())
	public, err := x509.MarshalPKIXPublicKey(&ec.PublicKey)
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o644)).To(Succeed())
	key, err := signing.ParseKey(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), nil)
	Expect(err).NotTo(HaveOccurred())
	return key
}

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

	It("checks what is attached to an image in a registry, and its signature", func(ctx SpecContext) {
		host := fixtures.Registry(GinkgoT())
		ref := host + "/acme/builder:1"
		digest := strings.TrimPrefix(create(ref, "--publish", "-q").stdout[:71], "sha256:")
		image := host + "/acme/builder@sha256:" + digest
		key := keyPair("key.pub")
		Expect(laminate("verify", ref).stdout).NotTo(ContainSubstring("attached"))
		r := laminate("verify", ref, "--key", "key.pub")
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(ContainSubstring("\n" + ref + " sha256:" + digest[:12] + ": broken\n   broken: sha256:" + digest + " is not signed\n"))
		Expect(r.stderr).To(Equal("laminate: " + ref + ": 1 problem\n"))

		attach := func(about string) {
			GinkgoHelper()
			_, err := sink.Attach(ctx, image, []sink.Artifact{{Type: attest.InToto, MediaType: attest.InToto,
				Content: []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + about + `"}}]}`)}}, sink.Options{})
			Expect(err).NotTo(HaveOccurred())
		}
		attach(digest)
		Expect(sink.Sign(ctx, image, key, sink.Options{})).To(BeFalse())
		for _, name := range []string{ref, image, "docker://" + ref} {
			r = laminate("verify", name, "--key", "key.pub")
			Expect(r.code).To(BeZero(), r.stderr)
			Expect(strings.Join(strings.Fields(r.stdout), " ")).To(HaveSuffix(" " + name + " sha256:" + digest[:12] + ": ok, 1 document attached, signed by the key"))
		}
		other := strings.Repeat("b", 64)
		attach(other)
		r = laminate("verify", ref, "--output", "json", "-q")
		Expect(r.code).To(Equal(1))
		var result verify.Result
		Expect(json.Unmarshal([]byte(r.stdout), &result)).To(Succeed())
		Expect(result.OK).To(BeFalse())
		Expect(result.Attached).To(HaveLen(1))
		Expect(result.Attached[0].Documents).To(HaveLen(2))
		Expect(result.Attached[0].Signatures).To(BeZero())
		Expect(result.Attached[0].Findings[0].Message).To(HaveSuffix("is about sha256:" + other + ", not about this image"))
	})

	It("wants a signature of the index, and checks what is attached to each of its images", func(ctx SpecContext) {
		host := fixtures.Registry(GinkgoT())
		r := laminate("builder", "create", "-c", "builder.toml", "-t", "linux/amd64", "-t", "linux/arm64", "--skip-run-image-check", host+"/acme/builder:1", "--publish", "-q")
		Expect(r.code).To(BeZero(), r.stderr)
		index := r.stdout[:71]
		key := keyPair("key.pub")
		Expect(sink.Sign(ctx, host+"/acme/builder@"+index, key, sink.Options{})).To(BeFalse())
		for _, args := range [][]string{nil, {"-t", "linux/arm64"}} {
			r = laminate(append([]string{"verify", host + "/acme/builder:1", "--key", "key.pub"}, args...)...)
			Expect(r.code).To(BeZero(), r.stdout)
			Expect(strings.Count(r.stdout, "signed by the key")).To(Equal(1))
		}
		var result verify.Result
		Expect(json.Unmarshal([]byte(laminate("verify", host+"/acme/builder:1", "--output", "json").stdout), &result)).To(Succeed())
		Expect(result.Attached).To(HaveLen(3))
		arm := result.Images[1].Digest
		_, err := sink.Attach(ctx, host+"/acme/builder@"+arm, []sink.Artifact{{Type: attest.CycloneDX, MediaType: attest.CycloneDX,
			Content: []byte(`{"bomFormat":"CycloneDX","metadata":{"component":{"version":"` + index + `"}}}`)}}, sink.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(laminate("verify", host+"/acme/builder:1", "-t", "linux/amd64").code).To(BeZero())
		r = laminate("verify", host+"/acme/builder:1")
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(ContainSubstring("builder:1 " + arm[:19] + ": broken, 1 document attached\n"))
	})

	It("reads the key before it opens the image", func() {
		Expect(laminate("verify", "oci:none", "--key", "key.pub")).To(Equal(result{1, "", "laminate: --key key.pub: no such file; name a public key, such as cosign.pub\n"}))
		Expect(laminate("verify", "oci:none", "--key", "builder.toml")).To(Equal(result{1, "", "laminate: --key builder.toml: invalid public key: no PEM of type PUBLIC KEY, such as cosign.pub\n"}))
	})

	It("has no signatures elsewhere", func() {
		Expect(create("oci:out", "-q").code).To(BeZero())
		keyPair("key.pub")
		Expect(laminate("verify", "oci:out", "--key", "key.pub")).To(Equal(result{1, "", "laminate: oci:out is not in a registry, and has no signatures; leave out --key, or write docker://REF\n"}))
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
