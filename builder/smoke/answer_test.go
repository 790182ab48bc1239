package smoke_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke"
	"laminate/packager/config"
)

var _ = Describe("Ask", func() {
	var asked atomic.Int32
	var dial smoke.Dial
	BeforeEach(func() {
		asked.Store(0)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch n := asked.Add(1); {
			case r.URL.Path == "/moved":
				http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusFound)
			case n < 3:
				w.WriteHeader(http.StatusServiceUnavailable)
			default:
				_, _ = w.Write([]byte(r.URL.RequestURI() + " " + r.Host))
			}
		}))
		DeferCleanup(server.Close)
		dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			Expect(address).To(Equal("127.0.0.1:8080")) // of the sandbox
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		}
	})
	want := func(toml string) config.SmokeHTTP {
		return *expected("[launch.http]\nport = 8080\n" + toml).Launch.HTTP
	}

	It("asks until the answer is as expected", func(ctx context.Context) {
		a, err := smoke.Ask(ctx, dial, want("path = '/x?y=z'\nbody = 'y=z'"))
		Expect(err).NotTo(HaveOccurred())
		Expect(*a).To(Equal(smoke.Answer{Status: 200, Body: "/x?y=z 127.0.0.1:8080"}))
		Expect(asked.Load()).To(BeEquivalentTo(3))
	}, SpecTimeout(5*time.Second))

	It("follows no redirect", func(ctx context.Context) {
		a, err := smoke.Ask(ctx, dial, want("path = '/moved'\nstatus = 302"))
		Expect(err).NotTo(HaveOccurred())
		Expect(a.Status).To(Equal(302))
	}, SpecTimeout(5*time.Second))

	It("returns the last answer, or why there was none, when the time is over", func(ctx context.Context) {
		short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		a, err := smoke.Ask(short, dial, want("body = 'never'"))
		Expect(err).NotTo(HaveOccurred())
		Expect(a.Status).To(Equal(200))
		short, cancel = context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		_, err = smoke.Ask(short, func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: net.ErrClosed}
		}, want(""))
		Expect(err).To(MatchError(net.ErrClosed))
	}, SpecTimeout(5*time.Second))
})
