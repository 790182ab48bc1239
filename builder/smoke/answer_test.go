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
	var enough func() // is called for each request
	BeforeEach(func() {
		asked.Store(0)
		enough = func() {}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := asked.Add(1)
			enough()
			switch {
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
	}, SpecTimeout(time.Minute))

	It("follows no redirect", func(ctx context.Context) {
		a, err := smoke.Ask(ctx, dial, want("path = '/moved'\nstatus = 302"))
		Expect(err).NotTo(HaveOccurred())
		Expect(a.Status).To(Equal(302))
	}, SpecTimeout(time.Minute))

	It("returns the last answer, or why there was none, when the time is over", func(ctx context.Context) {
		over, end := context.WithCancel(ctx)
		defer end()
		enough = func() {
			if asked.Load() == 4 { // the third answer was taken
				end()
			}
		}
		a, err := smoke.Ask(over, dial, want("body = 'never'"))
		Expect(err).NotTo(HaveOccurred())
		Expect(a.Status).To(Equal(200))
		over, end = context.WithCancel(ctx)
		defer end()
		dials := 0
		_, err = smoke.Ask(over, func(context.Context, string, string) (net.Conn, error) {
			if dials++; dials == 2 {
				end()
			}
			return nil, &net.OpError{Op: "dial", Err: net.ErrClosed}
		}, want(""))
		Expect(err).To(MatchError(net.ErrClosed))
	}, SpecTimeout(time.Minute))
})
