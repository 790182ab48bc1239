package sink_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/progress"
	"laminate/packager/sink"
	"laminate/packager/source"
)

var (
	sbom   = sink.Artifact{Type: "application/vnd.cyclonedx+json", MediaType: "application/vnd.cyclonedx+json", Content: []byte(`{"bomFormat":"CycloneDX"}`)}
	intoto = sink.Artifact{
		Type: "application/vnd.in-toto+json", MediaType: "application/vnd.in-toto+json", Content: []byte(`{"_type":"x"}`),
		Annotations: map[string]string{"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"},
	}
)

// attachTo attaches artifacts, without long pauses.
func attachTo(ctx context.Context, image string, log progress.Log, artifacts ...sink.Artifact) ([]sink.Attached, error) {
	return sink.Attach(ctx, image, artifacts, sink.Options{Stall: 10 * time.Second, Pause: time.Millisecond, Log: log})
}

// pushed pushes an image to a repository, and returns its name by digest.
func pushed(ctx context.Context, repository string) (string, v1.Hash) {
	GinkgoHelper()
	img := imageOf(amd64, layerOf(1, 100))
	_, err := sink.Write(ctx, inRegistry(repository), []sink.Image{img}, sink.Options{})
	Expect(err).NotTo(HaveOccurred())
	return repository + "@" + digestOf(img).String(), digestOf(img)
}

// found reads all attachments of an image.
func found(ctx context.Context, image string, digest v1.Hash) []*source.Attached {
	GinkgoHelper()
	repository, err := (&source.Opener{Pause: time.Millisecond}).Repository(ctx, strings.Split(image, "@")[0])
	Expect(err).NotTo(HaveOccurred())
	list, err := repository.Attachments(ctx, digest)
	Expect(err).NotTo(HaveOccurred())
	var all []*source.Attached
	for _, a := range list {
		one, err := repository.Attached(ctx, digest, a)
		Expect(err).NotTo(HaveOccurred())
		all = append(all, one)
	}
	return all
}

func attachedAs(a sink.Artifact) *source.Attached {
	return &source.Attached{Type: a.Type, MediaType: a.MediaType, Content: a.Content}
}

func fallbackTag(digest v1.Hash) string { return "sha256-" + digest.Hex }

// putIndex puts an index of entries under a tag.
func putIndex(image, tag, index string) {
	GinkgoHelper()
	Expect(remote.Put(tagIn(strings.Split(image, "@")[0], tag), rawIndex(index))).To(Succeed())
}

func tagIn(repository, tag string) name.Tag {
	GinkgoHelper()
	parsed, err := name.NewRepository(repository)
	Expect(err).NotTo(HaveOccurred())
	return parsed.Tag(tag)
}

type rawIndex string

func (r rawIndex) RawManifest() ([]byte, error)        { return []byte(r), nil }
func (r rawIndex) MediaType() (types.MediaType, error) { return types.OCIImageIndex, nil }

// otherEntry is an entry of another client, whose manifest the registry need not have.
func otherEntry(n int) string {
	return fmt.Sprintf(`{"mediaType":"application/x","size":%d,"digest":"sha256:%064d","artifactType":"a/b","other":"field"}`, n, n)
}

var _ = Describe("artifacts", func() {
	DescribeTable("are attached to an image", func(ctx SpecContext, withAPI bool) {
		reg := newRegistry(registry.WithReferrersSupport(withAPI))
		image, digest := pushed(ctx, reg.host+"/a")
		attached, err := attachTo(ctx, image, nil, sbom, intoto)
		Expect(err).NotTo(HaveOccurred())
		Expect(attached).To(HaveLen(2))
		Expect(attached[0].Type).To(Equal(sbom.Type))
		Expect(attached[1].Type).To(Equal(intoto.Type))
		Expect(found(ctx, image, digest)).To(ConsistOf(attachedAs(sbom), attachedAs(intoto)))

		By("in the form of the OCI image spec")
		d := get(reg.host + "/a@" + attached[1].Digest.String())
		Expect(d.MediaType).To(Equal(types.OCIManifestSchema1))
		Expect(d.Manifest).To(MatchJSON(fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
			"artifactType":"application/vnd.in-toto+json",
			"config":{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},
			"layers":[{"mediaType":"application/vnd.in-toto+json","size":13,"digest":"sha256:8aec6cdc7a6b9deee969631a3a963f08a55d3f9513dfa23b07177a643624fa22"}],
			"subject":{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","size":%d,"digest":"%s"},
			"annotations":{"in-toto.io/predicate-type":"https://slsa.dev/provenance/v1"}}`, get(image).Size, digest)))

		By("without a tag, but for the list where the registry has none")
		repository, err := name.NewRepository(reg.host + "/a")
		Expect(err).NotTo(HaveOccurred())
		tags, err := remote.List(repository)
		Expect(err).NotTo(HaveOccurred())
		if withAPI {
			Expect(tags).To(Equal([]string{"latest"}))
		} else {
			Expect(tags).To(Equal([]string{"latest", fallbackTag(digest)}))
			Expect(get(reg.host + "/a:" + fallbackTag(digest)).Manifest).To(MatchJSON(fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
				{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":%d,"digest":"%s","artifactType":"application/vnd.cyclonedx+json"},
				{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":%d,"digest":"%s","artifactType":"application/vnd.in-toto+json","annotations":{"in-toto.io/predicate-type":"https://slsa.dev/provenance/v1"}}]}`,
				get(reg.host+"/a@"+attached[0].Digest.String()).Size, attached[0].Digest, d.Size, attached[1].Digest)))
		}

		By("and again, which changes nothing")
		reg.changes = nil
		again, err := attachTo(ctx, image, nil, sbom, intoto)
		Expect(err).NotTo(HaveOccurred())
		Expect(reg.changes).To(BeEmpty())
		Expect(again).To(Equal([]sink.Attached{{sbom.Type, attached[0].Digest, true}, {intoto.Type, attached[1].Digest, true}}))

		By("with the same digests in another registry")
		other := newRegistry(registry.WithReferrersSupport(!withAPI))
		image, _ = pushed(ctx, other.host+"/b")
		there, err := attachTo(ctx, image, nil, intoto, sbom)
		Expect(err).NotTo(HaveOccurred())
		Expect(there).To(Equal([]sink.Attached{attached[1], attached[0]}))
	},
		Entry("in a registry that lists referrers", true),
		Entry("in one that does not", false),
	)

	It("are attached to an index", func(ctx SpecContext) {
		reg := newRegistry()
		written, err := sink.Write(ctx, inRegistry(reg.host+"/a"), []sink.Image{imageOf(amd64, layerOf(1, 100)), imageOf(arm64, layerOf(1, 100))}, sink.Options{})
		Expect(err).NotTo(HaveOccurred())
		image := reg.host + "/a@" + written[0].Digest.String()
		_, err = attachTo(ctx, image, nil, sbom)
		Expect(err).NotTo(HaveOccurred())
		Expect(found(ctx, image, written[0].Digest)).To(ConsistOf(attachedAs(sbom)))
	})

	It("are not listed twice where the registry says of all that it lists them", func(ctx SpecContext) {
		reg := newRegistry()
		image, digest := pushed(ctx, reg.host+"/a")
		for _, skip := range []int{0, 1} {
			n := 0
			reg.breaks(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
					if n++; n > skip {
						w.Header().Set("OCI-Subject", digest.String())
					}
				}
				return false
			})
			_, err := attachTo(ctx, image, nil, sbom, intoto)
			Expect(err).NotTo(HaveOccurred())
			Expect(slices.Contains(reg.manifests(), "a "+fallbackTag(digest))).To(Equal(skip > 0))
		}
	})

	It("keep the list of other clients as it is", func(ctx SpecContext) {
		reg := newRegistry()
		image, digest := pushed(ctx, reg.host+"/a")
		putIndex(image, fallbackTag(digest), `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[`+otherEntry(2)+","+otherEntry(1)+`],"annotations":{"a":"b"},"x":[1]}`)
		attached, err := attachTo(ctx, image, nil, sbom)
		Expect(err).NotTo(HaveOccurred())
		index := get(reg.host + "/a:" + fallbackTag(digest)).Manifest
		Expect(index).To(MatchJSON(fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","annotations":{"a":"b"},"x":[1],"manifests":[%s,%s,
			{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":%d,"digest":"%s","artifactType":"application/vnd.cyclonedx+json"}]}`,
			otherEntry(2), otherEntry(1), get(reg.host+"/a@"+attached[0].Digest.String()).Size, attached[0].Digest)))
	})

	It("are listed again when another client overwrites the list, whose entries stay too", func(ctx SpecContext) {
		reg := newRegistry()
		image, digest := pushed(ctx, reg.host+"/a")
		putIndex(image, fallbackTag(digest), `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[`+otherEntry(1)+`]}`)
		overwritten, written, other := 0, false, false
		reg.breaks(func(_ http.ResponseWriter, r *http.Request) bool {
			switch {
			case other || !strings.HasSuffix(r.URL.Path, fallbackTag(digest)):
			case r.Method == http.MethodPut:
				written = true
			case written && overwritten < 3: // another client, which has read an older list, is last
				overwritten++
				other = true
				putIndex(image, fallbackTag(digest), `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[`+otherEntry(overwritten+1)+`]}`)
				written, other = false, false
			}
			return false
		})
		_, err := attachTo(ctx, image, nil, sbom, intoto)
		Expect(err).NotTo(HaveOccurred())
		Expect(overwritten).To(Equal(3))
		var index v1.IndexManifest
		Expect(json.NewDecoder(bytes.NewReader(get(reg.host + "/a:" + fallbackTag(digest)).Manifest)).Decode(&index)).To(Succeed())
		Expect(index.Manifests).To(HaveLen(6))
		seen := map[v1.Hash]bool{}
		for _, d := range index.Manifests {
			seen[d.Digest] = true
		}
		Expect(seen).To(HaveLen(6))
	})

	It("are an error where other clients overwrite the list again and again", func(ctx SpecContext) {
		reg := newRegistry()
		image, digest := pushed(ctx, reg.host+"/a")
		n, other := 0, false
		reg.breaks(func(_ http.ResponseWriter, r *http.Request) bool {
			if !other && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, fallbackTag(digest)) {
				n++
				other = true
				putIndex(image, fallbackTag(digest), `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[`+otherEntry(n)+`]}`)
				other = false
			}
			return false
		})
		_, err := attachTo(ctx, image, nil, sbom)
		Expect(err).To(MatchError(image + ": tag " + fallbackTag(digest) + ": other clients overwrite it; try again"))
	})

	It("are attached with a warning where the registry shows an old list for long", func(ctx SpecContext) {
		reg := newRegistry()
		image, digest := pushed(ctx, reg.host+"/a")
		reg.breaks(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, fallbackTag(digest)) {
				return false
			}
			w.WriteHeader(http.StatusNotFound)
			return true
		})
		log := &recorded{}
		attached, err := attachTo(ctx, image, log, sbom)
		Expect(err).NotTo(HaveOccurred())
		Expect(log.lines).To(ContainElement("warning " + image + ": the registry accepted the index of its referrers, but still shows the old one; it may take a moment to appear"))
		reg.breaks(nil)
		Expect(string(get(reg.host + "/a:" + fallbackTag(digest)).Manifest)).To(ContainSubstring(attached[0].Digest.String()))
	})

	DescribeTable("are refused, and nothing is written", func(ctx SpecContext, change func(image *string, a *sink.Artifact), want string) {
		reg := newRegistry()
		image, _ := pushed(ctx, reg.host+"/a")
		artifact := sbom
		change(&image, &artifact)
		reg.changes = nil
		_, err := attachTo(ctx, image, nil, intoto, artifact)
		Expect(err).To(MatchError(ContainSubstring(want)))
		Expect(reg.changes).To(BeEmpty())
	},
		Entry("without content", func(_ *string, a *sink.Artifact) { a.Content = nil }, "artifact application/vnd.cyclonedx+json: no content"),
		Entry("with too much", func(_ *string, a *sink.Artifact) { a.Content = make([]byte, 16<<20+1) }, "16777217 bytes, the limit is 16777216"),
		Entry("without a type", func(_ *string, a *sink.Artifact) { a.Type = "" }, `invalid artifact type ""`),
		Entry("with an invalid type", func(_ *string, a *sink.Artifact) { a.Type = "a b" }, `invalid artifact type "a b"`),
		Entry("with an invalid media type", func(_ *string, a *sink.Artifact) { a.MediaType = "a/b; c=d" }, `invalid media type "a/b; c=d"`),
		Entry("for a tag", func(image *string, _ *sink.Artifact) { *image = strings.Split(*image, "@")[0] + ":latest" }, "a:latest: no digest; write REPOSITORY@DIGEST"),
		Entry("for an image that is not there", func(image *string, _ *sink.Artifact) { *image = (*image)[:len(*image)-4] + "0000" }, "404 Not Found"),
	)

	It("leave a tag that holds something else", func(ctx SpecContext) {
		reg := newRegistry()
		image, digest := pushed(ctx, reg.host+"/a")
		_, err := sink.Write(ctx, inRegistry(reg.host+"/a:"+fallbackTag(digest)), []sink.Image{imageOf(amd64, layerOf(1, 100))}, sink.Options{})
		Expect(err).NotTo(HaveOccurred())
		reg.changes = nil
		_, err = attachTo(ctx, image, nil, sbom)
		Expect(err).To(MatchError(image + ": tag " + fallbackTag(digest) + ` is not an index of referrers: its media type is "application/vnd.docker.distribution.manifest.v2+json"`))
		Expect(reg.changes).To(BeEmpty())
	})

	It("are all listed after the next runs, however many clients attached at once", func(ctx SpecContext) {
		reg := newRegistry()
		image, digest := pushed(ctx, reg.host+"/a")
		var all []sink.Artifact
		for i := range 8 {
			all = append(all, sink.Artifact{Type: "a/b", MediaType: "a/b", Content: fmt.Append(nil, i)})
		}
		var clients sync.WaitGroup
		for _, one := range all {
			clients.Go(func() {
				_, _ = attachTo(ctx, image, nil, one) // it may give up
			})
		}
		clients.Wait()
		for _, one := range all {
			_, err := attachTo(ctx, image, nil, one)
			Expect(err).NotTo(HaveOccurred())
		}
		var want []any
		for _, one := range all {
			want = append(want, attachedAs(one))
		}
		Expect(found(ctx, image, digest)).To(ConsistOf(want...))
	})

	It("are finished by the next run, wherever one ends", func(ctx SpecContext) {
		for _, withAPI := range []bool{true, false} {
			for n := 0; ; n++ {
				reg := newRegistry(registry.WithReferrersSupport(withAPI))
				image, digest := pushed(ctx, reg.host+"/a")
				requests, ended := 0, false
				reg.breaks(func(w http.ResponseWriter, _ *http.Request) bool {
					requests++
					if ended = requests > n; ended {
						w.WriteHeader(http.StatusForbidden)
					}
					return ended
				})
				_, err := attachTo(ctx, image, nil, sbom, intoto)
				reg.breaks(nil)
				if !ended {
					Expect(err).NotTo(HaveOccurred())
					Expect(n).To(BeNumerically(">", 10))
					break
				}
				_, err = attachTo(ctx, image, nil, sbom, intoto)
				Expect(err).NotTo(HaveOccurred())
				Expect(found(ctx, image, digest)).To(ConsistOf(attachedAs(sbom), attachedAs(intoto)), "after %d requests", n)
			}
		}
	})
})
