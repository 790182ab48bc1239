package verify_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/attest"
	"laminate/packager/signing"
	"laminate/packager/sink"
	"laminate/packager/source"
	"laminate/packager/verify"
)

// A store is a repository in a registry of its own, with two images.
type store struct {
	name         string
	image, other v1.Hash
	fault        atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
}

func newStore(options ...registry.Option) *store {
	GinkgoHelper()
	s := &store{}
	inner := registry.New(append(options, registry.Logger(log.New(io.Discard, "", 0)))...)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := s.fault.Load(); fault == nil || !(*fault)(w, r) {
			inner.ServeHTTP(w, r)
		}
	}))
	DeferCleanup(server.Close)
	s.name = strings.TrimPrefix(server.URL, "http://") + "/acme/it"
	for i, digest := range []*v1.Hash{&s.image, &s.other} {
		img, err := mutate.CreatedAt(empty.Image, v1.Time{Time: time.Unix(int64(i), 0)})
		Expect(err).NotTo(HaveOccurred())
		tag, err := name.NewTag(s.name)
		Expect(err).NotTo(HaveOccurred())
		Expect(remote.Write(tag, img)).To(Succeed())
		*digest, err = img.Digest()
		Expect(err).NotTo(HaveOccurred())
	}
	return s
}

func (s *store) breaks(fault func(http.ResponseWriter, *http.Request) bool) { s.fault.Store(&fault) }

// at returns the name of a digest.
func (s *store) at(digest v1.Hash) string { return s.name + "@" + digest.String() }

// attach attaches documents of a media type to the image.
func (s *store) attach(ctx context.Context, mediaType string, documents ...string) (digests []v1.Hash) {
	GinkgoHelper()
	var all []sink.Artifact
	for _, d := range documents {
		all = append(all, sink.Artifact{Type: mediaType, MediaType: mediaType, Content: []byte(d)})
	}
	attached, err := sink.Attach(ctx, s.at(s.image), all, sink.Options{})
	Expect(err).NotTo(HaveOccurred())
	for _, a := range attached {
		digests = append(digests, a.Digest)
	}
	return digests
}

func (s *store) check(ctx context.Context, key *signing.PublicKey) (*verify.Attached, error) {
	GinkgoHelper()
	repository, err := (&source.Opener{Pause: time.Millisecond}).Repository(ctx, s.name)
	Expect(err).NotTo(HaveOccurred())
	return verify.AttachedTo(ctx, repository, s.image, key)
}

// checked is check without an error, and with these findings.
func (s *store) checked(ctx context.Context, key *signing.PublicKey, findings ...verify.Finding) *verify.Attached {
	GinkgoHelper()
	a, err := s.check(ctx, key)
	Expect(err).NotTo(HaveOccurred())
	Expect(a.Digest).To(Equal(s.image.String()))
	Expect(a.Findings).To(ConsistOf(findings))
	ok := true
	for _, f := range findings {
		ok = ok && f.Severity != verify.Broken
	}
	Expect(a.OK).To(Equal(ok))
	return a
}

func brokenDocument(format string, args ...any) verify.Finding {
	return verify.Finding{Severity: verify.Broken, What: verify.AttachedDocument, Message: fmt.Sprintf(format, args...)}
}

func noteOf(format string, args ...any) verify.Finding {
	return verify.Finding{Severity: verify.Note, What: verify.AttachedDocument, Message: fmt.Sprintf(format, args...)}
}

func statement(about v1.Hash) string {
	return `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + about.Hex + `"}}]}`
}

func sbom(about v1.Hash) string {
	return `{"bomFormat":"CycloneDX","metadata":{"component":{"hashes":[{"alg":"SHA-256","content":"` + about.Hex + `"}]}}}`
}

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

var _ = Describe("what is attached to an image", func() {
	for _, withAPI := range []bool{true, false} {
		It(fmt.Sprintf("is about it, or else broken; the registry lists it: %v", withAPI), func(ctx SpecContext) {
			s := newStore(registry.WithReferrersSupport(withAPI))
			Expect(s.checked(ctx, nil).Documents).To(BeEmpty())
			s.attach(ctx, attest.CycloneDX, sbom(s.image))
			s.attach(ctx, attest.InToto, statement(s.image))
			a := s.checked(ctx, nil)
			Expect(a.Documents).To(ConsistOf(HaveField("Type", attest.CycloneDX), HaveField("Type", attest.InToto)))
			Expect(a.Others).To(BeZero())

			bad := append(s.attach(ctx, attest.CycloneDX, sbom(s.other)), s.attach(ctx, attest.InToto, statement(s.other), `{}`)...)
			silent := s.attach(ctx, attest.CycloneDX, `{"bomFormat":"CycloneDX"}`)
			s.attach(ctx, "application/x-other", "x")
			a = s.checked(ctx, nil,
				brokenDocument("attachment %s (application/vnd.cyclonedx+json) is about %s, not about this image", bad[0], s.other),
				brokenDocument("attachment %s (application/vnd.in-toto+json) is about %s, not about this image", bad[1], s.other),
				brokenDocument(`attachment %s (application/vnd.in-toto+json): invalid in-toto statement: its type is ""`, bad[2]),
				noteOf("attachment %s (application/vnd.cyclonedx+json): it does not say which image it is about", silent[0]))
			Expect(a.Documents).To(HaveLen(6))
			Expect(a.Others).To(Equal(1))
		})
	}

	It("is broken if it is an attachment of another image", func(ctx SpecContext) {
		s := newStore()
		stray := s.attach(ctx, attest.InToto, statement(s.other))
		// The list of the other image is that of this one.
		tag := func(d v1.Hash) string { return "sha256-" + d.Hex }
		s.breaks(func(w http.ResponseWriter, r *http.Request) bool {
			r.URL.Path = strings.Replace(r.URL.Path, tag(s.image), tag(s.other), 1)
			return false
		})
		s.image, s.other = s.other, s.image
		s.checked(ctx, nil, brokenDocument("attachment %s: its subject is another image", stray[0]))
	})

	It("is read where the list does not say of which type it is", func(ctx SpecContext) {
		s := newStore()
		bad := s.attach(ctx, attest.InToto, statement(s.other))
		s.breaks(func(w http.ResponseWriter, r *http.Request) bool {
			is := strings.Contains(r.URL.Path, "/referrers/")
			if is {
				w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
				fmt.Fprintf(w, `{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,"digest":"%s"}]}`, bad[0])
			}
			return is
		})
		s.checked(ctx, nil, brokenDocument("attachment %s (application/vnd.in-toto+json) is about %s, not about this image", bad[0], s.other))
	})

	It("is broken if it is listed and not there", func(ctx SpecContext) {
		s := newStore()
		gone := s.attach(ctx, attest.InToto, statement(s.image))
		s.breaks(func(w http.ResponseWriter, r *http.Request) bool {
			is := strings.HasSuffix(r.URL.Path, gone[0].String())
			if is {
				w.WriteHeader(http.StatusNotFound)
			}
			return is
		})
		a, err := s.check(ctx, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(a.OK).To(BeFalse())
		Expect(a.Findings).To(HaveLen(1))
		Expect(a.Findings[0].Message).To(ContainSubstring("404 Not Found"))
	})

	DescribeTable("is an error, a note or broken where the registry", func(ctx SpecContext, status int, body string, check func(*verify.Attached, error)) {
		s := newStore()
		s.breaks(func(w http.ResponseWriter, r *http.Request) bool {
			is := strings.Contains(r.URL.Path, "/manifests/sha256-")
			if is {
				w.WriteHeader(status)
				fmt.Fprint(w, body)
			}
			return is
		})
		check(s.check(ctx, nil))
	},
		Entry("fails", 500, "", func(_ *verify.Attached, err error) { Expect(err).To(MatchError(ContainSubstring("500"))) }),
		Entry("denies access", 403, "", func(a *verify.Attached, err error) {
			Expect(err).NotTo(HaveOccurred())
			Expect(a.OK).To(BeTrue())
			Expect(a.Findings).To(HaveLen(1))
			Expect(a.Findings[0].Message).To(And(HavePrefix("attached documents cannot be read: "), ContainSubstring("403 Forbidden")))
		}),
		Entry("lists no index", 200, `{"config":{},"layers":[]}`, func(a *verify.Attached, err error) {
			Expect(err).NotTo(HaveOccurred())
			Expect(a.OK).To(BeFalse())
			Expect(a.Findings).To(HaveLen(1))
			Expect(a.Findings[0].Message).To(And(HavePrefix("tag sha256-"), ContainSubstring("is not an index of referrers")))
		}),
	)

	It("costs two requests and a login where there is nothing", func(ctx SpecContext) {
		s := newStore()
		var paths []string
		s.breaks(func(_ http.ResponseWriter, r *http.Request) bool {
			paths = append(paths, r.URL.Path)
			return false
		})
		repository, err := (&source.Opener{}).Repository(ctx, s.name)
		Expect(err).NotTo(HaveOccurred())
		for _, digest := range []v1.Hash{s.image, s.other} {
			_, err := verify.AttachedTo(ctx, repository, digest, nil)
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(paths).To(Equal([]string{
			"/v2/", "/v2/acme/it/referrers/" + s.image.String(), "/v2/acme/it/manifests/sha256-" + s.image.Hex,
			"/v2/acme/it/referrers/" + s.other.String(), "/v2/acme/it/manifests/sha256-" + s.other.Hex,
		}))
	})

	It("is not read without bounds", func(ctx SpecContext) {
		s := newStore()
		var many []string
		for i := range 55 {
			many = append(many, strings.Repeat(" ", i)+statement(s.image))
		}
		s.attach(ctx, attest.InToto, many...)
		Expect(s.checked(ctx, nil, noteOf("too many attached documents; 50 of 55 attachments are checked")).Documents).To(HaveLen(50))

		s = newStore()
		many = nil
		for i := range 4 {
			many = append(many, strings.Repeat(" ", 15<<20+i)+statement(s.image))
		}
		s.attach(ctx, attest.InToto, many...)
		Expect(s.checked(ctx, nil, noteOf("too many attached documents; 3 of 4 attachments are checked")).Documents).To(HaveLen(3))
	})
})

var _ = Describe("the signature of an image", func() {
	signature := func(format string, args ...any) verify.Finding {
		return verify.Finding{Severity: verify.Broken, What: verify.Signature, Message: fmt.Sprintf(format, args...)}
	}

	It("must be there and valid where a key is given", func(ctx SpecContext) {
		s := newStore()
		key := newKey()
		s.checked(ctx, nil)
		s.checked(ctx, key.Public(), signature("%s is not signed", s.image))
		_, err := sink.Sign(ctx, s.at(s.image), newKey(), sink.Options{})
		Expect(err).NotTo(HaveOccurred())
		s.checked(ctx, nil)
		s.checked(ctx, key.Public(), signature("the signature of %s is invalid: it is not signed by this key", s.image))
		_, err = sink.Sign(ctx, s.at(s.image), newKey(), sink.Options{})
		Expect(err).NotTo(HaveOccurred())
		s.checked(ctx, key.Public(), signature("none of the 2 signatures of %s is valid; of the last, it is not signed by this key", s.image))
		_, err = sink.Sign(ctx, s.at(s.image), key, sink.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(s.checked(ctx, key.Public()).Signatures).To(Equal(1))
	})

	It("is not one of another image", func(ctx SpecContext) {
		s := newStore()
		key := newKey()
		_, err := sink.Sign(ctx, s.at(s.other), key, sink.Options{})
		Expect(err).NotTo(HaveOccurred())
		s.breaks(func(w http.ResponseWriter, r *http.Request) bool {
			r.URL.Path = strings.Replace(r.URL.Path, "sha256-"+s.image.Hex+".sig", "sha256-"+s.other.Hex+".sig", 1)
			return false
		})
		s.checked(ctx, key.Public(), signature("the signature of %s is invalid: it is about \"%s\"", s.image, s.other))
	})

	It("that cannot be read is an error, not a broken one", func(ctx SpecContext) {
		s := newStore()
		for _, status := range []int{403, 500} {
			s.breaks(func(w http.ResponseWriter, r *http.Request) bool {
				is := strings.HasSuffix(r.URL.Path, ".sig")
				if is {
					w.WriteHeader(status)
				}
				return is
			})
			_, err := s.check(ctx, newKey().Public())
			Expect(err).To(MatchError(ContainSubstring(fmt.Sprint(status))))
		}
	})
})
