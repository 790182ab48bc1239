package registry_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/registry"
)

// countedConn counts the writes to a connection.
type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

var _ = Describe("a body of unknown length", func() {
	It("takes one write for each chunk", func() {
		const chunk, chunks = 32 << 10, 64
		var got atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			got.Store(n)
		}))
		defer server.Close()
		var writes atomic.Int64
		t := registry.NewTransport(1)
		defer t.CloseIdleConnections()
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			return countedConn{c, &writes}, err
		}
		body := struct{ io.Reader }{strings.NewReader(strings.Repeat("x", chunk*chunks))} // hides its length
		answer, err := (&http.Client{Transport: t}).Post(server.URL, "application/octet-stream", body)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Body.Close()).To(Succeed())
		Expect(got.Load()).To(Equal(int64(chunk * chunks)))
		Expect(writes.Load()).To(BeNumerically("<=", chunks+3), "the head and the end of the request have their own")
	})
})
