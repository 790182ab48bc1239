package location_test

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/location"
)

var digestOfZeros = "sha256:" + strings.Repeat("0", 64)

var _ = DescribeTable("Redact hides", func(s, want string) {
	Expect(location.Redact(s)).To(Equal(want))
	Expect(location.Redact(want)).To(Equal(want), "once is enough")
},
	Entry("user and password of a URL", "https://ann:secret@example.com/x.tgz", "https://example.com/x.tgz"),
	Entry("user and password behind one slash only", "https:/ann:secret@example.com/x.tgz", "https:/example.com/x.tgz"),
	Entry("a slash in a password, by digest", "docker://ann:sec/ret@example.com/x@"+digestOfZeros, "docker://…example.com/x@"+digestOfZeros),
	Entry("a slash in a password of a plain reference, by digest", "ann:sec/ret@example.com/x@"+digestOfZeros, "…example.com/x@"+digestOfZeros),
	Entry("not a digest that is cut short", "docker://ubuntu@sha256:0123", "docker://ubuntu@sha256:0123"),
	Entry("not a digest that is cut short, after a tag", "ubuntu:22.04@sha256:0123", "ubuntu:22.04@sha256:0123"),
	Entry("not a scope in the path of a URL", "https://example.com:8443/@acme/x.tgz", "https://example.com:8443/@acme/x.tgz"),
	Entry("not a port", "localhost:5000/x", "localhost:5000/x"),
	Entry("not an address of IPv6 without a scheme", "[::1]:5000/x", "[::1]:5000/x"),
	Entry("user and password before an address of IPv6", "docker://ann:secret@[::1]:5000/x", "docker://[::1]:5000/x"),
	Entry("a token in the place of a user", "https://secret@example.com/x.tgz", "https://example.com/x.tgz"),
	Entry("a query", "https://example.com/x.tgz?token=secret", "https://example.com/x.tgz?…"),
	Entry("a fragment", "https://example.com/x.tgz#secret", "https://example.com/x.tgz#…"),
	Entry("a query and a fragment", "https://example.com?a=secret#secret", "https://example.com?…"),
	Entry("an @ in a password", "https://ann:sec@ret@example.com/x", "https://example.com/x"),
	Entry("a slash in a password", "https://ann:sec/ret@example.com/x", "https://…example.com/x"),
	Entry("a question mark in a password", "https://ann:sec?ret@example.com/x", "https://…example.com/x"),
	Entry("in other schemes", "s3://ann:secret@bucket/x?secret", "s3://bucket/x?…"),
	Entry("in docker://", "docker://ann:secret@example.com/x:1", "docker://example.com/x:1"),
	Entry("in docker://, by digest", "docker://ann:secret@example.com/x@"+digestOfZeros, "docker://example.com/x@"+digestOfZeros),
	Entry("in docker://, with a port", "docker://ann:secret@localhost:5000/x", "docker://localhost:5000/x"),
	Entry("in docker://, a query", "docker://example.com/x?token=secret", "docker://example.com/x?…"),
	Entry("in docker:/", "docker:/ann:secret@example.com/x", "docker:/example.com/x"),
	Entry("in docker:///", "docker:///ann:secret@example.com/x", "docker:///example.com/x"),
	Entry("in docker-daemon:", "docker-daemon:ann:secret@example.com/x", "docker-daemon:example.com/x"),
	Entry("in docker-archive:", "docker-archive:x.tar:ann:secret@example.com/x", "docker-archive:x.tar:example.com/x"),
	Entry("in a plain reference", "ann:secret@example.com/x:1", "example.com/x:1"),
	Entry("in a plain reference, a token", "secret@example.com/x:1", "example.com/x:1"),
	Entry("not a digest", "example.com/x@"+digestOfZeros, "example.com/x@"+digestOfZeros),
	Entry("not the digest of a short name", "x@"+digestOfZeros, "x@"+digestOfZeros),
	Entry("not the digest of a name with a tag", "x:1@"+digestOfZeros, "x:1@"+digestOfZeros),
	Entry("not the digest of a host with a port", "docker://localhost:5000/x:1@"+digestOfZeros, "docker://localhost:5000/x:1@"+digestOfZeros),
	Entry("not a version", "acme/x@1.0.0", "acme/x@1.0.0"),
	Entry("not a version in the Buildpack Registry", "urn:cnb:registry:acme/x@1.0.0", "urn:cnb:registry:acme/x@1.0.0"),
	Entry("not a version in a builder", "urn:cnb:builder:acme/x@1.0.0", "urn:cnb:builder:acme/x@1.0.0"),
	Entry("not a version in a builder, as it was written", "from=builder:acme/x@1.0.0", "from=builder:acme/x@1.0.0"),
	Entry("not a version with a path", "java@1.2/buildpack", "java@1.2/buildpack"),
	Entry("not a version of three parts with a path", "acme-java@1.2.3/buildpack", "acme-java@1.2.3/buildpack"),
	Entry("not a version with letters and a path", "java@v1.2.x/buildpack", "java@v1.2.x/buildpack"),
	Entry("not a version of one part with a path", "java@17/buildpack", "java@17/buildpack"),
	Entry("not a scope", "@scope/x", "@scope/x"),
	Entry("not a scope with a dot", "@scope.io/x", "@scope.io/x"),
	Entry("not a name with a path", "java@latest/buildpack", "java@latest/buildpack"),
	Entry("in a plain reference, a token before an address", "secret@10.0.0.1/x", "10.0.0.1/x"),
	Entry("in a plain reference, a token before a port", "secret@registry:5000/x", "registry:5000/x"),
	Entry("in a plain reference, a token before localhost", "secret@localhost/x", "localhost/x"),
	Entry("in a plain reference, a password before a version", "ann:secret@1.2/x", "1.2/x"),
	Entry("in the tag of a layout", "oci:dir:ann:secret@host/x", "oci:dir:host/x"),
	Entry("in the tag of an archive", "oci-archive:x.tar:ann:secret@example.com/x:1", "oci-archive:x.tar:example.com/x:1"),
	Entry("in the tag of a layout, a token", "oci:dir:secret@example.com/x", "oci:dir:example.com/x"),
	Entry("not a version in the tag of a layout", "oci:dir:java@1.2", "oci:dir:java@1.2"),
	Entry("not a path", "./a@b/c?d", "./a@b/c?d"),
	Entry("not an absolute path", "/a:b@c/d", "/a:b@c/d"),
	Entry("not a path of file:", "file:///a:b@c/d?e", "file:///a:b@c/d?e"),
	Entry("not a layout", "oci:a@b/c", "oci:a@b/c"),
	Entry("not an address of IPv6", "docker://[::1]:5000/x", "docker://[::1]:5000/x"),
	Entry("nothing in nothing", "", ""),
)

var _ = Describe("locations that hold a secret", func() {
	DescribeTable("are refused, and never repeated", func(s string) {
		for _, err := range []error{
			func() error { _, err := location.ParseSource(s, GinkgoT().TempDir()); return err }(),
			func() error { _, err := location.ParseDest(s, location.DestOptions{}); return err }(),
			func() error { _, err := location.ParseDest(s, location.DestOptions{Publish: true}); return err }(),
		} {
			Expect(err).To(MatchError(And(ContainSubstring("docker login"), Not(ContainSubstring("secret")))))
		}
	},
		Entry(nil, "docker://ann:secret@example.com/x"),
		Entry(nil, "docker://secret@example.com/x"),
		Entry(nil, "docker:/ann:secret@example.com/x"),
		Entry(nil, "docker://ann:sec/secret@example.com/x"),
		Entry(nil, "docker-daemon:ann:secret@example.com/x"),
		Entry(nil, "docker-archive:x.tar:ann:secret@example.com/x"),
		Entry(nil, "oci:dir:ann:secret@host/x"),
		Entry(nil, "oci:dir:secret@example.com/x"),
		Entry(nil, "oci:dir:ann:!secret@example.com/x"),
		Entry(nil, "oci-archive:x.tar:ann:secret@host/x:1"),
		Entry(nil, "ann:secret@example.com/x:1"),
		Entry(nil, "ann:secret@localhost:5000/x"),
		Entry(nil, "docker://example.com/x?token=secret"),
	)

	It("are hidden in sentences, too", func() {
		Expect(location.RedactText(`Get "https://ann:secret@s3.example.com/x?X-Amz-Signature=secret": no route; see docker://example.com/x, or https://example.com/a`)).
			To(Equal(`Get "https://s3.example.com/x?…": no route; see docker://example.com/x, or https://example.com/a`))
	})
})

// Whatever is put before a host or behind a question mark is gone.
func FuzzRedact(f *testing.F) {
	for _, s := range []string{"secret", "ann:secret", "a/b:c", "a?b", "a#b", "a@b", "1", ":", "sha256:0", "é "} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, user, query string) {
		mark := "Zq9Zq9"
		for _, scheme := range []string{"https://", "http://", "ftp://", "docker://", "docker:///", "docker-daemon:", ""} {
			s := fmt.Sprintf("%s%s:%s%s@host.example/x", scheme, mark, user, mark)
			if scheme == "" && (strings.ContainsAny(user, "/?#") || strings.Contains(user, "sha256:")) {
				continue // may be a path
			}
			if got := location.Redact(s); strings.Contains(got, mark) && !strings.ContainsAny(user, "/?#") {
				t.Errorf("%q: %q", s, got)
			}
			if scheme == "" {
				continue
			}
			s = scheme + "host.example/x?" + query + mark
			if got := location.Redact(s); strings.Contains(got, mark) {
				t.Errorf("%q: %q", s, got)
			}
		}
		if got := location.Redact(location.Redact(user)); got != location.Redact(user) {
			t.Errorf("%q: %q, then %q", user, location.Redact(user), got)
		}
	})
}
