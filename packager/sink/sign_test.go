package sink_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/signing"
	"laminate/packager/sink"
	"laminate/packager/source"
)

func newKey() *signing.Key {
	GinkgoHelper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	der, err := x509.MarshalECPrivateKey(ec)
	Expect(err).NotTo(HaveOccurred())
	key, err := signing.ParseKey(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil)
	Expect(err).NotTo(HaveOccurred())
	return key
}

func signWith(ctx context.Context, image string, key *signing.Key) (bool, error) {
	return sink.Sign(ctx, image, key, sink.Options{Stall: 10 * time.Second, Pause: time.Millisecond})
}

// signaturesOf reads the signatures of an image.
func signaturesOf(ctx context.Context, image string, digest v1.Hash) []signing.Signature {
	GinkgoHelper()
	repository, err := (&source.Opener{Pause: time.Millisecond}).Repository(ctx, strings.Split(image, "@")[0])
	Expect(err).NotTo(HaveOccurred())
	all, err := repository.Signatures(ctx, digest)
	Expect(err).NotTo(HaveOccurred())
	return all
}

var _ = Describe("signatures", func() {
	It("are one for each key, however often an image is signed", func(ctx SpecContext) {
		reg := newRegistry()
		image, digest := pushed(ctx, reg.host+"/a")
		Expect(signaturesOf(ctx, image, digest)).To(BeEmpty())
		keys := []*signing.Key{newKey(), newKey(), newKey()}
		for i, key := range keys {
			Expect(signWith(ctx, image, key)).To(BeFalse())
			before := get(reg.host + "/a:sha256-" + digest.Hex + ".sig").Digest
			reg.changes = nil
			Expect(signWith(ctx, image, key)).To(BeTrue())
			Expect(signWith(ctx, image, keys[0])).To(BeTrue())
			Expect(reg.changes).To(BeEmpty())
			Expect(get(reg.host + "/a:sha256-" + digest.Hex + ".sig").Digest).To(Equal(before))
			all := signaturesOf(ctx, image, digest)
			Expect(all).To(HaveLen(i + 1))
			for n, s := range all {
				Expect(keys[n].Public().Verify(s, digest)).To(Succeed())
			}
		}

		By("in an image that any tool can copy")
		d := get(reg.host + "/a:sha256-" + digest.Hex + ".sig")
		Expect(d.MediaType).To(Equal(types.OCIManifestSchema1))
		img, err := d.Image()
		Expect(err).NotTo(HaveOccurred())
		Expect(validate.Image(img, validate.Fast)).To(Succeed())
		config, err := img.ConfigFile()
		Expect(err).NotTo(HaveOccurred())
		Expect(config.RootFS.DiffIDs).To(HaveLen(3))
	})

	It("name the repository, and another digest has others", func(ctx SpecContext) {
		reg := newRegistry()
		image, digest := pushed(ctx, reg.host+"/a/b")
		key := newKey()
		Expect(signWith(ctx, image, key)).To(BeFalse())
		all := signaturesOf(ctx, image, digest)
		Expect(string(all[0].Payload)).To(ContainSubstring(fmt.Sprintf(`"docker-reference":"%s/a/b"`, reg.host)))
		Expect(signaturesOf(ctx, image, v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)})).To(BeEmpty())
	})

	It("are made where the one that is there is invalid, or of something else", func(ctx SpecContext) {
		reg := newRegistry()
		image, digest := pushed(ctx, reg.host+"/a")
		key := newKey()
		Expect(signWith(ctx, image, newKey())).To(BeFalse())
		tag := reg.host + "/a:sha256-" + digest.Hex + ".sig"
		// another client damages the signature, and adds what is not one
		d := get(tag)
		manifest := strings.Replace(string(d.Manifest), `"dev.cosignproject.cosign/signature":"`, `"other":{}},"annotations":{"dev.cosignproject.cosign/signature":"AAAA`, 1)
		manifest = strings.Replace(manifest, `"other":{}},"annotations":{`, `"other":"x",`, 1)
		manifest = strings.Replace(manifest, `"schemaVersion"`, `"annotations":{"kept":"yes"},"schemaVersion"`, 1)
		repository := strings.Split(image, "@")[0]
		putManifest(repository, "sha256-"+digest.Hex+".sig", manifest)
		Expect(signWith(ctx, image, key)).To(BeFalse())
		all := signaturesOf(ctx, image, digest)
		Expect(all).To(HaveLen(2))
		Expect(key.Public().Verify(all[0], digest)).NotTo(Succeed())
		Expect(key.Public().Verify(all[1], digest)).To(Succeed())
		Expect(string(get(tag).Manifest)).To(And(ContainSubstring(`"annotations":{"kept":"yes"}`), ContainSubstring(`"other":"x"`)))
	})

	It("are made where the one that is there has another payload", func(ctx SpecContext) {
		reg := newRegistry()
		image, digest := pushed(ctx, reg.host+"/a")
		key := newKey()
		Expect(signWith(ctx, image, key)).To(BeFalse())
		tag := "sha256-" + digest.Hex + ".sig"
		m, err := v1.ParseManifest(bytes.NewReader(get(reg.host + "/a:" + tag).Manifest))
		Expect(err).NotTo(HaveOccurred())
		m.Layers[0].Digest = m.Config.Digest
		raw, err := json.Marshal(m)
		Expect(err).NotTo(HaveOccurred())
		putManifest(reg.host+"/a", tag, string(raw))
		Expect(signWith(ctx, image, key)).To(BeFalse())
		Expect(signWith(ctx, image, key)).To(BeTrue())
	})

	It("are added again when another client overwrites them, whose signature stays too", func(ctx SpecContext) {
		reg := newRegistry()
		image, digest := pushed(ctx, reg.host+"/a")
		first, second, key := newKey(), newKey(), newKey()
		Expect(signWith(ctx, image, first)).To(BeFalse())
		tag := "sha256-" + digest.Hex + ".sig"
		one := get(reg.host + "/a:" + tag)
		Expect(signWith(ctx, image, second)).To(BeFalse())
		two := get(reg.host + "/a:" + tag)
		putManifest(reg.host+"/a", tag, string(one.Manifest))
		done, other := false, false
		reg.breaks(func(_ http.ResponseWriter, r *http.Request) bool {
			if !done && !other && r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, tag) {
				other = true // the next reading finds what another client has written after us
			} else if other && !done && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, tag) {
				done = true
				putManifest(reg.host+"/a", tag, string(two.Manifest))
			}
			return false
		})
		Expect(signWith(ctx, image, key)).To(BeFalse())
		Expect(done).To(BeTrue())
		all := signaturesOf(ctx, image, digest)
		Expect(all).To(HaveLen(3))
		for i, k := range []*signing.Key{first, second, key} {
			Expect(k.Public().Verify(all[i], digest)).To(Succeed())
		}
	})

	It("leave a tag that holds something else", func(ctx SpecContext) {
		reg := newRegistry()
		image, digest := pushed(ctx, reg.host+"/a")
		putIndex(image, "sha256-"+digest.Hex+".sig", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
		reg.changes = nil
		_, err := signWith(ctx, image, newKey())
		Expect(err).To(MatchError(image + ": tag sha256-" + digest.Hex + `.sig is not an image of signatures: its media type is "application/vnd.oci.image.index.v1+json"`))
		Expect(reg.changes).To(BeEmpty())
	})

	It("are refused for what is not there", func(ctx SpecContext) {
		reg := newRegistry()
		image, _ := pushed(ctx, reg.host+"/a")
		reg.changes = nil
		_, err := signWith(ctx, image[:len(image)-4]+"0000", newKey())
		Expect(err).To(MatchError(ContainSubstring("404 Not Found")))
		Expect(reg.changes).To(BeEmpty())
	})

	It("are finished by the next run, wherever one ends", func(ctx SpecContext) {
		key := newKey()
		for n := 0; ; n++ {
			reg := newRegistry()
			image, digest := pushed(ctx, reg.host+"/a")
			requests, ended := 0, false
			reg.breaks(func(w http.ResponseWriter, _ *http.Request) bool {
				requests++
				if ended = requests > n; ended {
					w.WriteHeader(http.StatusForbidden)
				}
				return ended
			})
			_, err := signWith(ctx, image, key)
			reg.breaks(nil)
			if !ended {
				Expect(err).NotTo(HaveOccurred())
				Expect(n).To(BeNumerically(">", 8))
				break
			}
			_, err = signWith(ctx, image, key)
			Expect(err).NotTo(HaveOccurred())
			Expect(signaturesOf(ctx, image, digest)).To(HaveLen(1), "after %d requests", n)
		}
	})
})

type rawImage string

func (r rawImage) RawManifest() ([]byte, error)        { return []byte(r), nil }
func (r rawImage) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// putManifest puts the manifest of an image under a tag.
func putManifest(repository, tag, manifest string) {
	GinkgoHelper()
	Expect(remote.Put(tagIn(repository, tag), rawImage(manifest))).To(Succeed())
}
