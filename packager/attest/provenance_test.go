package attest_test

import (
	"encoding/base64"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/attest"
)

func hash(c string) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: strings.Repeat(c, 64)} }

func input() attest.ProvenanceInput {
	return attest.ProvenanceInput{
		Subjects: []attest.ResourceDescriptor{attest.Resource("acme/builder", hash("a")), attest.Resource("acme/builder linux/amd64", hash("b"))},
		Parameters: attest.Parameters{
			Config: attest.Resource("builder.toml", hash("c")), Version: "1.2.3", Variant: "buildpackless",
			Flatten: map[string]any{"mode": "auto", "max-layers": 100}, Targets: []string{"linux/amd64"},
		},
		Dependencies: []attest.ResourceDescriptor{attest.Resource("docker://acme/a:1", hash("d")), attest.ContentResource("./b", hash("e"))},
		BuilderID:    "https://ci.example/workflow", Version: "9.9",
	}
}

var _ = Describe("provenance", func() {
	It("is an in-toto statement of SLSA", func() {
		raw, err := attest.NewProvenance(input())
		Expect(err).NotTo(HaveOccurred())
		Expect(raw).To(MatchJSON(fmt.Sprintf(`{
			"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
			"subject": [{"name": "acme/builder", "digest": {"sha256": %q}}, {"name": "acme/builder linux/amd64", "digest": {"sha256": %q}}],
			"predicate": {
				"buildDefinition": {
					"buildType": "urn:laminate:build:v1",
					"externalParameters": {"config": {"name": "builder.toml", "digest": {"sha256": %q}}, "version": "1.2.3", "variant": "buildpackless",
						"flatten": {"mode": "auto", "max-layers": 100}, "targets": ["linux/amd64"]},
					"resolvedDependencies": [{"name": "docker://acme/a:1", "digest": {"sha256": %q}}, {"name": "./b", "digest": {"sha256": %q}, "annotations": {"laminate:digestOf": "content"}}]
				},
				"runDetails": {"builder": {"id": "https://ci.example/workflow", "version": {"laminate": "9.9"}}}
			}}`, hash("a").Hex, hash("b").Hex, hash("c").Hex, hash("d").Hex, hash("e").Hex)))
		Expect(attest.Subjects(attest.InToto, raw)).To(Equal([]v1.Hash{hash("a"), hash("b")}))
		for range 20 {
			Expect(attest.NewProvenance(input())).To(Equal(raw))
		}
	})

	DescribeTable("is refused", func(change func(*attest.ProvenanceInput), want string) {
		in := input()
		change(&in)
		_, err := attest.NewProvenance(in)
		Expect(err).To(MatchError("provenance: " + want))
	},
		Entry("without a subject", func(in *attest.ProvenanceInput) { in.Subjects = nil }, "no subject"),
		Entry("without a digest", func(in *attest.ProvenanceInput) { in.Subjects[1].Digest = nil }, "subject acme/builder linux/amd64 has no digest"),
		Entry("without a builder", func(in *attest.ProvenanceInput) { in.BuilderID = "" }, `invalid builder id ""; it must be a URI, such as that of the workflow`),
		Entry("with a builder that is no URI", func(in *attest.ProvenanceInput) { in.BuilderID = "me" }, `invalid builder id "me"; it must be a URI, such as that of the workflow`),
	)
})

var _ = Describe("what a document is about", func() {
	statement := `{"_type":"https://in-toto.io/Statement/v0.1","subject":[{"name":"x","digest":{"sha512":"00","sha256":"` + hash("a").Hex + `"}},{"digest":{"sha1":"00"}}]}`
	sbom := func(component string) string {
		return `{"bomFormat":"CycloneDX","components":[{"hashes":[{"alg":"SHA-256","content":"` + hash("f").Hex + `"}]}],"metadata":{"component":` + component + `}}`
	}
	DescribeTable("is read from", func(mediaType, document string, want ...v1.Hash) {
		Expect(attest.Known(mediaType)).To(BeTrue())
		Expect(attest.Subjects(mediaType, []byte(document))).To(Equal(want))
	},
		Entry("a statement of another tool", attest.InToto, statement, hash("a")),
		Entry("an envelope", attest.Envelope, `{"payloadType":"application/vnd.in-toto+json","payload":"`+base64.StdEncoding.EncodeToString([]byte(statement))+`","signatures":[]}`, hash("a")),
		Entry("hashes in an SBOM", attest.CycloneDX, sbom(`{"version":"1","hashes":[{"alg":"SHA3-256","content":"`+hash("b").Hex+`"},{"alg":"SHA-256","content":"`+strings.ToUpper(hash("a").Hex)+`"}]}`), hash("a")),
		Entry("the version in one of syft", attest.CycloneDX, sbom(`{"version":"sha256:`+hash("b").Hex+`"}`), hash("b")),
		Entry("the package URL in one of trivy", attest.CycloneDX, sbom(`{"purl":"pkg:oci/alpine@sha256%3A`+hash("c").Hex+`?arch=amd64&repository_url=x"}`), hash("c")),
		Entry("all of these", attest.CycloneDX, sbom(`{"hashes":[{"alg":"SHA-256","content":"`+hash("a").Hex+`"}],"version":"sha256:`+hash("b").Hex+`","purl":"pkg:oci/a@sha256:`+hash("c").Hex+`"}`), hash("a"), hash("b"), hash("c")),
	)

	DescribeTable("is an error", func(mediaType, document, want string) {
		_, err := attest.Subjects(mediaType, []byte(document))
		Expect(err).To(MatchError(ContainSubstring(want)))
	},
		Entry("in a statement of nothing", attest.InToto, `{"_type":"https://in-toto.io/Statement/v1","subject":[]}`, "it does not say which image it is about"),
		Entry("in a statement of another digest", attest.InToto, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha1":"00","sha256":"00"}}]}`, "it does not say which image it is about"),
		Entry("in an SBOM of something else", attest.CycloneDX, sbom(`{"version":"1","purl":"pkg:npm/a@sha256:`+hash("c").Hex+`"}`), "it does not say which image it is about"),
		Entry("in an SBOM of nothing", attest.CycloneDX, `{"bomFormat":"CycloneDX"}`, "it does not say which image it is about"),
		Entry("in no JSON", attest.InToto, `x`, "invalid in-toto statement: invalid character 'x'"),
		Entry("in no JSON", attest.CycloneDX, `x`, "invalid CycloneDX document: invalid character 'x'"),
		Entry("in no JSON", attest.Envelope, `x`, "invalid DSSE envelope: invalid character 'x'"),
		Entry("in another statement", attest.InToto, `{"_type":"y"}`, `invalid in-toto statement: its type is "y"`),
		Entry("in another document", attest.CycloneDX, `{"bomFormat":"y"}`, `invalid CycloneDX document: its format is "y"`),
		Entry("in another envelope", attest.Envelope, `{"payloadType":"y"}`, `invalid DSSE envelope: its payload is of type "y", expected "application/vnd.in-toto+json"`),
		Entry("in an invalid subject", attest.InToto, `{"_type":"https://in-toto.io/Statement/v1","subject":7}`, "invalid in-toto statement: subject: "),
		Entry("in invalid metadata", attest.CycloneDX, `{"bomFormat":"CycloneDX","metadata":7}`, "invalid CycloneDX document: metadata: "),
		Entry("with too many subjects", attest.InToto, `{"_type":"https://in-toto.io/Statement/v1","subject":[{}`+strings.Repeat(",{}", 100_000)+`]}`, "too many JSON entries"),
		Entry("with too many hashes", attest.CycloneDX, sbom(`{"hashes":[{}`+strings.Repeat(",{}", 100_000)+`]}`), "too many JSON entries"),
		Entry("of an unknown type", "a/b", `{}`, `unknown type "a/b"`),
	)

	It("is read of a large SBOM too", func() {
		large := `{"bomFormat":"CycloneDX","components":[{}` + strings.Repeat(",{}", 200_000) + `],"metadata":{"component":{"version":"sha256:` + hash("a").Hex + `"}}}`
		Expect(attest.Subjects(attest.CycloneDX, []byte(large))).To(Equal([]v1.Hash{hash("a")}))
	})
})
