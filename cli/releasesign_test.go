package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
)

var _ = Describe("release, with [sign]", func() {
	var l *releaseLab
	var program, calls string
	BeforeEach(func() {
		l = newReleaseLab()
		program, calls = l.At("sign"), l.At("calls")
		l.Write("sign", "#!/bin/sh\necho \"$@\" >>'"+calls+"'\n")
		Expect(os.Chmod(program, 0o755)).To(Succeed())
	})
	// toml writes a release.toml with two repositories and [sign].
	toml := func(sign string) {
		GinkgoHelper()
		l.Write("release.toml", "[[builders]]\nname = 'full'\nconfig = 'builder.toml'\nrepositories = ['"+l.Host+"/builder', '"+l.Host+"/mirror']\n[sign]\n"+sign+"\n")
	}
	called := func() []string {
		data, _ := os.ReadFile(calls)
		return strings.Fields(hexDigest.ReplaceAllString(strings.ReplaceAll(string(data), l.Host, "HOST"), "D"))
	}
	// versions are the tags that were written, without those of attachments and signatures.
	versions := func() (tags []string) {
		for _, r := range l.Requests(func(r fixtures.Request) bool {
			return r.Kind == fixtures.Manifest && r.Method == http.MethodPut && !strings.HasPrefix(r.Digest, "sha256")
		}) {
			tags = append(tags, r.Digest)
		}
		return tags
	}

	It("runs a program for each digest in each repository, and only for a release", func() {
		toml("command = ['" + program + "', '{ref}']")
		Expect(l.run("--release-version", "1.0.0", "--dry-run").code).To(BeZero())
		Expect(called()).To(BeEmpty())
		r := l.run("--release-version", "1.0.0")
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(called()).To(Equal([]string{"HOST/builder@D", "HOST/mirror@D"}))
		Expect(l.run("--release-version", "1.0.1").code).To(BeZero())
		Expect(called()).To(HaveLen(2), "nothing is released")
	})

	It("tags nothing if that fails, and shows what the program printed", func() {
		l.Write("sign", "#!/bin/sh\necho 'no such key'\nexit 3\n")
		toml("command = ['" + program + "', '{repository}', '{digest}']")
		r := l.run("--release-version", "1.0.0")
		Expect(r.code).To(Equal(1))
		Expect(hexDigest.ReplaceAllString(r.stderr, "D")).To(Equal("laminate: full: signing HOST/builder@D: sign: exit status 3: no such key; no tag was written\n"))
		Expect(versions()).To(BeEmpty())
	})

	It("says no more than the status of a program that prints nothing", func() {
		l.Write("sign", "#!/bin/sh\nexit 3\n")
		toml("command = ['" + program + "', '{ref}']")
		Expect(l.run("--release-version", "1.0.0").stderr).To(HaveSuffix(": sign: exit status 3; no tag was written\n"))
	})

	It("does not wait for what the program leaves running", func() {
		l.Write("sign", "#!/bin/sh\nsleep 100 &\n")
		toml("command = ['" + program + "', '{ref}']")
		begun := time.Now()
		r := l.run("--release-version", "1.0.0")
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(time.Since(begun)).To(BeNumerically("<", 90*time.Second))
		Expect(versions()).To(ContainElement("1.0.0-full"))
	})

	It("signs with a key, once for each repository", func() {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		der, err := x509.MarshalPKCS8PrivateKey(key)
		Expect(err).NotTo(HaveOccurred())
		l.Write("cosign.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
		toml("key = 'cosign.key'")
		signed := func() []fixtures.Request {
			return l.Requests(func(r fixtures.Request) bool {
				return r.Method == http.MethodPut && r.Kind == fixtures.Manifest && strings.HasSuffix(r.Digest, ".sig")
			})
		}
		r := l.run("--release-version", "1.0.0")
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(signed()).To(HaveLen(2))
		r = l.run("--release-version", "1.0.1", "--force")
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(signed()).To(HaveLen(2), "the same digests are signed")
		Expect(versions()).To(Equal(slices.Concat([]string{"1.0.0-full", "1.0.0-full", "full", "full"}, []string{"1.0.1-full", "1.0.1-full"})))
	})

	It("tells a password that is missing from one that is wrong", func() {
		l.Write("cosign.key", string(must(os.ReadFile(filepath.Join(fixtures.Root(), "..", "packager", "signing", "testdata", "cosign.key")))))
		toml("key = 'cosign.key'")
		for password, want := range map[string]string{"": "missing password; set COSIGN_PASSWORD", "Secret": "wrong password in COSIGN_PASSWORD"} {
			r := l.runWith(map[string]string{"COSIGN_PASSWORD": password}, "--release-version", "1.0.0")
			Expect(r.code).To(Equal(1))
			Expect(r.stderr).To(Equal("laminate: release.toml:6: sign.key cosign.key: " + want + "\n"))
		}
		Expect(l.Requests(nil)).To(BeEmpty())
	})

	DescribeTable("refuses before any work", func(sign, want string) {
		l.Write("cosign.key", "no key")
		toml(sign)
		r := l.run("--release-version", "1.0.0")
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(MatchRegexp("^laminate: (release.toml:[0-9]+: )?" + regexp.QuoteMeta(want)))
		Expect(l.Requests(nil)).To(BeEmpty())
	},
		Entry("a program that is missing", "command = ['no-such-program', '{ref}']", "sign.command: exec: \"no-such-program\": executable file not found in $PATH\n"),
		Entry("a placeholder that is unknown", "command = ['cosign', '{ref}', '{tag}']", "sign.command: unknown placeholder {tag}; use {ref}, {repository} or {digest}\n"),
		Entry("a key that is missing", "key = 'other.key'", "sign.key: no such file other.key\n"),
		Entry("a key that is none", "key = 'cosign.key'", "sign.key cosign.key: invalid private key: no PEM\n"),
	)
})
