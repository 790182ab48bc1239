package sink_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"

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
	Entry("does not show a manifest at once", hidden(4), false),
	Entry("does not show a manifest for long", hidden(1000), true),
)

// hidden answers the first n reads of manifests with 404.
func hidden(n int32) func(http.ResponseWriter, *http.Request) bool {
	var reads atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/") && reads.Add(1) <= n && said(w, http.StatusNotFound)
	}
}
