package frontend

import (
	"net/http"
	"net/http/httptest"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("the registry on loopback", func() {
	// answer is the status of a request.
	answer := func(r *registry, method, path string) int {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w.Code
	}
	served := func(ctx SpecContext) (r *registry, digest string) {
		GinkgoHelper()
		r, err := newRegistry()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(r.Close()).To(Succeed()) })
		ref, err := r.image(ctx, &appBuild{made: &exported{config: &v1.ConfigFile{}}}, nil)
		Expect(err).NotTo(HaveOccurred())
		return r, ref[len(r.address+"/"+repository+"@"):]
	}

	It("answers to digests alone, and only to reads", func(ctx SpecContext) {
		r, digest := served(ctx)
		Expect(answer(r, http.MethodGet, "/v2/laminate/app/manifests/"+digest)).To(Equal(http.StatusOK))
		for _, path := range []string{"/", "/v2/_catalog", "/v2/laminate/app/tags/list", "/v2/laminate/app/manifests/latest", "/v2/laminate/app/blobs/" + digest,
			"/v2/laminate/other/manifests/" + digest, "/v2/laminate/app/blobs/..%2f..%2fetc%2fpasswd", "/v2/laminate/app/blobs/sha256:../../etc/passwd"} {
			Expect(answer(r, http.MethodGet, path)).To(Equal(http.StatusNotFound), path)
		}
		Expect(answer(r, http.MethodPut, "/v2/laminate/app/manifests/"+digest)).To(Equal(http.StatusMethodNotAllowed))
	})

	It("stands requests of other programs while it is filled", func(ctx SpecContext) {
		r, digest := served(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 2000 {
				answer(r, http.MethodGet, "/v2/laminate/app/manifests/"+digest)
			}
		}()
		for range 2000 {
			_, err := r.image(ctx, &appBuild{made: &exported{config: &v1.ConfigFile{}}}, nil)
			Expect(err).NotTo(HaveOccurred())
		}
		<-done
	})
})
