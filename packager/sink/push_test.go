package sink_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/location"
	"laminate/packager/sink"
)

func inRegistry(ref string) location.Location {
	return location.Location{Kind: location.Registry, Ref: ref, Written: "docker://" + ref}
}

func get(ref string) *remote.Descriptor {
	GinkgoHelper()
	parsed, err := name.ParseReference(ref)
	Expect(err).NotTo(HaveOccurred())
	d, err := remote.Get(parsed)
	Expect(err).NotTo(HaveOccurred())
	return d
}

var _ = Describe("registries", func() {
	var reg *watchedRegistry
	BeforeEach(func() { reg = newRegistry() })
	write := func(ctx context.Context, ref string, images []sink.Image, tags ...string) ([]sink.Written, error) {
		return sink.Write(ctx, inRegistry(ref), images, sink.Options{Tags: tags, Stall: 10 * time.Second, Pause: time.Millisecond})
	}

	It("get an image, blobs first, by digest, then by tag", func(ctx SpecContext) {
		img := imageOf(amd64, layerOf(1, 1000), layerOf(2, 200_000), layerOf(1, 1000))
		log := &recorded{}
		written, err := sink.Write(ctx, inRegistry(reg.host+"/a"), []sink.Image{img}, sink.Options{Log: log})
		Expect(err).NotTo(HaveOccurred())
		Expect(bare(written)).To(Equal([]sink.Written{{Digest: digestOf(img), Destination: "docker://" + reg.host + "/a:latest"}}))
		Expect(reg.manifests()).To(Equal([]string{"a " + digestOf(img).String(), "a latest"}))
		Expect(strings.Join(reg.changes[:len(reg.changes)-2], "\n")).NotTo(ContainSubstring("/manifests/"))
		got, err := get(reg.host + "/a").Image()
		Expect(err).NotTo(HaveOccurred())
		Expect(validate.Image(got)).To(Succeed())
		Expect(log.lines).To(ConsistOf(HavePrefix("uploading layer"), HavePrefix("uploading layer"), "done", "done"))
		var size int64
		for _, seed := range []v1.Layer{layerOf(1, 1000), layerOf(2, 200_000)} {
			n, err := seed.Size()
			Expect(err).NotTo(HaveOccurred())
			size += n
		}
		Expect(log.bytes).To(Equal(size))

		log = &recorded{}
		_, err = sink.Write(ctx, inRegistry(reg.host+"/a:again"), []sink.Image{img}, sink.Options{Log: log})
		Expect(err).NotTo(HaveOccurred())
		Expect(log.lines).To(ConsistOf(HavePrefix("reused layer"), HavePrefix("reused layer")))
	})

	It("get an index after its images, and tags at the very end, in every repository", func(ctx SpecContext) {
		shared := layerOf(1, 1000)
		images := []sink.Image{imageOf(amd64, shared, layerOf(2, 1000)), imageOf(arm64, shared, layerOf(3, 1000))}
		other := newRegistry()
		counts := reg.mounts("b")
		written, err := write(ctx, reg.host+"/a:1", images, reg.host+"/a:2", reg.host+"/b", other.host+"/c:3", reg.host+"/a:1")
		Expect(err).NotTo(HaveOccurred())
		index := written[0].Digest
		var got []string
		for _, w := range written {
			Expect(w.Digest).To(Equal(index))
			Expect(get(strings.TrimPrefix(w.Destination, "docker://")).Digest).To(Equal(index))
			got = append(got, w.Destination)
		}
		Expect(got).To(Equal([]string{"docker://" + reg.host + "/a:1", "docker://" + reg.host + "/a:2", "docker://" + reg.host + "/b:latest", "docker://" + other.host + "/c:3"}))

		order := reg.manifests()
		Expect(order).To(HaveLen(9))
		Expect(order[:2]).To(ConsistOf("a "+digestOf(images[0]).String(), "a "+digestOf(images[1]).String()))
		Expect(order[2]).To(Equal("a " + index.String()))
		Expect(order[3:5]).To(ConsistOf("b "+digestOf(images[0]).String(), "b "+digestOf(images[1]).String()))
		Expect(order[5:]).To(Equal([]string{"b " + index.String(), "a 1", "a 2", "b latest"}))

		d := get(reg.host + "/a:1")
		Expect(d.MediaType).To(Equal(types.DockerManifestList))
		ii, err := d.ImageIndex()
		Expect(err).NotTo(HaveOccurred())
		Expect(validate.Index(ii)).To(Succeed())
		By("mounting in the second repository what the first one has")
		Expect(counts).To(Equal(map[string]int{"a": 5})) // layers and configs
	})

	It("mount what another repository of theirs has", func(ctx SpecContext) {
		_, err := write(ctx, reg.host+"/source", []sink.Image{imageOf(amd64, layerOf(1, 1000))})
		Expect(err).NotTo(HaveOccurred())
		source, err := get(reg.host + "/source").Image()
		Expect(err).NotTo(HaveOccurred())
		layers, err := source.Layers()
		Expect(err).NotTo(HaveOccurred())
		Expect(layers[0]).To(BeAssignableToTypeOf(&remote.MountableLayer{}))
		counts := reg.mounts("b")
		log := &recorded{}
		_, err = sink.Write(ctx, inRegistry(reg.host+"/b"), []sink.Image{imageOf(amd64, layers[0])}, sink.Options{Log: log})
		Expect(err).NotTo(HaveOccurred())
		Expect(counts).To(Equal(map[string]int{"source": 2}), "the layer and the config")
		Expect(log.lines).To(Equal([]string{log.lines[0]}))
		Expect(log.lines[0]).To(HavePrefix("reused layer"))
	})

	It("take a digest that is the image's own and no other", func(ctx SpecContext) {
		img := imageOf(amd64, layerOf(1, 1000))
		written, err := write(ctx, reg.host+"/a@"+digestOf(img).String(), []sink.Image{img})
		Expect(err).NotTo(HaveOccurred())
		Expect(written[0].Destination).To(Equal("docker://" + reg.host + "/a@" + digestOf(img).String()))
		_, err = write(ctx, reg.host+"/b@sha256:"+strings.Repeat("0", 64), []sink.Image{img})
		Expect(err).To(MatchError(ContainSubstring("digest of the image is " + digestOf(img).String())))
		Expect(reg.manifests()).To(Equal([]string{"a " + digestOf(img).String()}))
	})

	It("see no byte of a write whose tags are wrong", func(ctx SpecContext) {
		_, err := write(ctx, reg.host+"/a", []sink.Image{imageOf(amd64, layerOf(1, 10))}, "UPPER/case", "x:y:z")
		Expect(err).To(MatchError(And(ContainSubstring("UPPER/case"), ContainSubstring("x:y:z"))))
		Expect(reg.changes).To(BeEmpty())
	})

	Describe("that fail", func() {
		img := func() []sink.Image {
			return []sink.Image{imageOf(amd64, layerOf(1, 100_000)), imageOf(arm64, layerOf(2, 10))}
		}
		var before v1.Hash
		BeforeEach(func(ctx SpecContext) {
			old := imageOf(amd64, layerOf(9, 10))
			_, err := write(ctx, reg.host+"/a:1", []sink.Image{old})
			Expect(err).NotTo(HaveOccurred())
			before = digestOf(old)
		})
		// AfterEach: whatever went wrong, the tag names what it named.
		AfterEach(func() {
			reg.breaks(nil)
			Expect(get(reg.host + "/a:1").Digest).To(Equal(before))
			_, err := remote.Head(must(name.ParseReference(reg.host + "/a:2")))
			Expect(err).To(HaveOccurred())
		})

		DescribeTable("are told of in a short sentence", func(ctx SpecContext, method, part string, status int, body, message string) {
			reg.breaks(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != method || !strings.Contains(r.URL.Path, part) {
					return false
				}
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
				return true
			})
			_, err := write(ctx, reg.host+"/a:1", img(), reg.host+"/a:2")
			Expect(err).To(MatchError(ContainSubstring(strings.ReplaceAll(message, "HOST", reg.host))))
			Expect(err.Error()).To(HavePrefix(reg.host + "/a:1: registry " + reg.host + ": "))
			Expect(len(err.Error())).To(BeNumerically("<", 600))
			Expect(err.Error()).NotTo(MatchRegexp("[[:cntrl:]]"))
		},
			Entry("a blob is not taken", "PATCH", "/blobs/", 403, `{"errors":[{"code":"DENIED","message":"no"}]}`, "403 Forbidden: DENIED: no; log in with `docker login HOST`"),
			Entry("no login", "POST", "/blobs/", 401, "", "401 Unauthorized; log in with `docker login HOST`"),
			Entry("no such repository", "POST", "/blobs/", 404, `{"errors":[{"code":"NAME_UNKNOWN","message":"unknown"}]}`, "404 Not Found: NAME_UNKNOWN: unknown; check the name"),
			Entry("a page of HTML", "PUT", "/manifests/sha256", 400, "<html>\x1b[31m\n"+strings.Repeat("sorry ", 20_000), "400 Bad Request: <html>[31m sorry sorry"),
			Entry("a blob that is too large", "PATCH", "/blobs/", 413, "", "refuses blobs of this size"),
		)

		It("at the index leave the tags", func(ctx SpecContext) {
			var puts atomic.Int32
			reg.breaks(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") && puts.Add(1) > 2 {
					w.WriteHeader(http.StatusBadRequest)
					return true
				}
				return false
			})
			_, err := write(ctx, reg.host+"/a:1", img(), reg.host+"/a:2")
			Expect(err).To(MatchError(ContainSubstring("400 Bad Request")))
			Expect(puts.Load()).To(Equal(int32(3)))
		})

		It("in another repository leave the tags of the first", func(ctx SpecContext) {
			reg.breaks(func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasPrefix(r.URL.Path, "/v2/b/") && r.Method == http.MethodPut {
					w.WriteHeader(http.StatusForbidden)
					return true
				}
				return false
			})
			_, err := write(ctx, reg.host+"/a:1", img(), reg.host+"/a:2", reg.host+"/b:3")
			Expect(err).To(MatchError(ContainSubstring(reg.host + "/b:3: registry " + reg.host + ": 403 Forbidden")))
		})

		It("for a lying layer, and it is not the registry's fault", func(ctx SpecContext) {
			for _, change := range []func(io.ReadCloser) io.ReadCloser{flipped, cut, longer} {
				_, err := write(ctx, reg.host+"/a:1", []sink.Image{reread(img()[0], change)}, reg.host+"/a:2")
				Expect(err).To(MatchError(HavePrefix("layer sha256:")))
			}
		})

		It("by dying while a blob travels", func(ctx SpecContext) {
			reg.breaks(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPatch {
					_, _ = io.CopyN(io.Discard, r.Body, 1000)
					conn, _, err := w.(http.Hijacker).Hijack()
					if err == nil {
						_ = conn.Close()
					}
					return true
				}
				return false
			})
			ctx2, cancel := context.WithTimeout(ctx, 20*time.Second)
			defer cancel()
			_, err := write(ctx2, reg.host+"/a:1", img()[:1], reg.host+"/a:2")
			Expect(err).To(MatchError(HavePrefix(reg.host + "/a:1: registry " + reg.host + ": ")))
		})

		It("by falling silent", func(ctx SpecContext) {
			release := make(chan struct{})
			defer close(release)
			reg.breaks(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPatch {
					<-release
					return true
				}
				return false
			})
			images, start := img(), time.Now()
			_, err := sink.Write(ctx, inRegistry(reg.host+"/a:1"), images, sink.Options{Stall: 200 * time.Millisecond})
			Expect(err).To(MatchError(reg.host + "/a:1: registry " + reg.host + " does not respond: no byte moved for 200ms"))
			Expect(time.Since(start)).To(BeNumerically("<", 3*time.Second))
		})

		It("by saying that it has something else", func(ctx SpecContext) {
			reg.breaks(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/manifests/sha256:") || r.Method == http.MethodPut {
					return false
				}
				w.Header().Set("Content-Type", string(types.DockerManifestSchema2))
				if r.Method == http.MethodHead { // the digest is not said
					w.Header().Set("Content-Length", "19")
					return true
				}
				_, err := io.WriteString(w, `{"schemaVersion":2}`)
				return err == nil
			})
			_, err := write(ctx, reg.host+"/a:1", img(), reg.host+"/a:2")
			Expect(err).To(MatchError(ContainSubstring("does not match requested digest")))
		})

		It("by letting a tag name something that nobody wrote there", func(ctx SpecContext) {
			var moved atomic.Bool
			other := imageOf(amd64, layerOf(8, 10))
			_, err := write(ctx, reg.host+"/a:other", []sink.Image{other})
			Expect(err).NotTo(HaveOccurred())
			reg.breaks(func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/1"):
					w.WriteHeader(http.StatusCreated)
					moved.Store(true)
					return true
				case strings.HasSuffix(r.URL.Path, "/manifests/1") && moved.Load():
					http.Redirect(w, r, "/v2/a/manifests/other", http.StatusTemporaryRedirect)
					return true
				}
				return false
			})
			_, err = write(ctx, reg.host+"/a:1", img(), reg.host+"/a:2")
			Expect(err).To(MatchError(ContainSubstring("tag points to " + digestOf(other).String() + " after writing sha256:")))
		})

		It("because they were interrupted", func(ctx SpecContext) {
			cctx, cancel, soon := interruptible(ctx)
			release := make(chan struct{})
			defer close(release)
			reg.breaks(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPatch {
					cancel()
					<-release
					return true
				}
				return false
			})
			_, err := write(cctx, reg.host+"/a:1", img(), reg.host+"/a:2")
			Expect(err).To(MatchError(context.Canceled))
			soon()
		})

		It("because they were interrupted between two attempts", func(ctx SpecContext) {
			cctx, cancel, soon := interruptible(ctx)
			var started atomic.Bool
			reg.breaks(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost {
					if started.CompareAndSwap(false, true) {
						time.AfterFunc(50*time.Millisecond, cancel)
					}
					w.WriteHeader(http.StatusServiceUnavailable)
					return true
				}
				return false
			})
			_, err := sink.Write(cctx, inRegistry(reg.host+"/a:1"), img(), sink.Options{Pause: time.Minute})
			Expect(err).To(MatchError(context.Canceled))
			soon()
		})
	})

	It("may fail for a moment", func(ctx SpecContext) {
		var posts atomic.Int32
		reg.breaks(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPatch && posts.Add(1) == 1 {
				_, _ = io.CopyN(io.Discard, r.Body, 1000)
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
			return false
		})
		img := imageOf(amd64, layerOf(1, 100_000))
		log := &recorded{}
		_, err := sink.Write(ctx, inRegistry(reg.host+"/a"), []sink.Image{img}, sink.Options{Log: log, Pause: time.Millisecond})
		Expect(err).NotTo(HaveOccurred())
		layers, err := img.Layers()
		Expect(err).NotTo(HaveOccurred())
		Expect(layers[0].Size()).To(Equal(log.bytes), "bytes that were sent twice count once")
		Expect(log.lines).To(HaveLen(2))
	})

	It("that nobody runs are named", func(ctx SpecContext) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		host := l.Addr().String()
		Expect(l.Close()).To(Succeed())
		_, err = write(ctx, host+"/a", []sink.Image{imageOf(amd64, layerOf(1, 10))})
		Expect(err).To(MatchError(fmt.Sprintf("%s/a:latest: registry %s: connection refused (tried https://%s and http://%s)", host, host, host, host)))
	})

	It("are never told a password in an error", func(ctx SpecContext) {
		reg.breaks(func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		})
		keychain := keys{authn.FromConfig(authn.AuthConfig{Username: "me", Password: "hunter2"})}
		_, err := sink.Write(ctx, inRegistry(reg.host+"/a"), []sink.Image{imageOf(amd64, layerOf(1, 10))}, sink.Options{Keychain: keychain})
		Expect(err).To(MatchError(ContainSubstring("docker login " + reg.host)))
		Expect(fmt.Sprintf("%v", err)).NotTo(ContainSubstring("hunter2"))
	})
})

type keys struct{ authn.Authenticator }

func (k keys) Resolve(authn.Resource) (authn.Authenticator, error) { return k.Authenticator, nil }

func digestOf(img sink.Image) v1.Hash {
	GinkgoHelper()
	return must(img.Digest())
}

func must[T any](v T, err error) T {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	return v
}
