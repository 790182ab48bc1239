package registry_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/registry"
)

var _ = Describe("a response over HTTP/2", func() {
	It("takes at most 1 MiB of memory until it is read", func() {
		const size, piece = 16 << 20, 64 << 10
		var sent atomic.Int64
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for range size / piece {
				if n, err := w.Write(make([]byte, piece)); err != nil || sent.Add(int64(n)) == size {
					return
				}
			}
		}))
		server.EnableHTTP2 = true
		server.StartTLS()
		defer server.Close()
		t := registry.NewTransport(1)
		defer t.CloseIdleConnections()
		t.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
		answer, err := (&http.Client{Transport: t}).Get(server.URL)
		Expect(err).NotTo(HaveOccurred())
		defer answer.Body.Close()
		Expect(answer.ProtoMajor).To(Equal(2))
		Eventually(sent.Load).Should(BeNumerically(">=", 1<<19))
		Consistently(sent.Load, time.Second).Should(BeNumerically("<=", 1<<20+piece))
	})
})
