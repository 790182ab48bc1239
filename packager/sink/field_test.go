package sink_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/packager/sink"
)

// Registries as they are in the field.
var _ = DescribeTable("a push succeeds where the registry", func(ctx SpecContext, before func(http.ResponseWriter, *http.Request) bool, warns bool) {
	reg := fixtures.CountedRegistry(GinkgoT())
	reg.Before(before)
	log := &recorded{}
	img := imageOf(amd64, layerOf(1, 1000))
	_, err := sink.Write(ctx, inRegistry(reg.Host+"/a:1"), []sink.Image{img}, sink.Options{Log: log, Pause: time.Millisecond})
	Expect(err).NotTo(HaveOccurred())
	reg.Before(nil)
	Expect(get(reg.Host + "/a:1").Digest).To(Equal(digestOf(img)))
	Expect(strings.Contains(strings.Join(log.lines, "\n"), "warning ")).To(Equal(warns))
},
	Entry("answers 401 to all reads of manifests, as Quay does before the first push", func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method != http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") && said(w, http.StatusUnauthorized)
	}, false),
	Entry("refuses to say whether it has a blob", func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/blobs/") && said(w, http.StatusForbidden)
	}, false),
	Entry("takes a blob in chunks only", func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodPut && r.URL.Query().Has("digest") && r.ContentLength > 0 && said(w, http.StatusBadRequest)
	}, false),
	Entry("answers no HEAD of a manifest", func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/manifests/") && said(w, http.StatusMethodNotAllowed)
	}, false),
	Entry("does not say the digest with a HEAD", func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/manifests/1") {
			w.Header().Set("Content-Type", string(types.DockerManifestSchema2))
			w.Header().Set("Content-Length", "2")
			return true
		}
		return false
	}, false),
	Entry("does not show a manifest at once", hidden(4), false),
	Entry("does not show a manifest for long", hidden(1000), true),
)

var _ = DescribeTable("a push that replaces a tag succeeds where the registry shows the old image", func(ctx SpecContext, reads int32, warns bool) {
	reg := fixtures.CountedRegistry(GinkgoT())
	log := &recorded{}
	write := func(img sink.Image) {
		GinkgoHelper()
		_, err := sink.Write(ctx, inRegistry(reg.Host+"/a:1"), []sink.Image{img}, sink.Options{Log: log, Pause: time.Millisecond})
		Expect(err).NotTo(HaveOccurred())
	}
	before, img := imageOf(amd64, layerOf(9, 10)), imageOf(amd64, layerOf(1, 1000))
	write(before)
	var written atomic.Bool
	var shown atomic.Int32
	reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/manifests/1") {
			return false
		}
		if r.Method == http.MethodPut {
			written.Store(true)
			return false
		}
		if !written.Load() || shown.Add(1) > reads {
			return false
		}
		http.Redirect(w, r, "/v2/a/manifests/"+digestOf(before).String(), http.StatusTemporaryRedirect)
		return true
	})
	write(img)
	reg.Before(nil)
	Expect(get(reg.Host + "/a:1").Digest).To(Equal(digestOf(img)))
	Expect(shown.Load()).To(BeNumerically(">=", min(reads, 5)))
	warning := fmt.Sprintf("warning %s/a:1: the registry accepted %s, but the tag still points to %s", reg.Host, digestOf(img), digestOf(before))
	if warns {
		Expect(log.lines).To(ContainElement(HavePrefix(warning)))
	} else {
		Expect(log.lines).NotTo(ContainElement(HavePrefix("warning ")))
	}
},
	Entry("not at all", int32(0), false),
	Entry("for a moment", int32(3), false),
	Entry("for long", int32(1000), true),
)

// What is read of the destination only says what need not be sent.
var _ = DescribeTable("a push believes nothing that is at the destination of very many entries", func(ctx SpecContext, list, mediaType string) {
	reg := fixtures.CountedRegistry(GinkgoT())
	img := imageOf(amd64, layerOf(1, 1000))
	layer := must(layerOf(1, 1000).Digest())
	named := fmt.Sprintf(`{"digest":%q}`, map[string]string{"layers": layer.String(), "manifests": digestOf(img).String()}[list])
	crowded := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,%q:[%s%s]}`, mediaType, list, named, strings.Repeat(",{}", 100_000))
	var uploads, puts atomic.Int32
	reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == http.MethodPost:
			uploads.Add(1)
		case r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/"):
			puts.Add(1)
		case r.Method == http.MethodGet && puts.Load() == 0 && strings.HasSuffix(r.URL.Path, "/manifests/1"):
			w.Header().Set("Content-Type", mediaType)
			_, _ = io.WriteString(w, crowded)
			return true
		}
		return false
	})
	_, err := sink.Write(ctx, inRegistry(reg.Host+"/a:1"), []sink.Image{img}, sink.Options{Pause: time.Millisecond})
	Expect(err).NotTo(HaveOccurred())
	Expect(uploads.Load()).To(Equal(int32(2)), "the layer and the config")
	Expect(puts.Load()).To(Equal(int32(2)), "by digest and by tag")
},
	Entry("in an image", "layers", string(types.DockerManifestSchema2)),
	Entry("in an index", "manifests", string(types.DockerManifestList)),
)

var _ = DescribeTable("a mount falls back to an upload where the token server refuses the right to read the other repository", func(ctx SpecContext, status int) {
	reg := fixtures.CountedRegistry(GinkgoT())
	layers := []v1.Layer{layerOf(1, 1000), layerOf(2, 1000), layerOf(3, 1000)}
	_, err := sink.Write(ctx, inRegistry(reg.Host+"/source:1"), []sink.Image{imageOf(amd64, layers...)}, sink.Options{})
	Expect(err).NotTo(HaveOccurred())
	source, err := get(reg.Host + "/source:1").Image()
	Expect(err).NotTo(HaveOccurred())
	mountable, err := source.Layers()
	Expect(err).NotTo(HaveOccurred())
	reg.Reset()

	var refused atomic.Int32
	reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			if scopes := strings.Join(r.URL.Query()["scope"], " "); strings.Contains(scopes, "push") && strings.Contains(scopes, "repository:source:") {
				refused.Add(1)
				return said(w, status)
			}
			_, err := io.WriteString(w, `{"token":"t"}`)
			return err == nil
		}
		if r.URL.Query().Has("mount") {
			r.URL.RawQuery = "" // no token gives the right to it
		}
		if strings.HasPrefix(r.URL.Path, "/v2/source/") || r.Header.Get("Authorization") == "Bearer t" {
			return false // the layers can be read by anyone
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+reg.Host+`/token",service="x"`)
		return said(w, http.StatusUnauthorized)
	})
	log := &recorded{}
	img := imageOf(amd64, mountable...)
	_, err = sink.Write(ctx, inRegistry(reg.Host+"/b:1"), []sink.Image{img}, sink.Options{Log: log, Pause: time.Millisecond})
	Expect(err).NotTo(HaveOccurred())
	Expect(refused.Load()).To(BeNumerically(">", 0))
	Expect(reg.Count(http.MethodPatch, fixtures.Upload)).To(Or(Equal(3), Equal(4)), "the layers, each once, and the config if the library sends it")
	Expect(log.lines).NotTo(ContainElement(HavePrefix("warning ")))
	reg.Before(nil)
	Expect(get(reg.Host + "/b:1").Digest).To(Equal(digestOf(img)))
},
	Entry("with 401", http.StatusUnauthorized),
	Entry("with 403", http.StatusForbidden),
	Entry("with 400", http.StatusBadRequest),
)

// hidden answers the first n reads of manifests with 404.
func hidden(n int32) func(http.ResponseWriter, *http.Request) bool {
	var reads atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method != http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") && reads.Add(1) <= n && said(w, http.StatusNotFound)
	}
}
