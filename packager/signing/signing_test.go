package signing_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"laminate/packager/signing"
)

func TestSigning(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "packager/signing")
}

var (
	// These were made by cosign 2.6.5, the signature of what Payload returns by `cosign sign-blob`.
	// The password is "secret".
	//go:embed testdata/cosign.key
	cosignKey []byte
	//go:embed testdata/cosign.pub
	cosignPub []byte
	//go:embed testdata/payload.sig
	cosignSignature string

	digest = v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("a", 64)}
	other  = v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("b", 64)}
)

func pemOf(is string, der []byte, err error) []byte {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	return pem.EncodeToMemory(&pem.Block{Type: is, Bytes: der})
}

func ecKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	return key
}

func pkcs8(key any) []byte {
	GinkgoHelper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pemOf("PRIVATE KEY", der, err)
}

func sealed(is string, key any) []byte {
	GinkgoHelper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	Expect(err).NotTo(HaveOccurred())
	raw, err := encrypted.Encrypt(der, []byte("secret"))
	return pemOf(is, raw, err)
}

var _ = Describe("a key", func() {
	payload, err := signing.Payload("registry.example/acme/builder", digest)
	if err != nil {
		panic(err)
	}

	It("of cosign signs, and verifies what cosign has signed", func() {
		public, err := signing.ParsePublicKey(cosignPub)
		Expect(err).NotTo(HaveOccurred())
		Expect(public.Verify(signing.Signature{Payload: payload, Signature: cosignSignature}, digest)).To(Succeed())
		key, err := signing.ParseKey(cosignKey, []byte("secret"))
		Expect(err).NotTo(HaveOccurred())
		Expect(key.Public()).To(Equal(public))
		s, err := key.Sign(payload)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Payload).To(Equal(payload))
		Expect(public.Verify(s, digest)).To(Succeed())
	})

	DescribeTable("may be", func(file func() []byte) {
		key, err := signing.ParseKey(file(), []byte("secret"))
		Expect(err).NotTo(HaveOccurred())
		s, err := key.Sign(payload)
		Expect(err).NotTo(HaveOccurred())
		Expect(key.Public().Verify(s, digest)).To(Succeed())
	},
		Entry("not encrypted", func() []byte { return pkcs8(ecKey(elliptic.P256())) }),
		Entry("of openssl", func() []byte {
			der, err := x509.MarshalECPrivateKey(ecKey(elliptic.P256()))
			return pemOf("EC PRIVATE KEY", der, err)
		}),
		Entry("of an old cosign", func() []byte { return sealed("ENCRYPTED COSIGN PRIVATE KEY", ecKey(elliptic.P256())) }),
	)

	DescribeTable("is refused", func(file func() []byte, password, want string) {
		key, err := signing.ParseKey(file(), []byte(password))
		Expect(err).To(MatchError(ContainSubstring(want)))
		Expect(key).To(BeNil())
	},
		Entry("with another password", func() []byte { return cosignKey }, "Secret", "private key: wrong password"),
		Entry("without a password", func() []byte { return cosignKey }, "", "private key: wrong password"),
		Entry("that is no PEM", func() []byte { return []byte("x") }, "", "invalid private key: no PEM"),
		Entry("that is public", func() []byte { return cosignPub }, "", `unsupported private key: PEM of type "PUBLIC KEY"; generate one with`),
		Entry("on another curve", func() []byte { return pkcs8(ecKey(elliptic.P384())) }, "", "unsupported private key; it must be an ECDSA key on P-256"),
		Entry("on another curve, of openssl", func() []byte {
			der, err := x509.MarshalECPrivateKey(ecKey(elliptic.P384()))
			return pemOf("EC PRIVATE KEY", der, err)
		}, "", "unsupported private key; it must be an ECDSA key on P-256"),
		Entry("of another kind", func() []byte {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			Expect(err).NotTo(HaveOccurred())
			return pkcs8(key)
		}, "", "unsupported private key; it must be an ECDSA key on P-256"),
		Entry("that is damaged", func() []byte { return pemOf("PRIVATE KEY", []byte("x"), nil) }, "", "invalid private key: "),
		Entry("that is damaged, of openssl", func() []byte { return pemOf("EC PRIVATE KEY", []byte("x"), nil) }, "", "invalid private key: "),
	)

	DescribeTable("is refused, if it is public", func(file func() []byte, want string) {
		key, err := signing.ParsePublicKey(file())
		Expect(err).To(MatchError(ContainSubstring(want)))
		Expect(key).To(BeNil())
	},
		Entry("and no PEM", func() []byte { return []byte("x") }, "invalid public key: no PEM of type PUBLIC KEY, such as cosign.pub"),
		Entry("and private", func() []byte { return cosignKey }, "invalid public key: no PEM of type PUBLIC KEY, such as cosign.pub"),
		Entry("and damaged", func() []byte { return pemOf("PUBLIC KEY", []byte("x"), nil) }, "invalid public key: "),
		Entry("and on another curve", func() []byte {
			der, err := x509.MarshalPKIXPublicKey(&ecKey(elliptic.P384()).PublicKey)
			return pemOf("PUBLIC KEY", der, err)
		}, "unsupported public key; it must be an ECDSA key on P-256"),
	)

	DescribeTable("does not verify", func(change func(*signing.Signature), about v1.Hash, want string) {
		key, err := signing.ParseKey(cosignKey, []byte("secret"))
		Expect(err).NotTo(HaveOccurred())
		signed := payload
		s := signing.Signature{Payload: payload}
		if change != nil {
			change(&s)
			signed = s.Payload
		}
		again, err := key.Sign(signed)
		Expect(err).NotTo(HaveOccurred())
		if s.Signature == "" {
			s.Signature = again.Signature
		}
		Expect(key.Public().Verify(s, about)).To(MatchError(want))
	},
		Entry("a signature of another digest", nil, other, `it is about "`+digest.String()+`"`),
		Entry("a signature that is damaged", func(s *signing.Signature) { s.Signature = "MEUCIQ" + cosignSignature[6:20] + "AAAA" }, digest, "it is not signed by this key"),
		Entry("a signature that is no base64", func(s *signing.Signature) { s.Signature = "!" }, digest, "invalid signature: illegal base64 data at input byte 0"),
		Entry("a payload of another type", func(s *signing.Signature) {
			s.Payload = []byte(strings.Replace(string(payload), "cosign container", "atomic container", 1))
		}, digest, `invalid payload: its type is "atomic container image signature"`),
		Entry("a payload that is no JSON", func(s *signing.Signature) { s.Payload = []byte("x") }, digest, "invalid payload: invalid character 'x' looking for beginning of value"),
	)

	It("does not verify what another key signed, or another payload", func() {
		key, err := signing.ParseKey(pkcs8(ecKey(elliptic.P256())), nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(key.Public().Verify(signing.Signature{Payload: payload, Signature: cosignSignature}, digest)).To(MatchError("it is not signed by this key"))
		public, err := signing.ParsePublicKey(cosignPub)
		Expect(err).NotTo(HaveOccurred())
		more := append([]byte(" "), payload...)
		Expect(public.Verify(signing.Signature{Payload: more, Signature: cosignSignature}, digest)).To(MatchError("it is not signed by this key"))
	})

	It("signs what cosign signs", func() {
		Expect(string(payload)).To(Equal(`{"critical":{"identity":{"docker-reference":"registry.example/acme/builder"},"image":{"docker-manifest-digest":"` + digest.String() + `"},"type":"cosign container image signature"},"optional":null}`))
	})
})

var _ = Describe("a command", func() {
	DescribeTable("is expanded", func(command signing.Command, want ...string) {
		Expect(command.Check()).To(Succeed())
		before := append(signing.Command{}, command...)
		Expect(command.For("r.example:5000/acme/b", digest)).To(Equal(want))
		Expect(command).To(Equal(before))
	},
		Entry("of cosign", signing.Command{"cosign", "sign", "--yes", "{ref}"}, "cosign", "sign", "--yes", "r.example:5000/acme/b@"+digest.String()),
		Entry("of both parts", signing.Command{"x", "{repository}@{digest}", "a {digest}"}, "x", "r.example:5000/acme/b@"+digest.String(), "a "+digest.String()),
		Entry("with other braces", signing.Command{"x", "{digest}", `{"a":1}`, "{}", "{1}", "$HOME `x` *"}, "x", digest.String(), `{"a":1}`, "{}", "{1}", "$HOME `x` *"),
	)

	DescribeTable("is refused", func(command signing.Command, want string) {
		Expect(command.Check()).To(MatchError(ContainSubstring(want)))
	},
		Entry("without a program", signing.Command{}, "no command; write a list"),
		Entry("with an empty one", signing.Command{"", "{ref}"}, "no command; write a list"),
		Entry("with a placeholder as program", signing.Command{"{ref}", "{ref}"}, `invalid program "{ref}": {ref} is for arguments`),
		Entry("with another placeholder", signing.Command{"x", "{ref}", "a={tag}"}, "unknown placeholder {tag}; use {ref}, {repository} or {digest}"),
		Entry("with one in capitals", signing.Command{"x", "{ref}", "{REF}"}, "unknown placeholder {REF}"),
		Entry("without a placeholder", signing.Command{"x", "y"}, "no argument has {ref} or {digest}"),
		Entry("with the repository only", signing.Command{"x", "{repository}"}, "no argument has {ref} or {digest}"),
		Entry("with a zero byte", signing.Command{"x", "{ref}\x00"}, `invalid argument "{ref}\x00"`),
	)

	It("does not expand what a value has", func() {
		Expect(signing.Command{"x", "{ref}"}.For("{digest}", digest)).To(Equal([]string{"x", "{digest}@" + digest.String()}))
	})
})
