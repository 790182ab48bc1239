package registry_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/registry"
)

// busyHost counts the requests that are under way, and answers what status says, with the number of
// the request from 1.
type busyHost struct {
	mu        sync.Mutex
	now, most int
	n         int
	takes     time.Duration
	status    func(n int) int
}

func (b *busyHost) RoundTrip(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	b.now++
	b.n++
	n := b.n
	b.most = max(b.most, b.now)
	b.mu.Unlock()
	time.Sleep(b.takes)
	b.mu.Lock()
	b.now--
	b.mu.Unlock()
	status := http.StatusOK
	if b.status != nil {
		status = b.status(n)
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// flood sends requests at the same time, and returns how many of them were answered with 200.
func flood(ctx context.Context, o registry.Options, method string, requests int) (good int) {
	tripper := o.Retrying()
	var mu sync.Mutex
	var group sync.WaitGroup
	for i := range requests {
		group.Go(func() {
			defer GinkgoRecover()
			var req *http.Request
			var err error
			if method == http.MethodPatch {
				req, err = http.NewRequestWithContext(ctx, method, "https://reg.example.com/up", strings.NewReader("x"))
			} else {
				req, err = http.NewRequestWithContext(ctx, method, fmt.Sprintf("https://reg.example.com/v2/%d", i), nil)
			}
			Expect(err).NotTo(HaveOccurred())
			resp, err := tripper.RoundTrip(req)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && resp.StatusCode == http.StatusOK {
				good++
			}
		})
	}
	group.Wait()
	return good
}

var _ = Describe("the pace of requests to a host", func() {
	It("has as many at the same time as the pool allows, over all phases", func(ctx SpecContext) {
		host := &busyHost{takes: 20 * time.Millisecond}
		o := registry.Options{Pool: registry.NewPool(5), Transport: host}
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() { defer GinkgoRecover(); Expect(flood(ctx, o, http.MethodGet, 20)).To(Equal(20)) })
		}
		group.Wait()
		Expect(host.most).To(Equal(5))
	})

	It("counts those that send blobs apart, which may wait for the others", func(ctx SpecContext) {
		started, release := make(chan struct{}, 10), make(chan struct{})
		o := registry.Options{Pool: registry.NewPool(2), Transport: tripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPatch {
				started <- struct{}{}
				<-release
			}
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		})}
		ended := make(chan int)
		go func() { ended <- flood(ctx, o, http.MethodPatch, 3) }()
		<-started
		<-started
		Expect(flood(ctx, o, http.MethodGet, 3)).To(Equal(3), "while all places of uploads are taken")
		Consistently(started, "50ms").ShouldNot(Receive())
		close(release)
		Expect(<-ended).To(Equal(3))
	})

	It("lets one that gives up leave the queue", func(ctx SpecContext) {
		release := make(chan struct{})
		o := registry.Options{Pool: registry.NewPool(1), Transport: tripper(func(r *http.Request) (*http.Response, error) {
			<-release
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		})}
		ended := make(chan int, 2)
		go func() { ended <- flood(ctx, o, http.MethodGet, 1) }()
		time.Sleep(20 * time.Millisecond)
		short, leave := context.WithTimeout(ctx, 20*time.Millisecond)
		defer leave()
		Expect(flood(short, o, http.MethodGet, 3)).To(BeZero())
		go func() { ended <- flood(ctx, o, http.MethodGet, 4) }()
		close(release)
		Expect(<-ended + <-ended).To(Equal(5))
	})

	It("halves with 429, once for those that were under way together, and grows again", func(ctx SpecContext) {
		host := &busyHost{takes: 10 * time.Millisecond, status: func(n int) int {
			if n <= 16 {
				return http.StatusTooManyRequests
			}
			return http.StatusOK
		}}
		o := registry.Options{Pool: registry.NewPool(16), Transport: host, Pause: 50 * time.Millisecond}
		Expect(flood(ctx, o, http.MethodGet, 16)).To(Equal(16))
		Expect(host.most).To(Equal(16))
		host.most = 0
		Expect(flood(ctx, o, http.MethodGet, 20)).To(Equal(20))
		Expect(host.most).To(BeNumerically("~", 11, 2), "8 after the first, and one more for each full number of successes")
		Expect(flood(ctx, o, http.MethodGet, 200)).To(Equal(200))
		Expect(host.most).To(Equal(16))
	})

	Describe("of a pool without a number", func() {
		It("grows to twice as many while requests wait, and no more", func(ctx SpecContext) {
			host := &busyHost{takes: 20 * time.Millisecond}
			o := registry.Options{Pool: registry.NewPool(0), Transport: host}
			Expect(flood(ctx, o, http.MethodGet, registry.DefaultJobs)).To(Equal(registry.DefaultJobs))
			Expect(flood(ctx, o, http.MethodGet, 10)).To(Equal(10))
			Expect(host.most).To(Equal(registry.DefaultJobs), "none has waited")
			Expect(flood(ctx, o, http.MethodGet, 200)).To(Equal(200))
			Expect(host.most).To(Equal(registry.MostJobs))
			host.most = 0
			Expect(flood(ctx, o, http.MethodPatch, 100)).To(Equal(100))
			Expect(host.most).To(Equal(registry.DefaultJobs), "those that send blobs")
		})

		It("stays at what a host with 429 takes", func(ctx SpecContext) {
			host := &busyHost{takes: 10 * time.Millisecond, status: func(n int) int {
				if n <= 16 {
					return http.StatusTooManyRequests
				}
				return http.StatusOK
			}}
			o := registry.Options{Pool: registry.NewPool(0), Transport: host, Pause: 50 * time.Millisecond}
			Expect(flood(ctx, o, http.MethodGet, 16)).To(Equal(16))
			host.most = 0
			Expect(flood(ctx, o, http.MethodGet, 20)).To(Equal(20))
			Expect(host.most).To(BeNumerically("~", 11, 2), "8 after the first, and one more for each full number of successes")
		})
	})

	It("keeps to what it was at first, and ends well, if a host answers 429 to every third request", func(ctx SpecContext) {
		host := &busyHost{takes: 2 * time.Millisecond, status: func(n int) int {
			if n%3 == 0 {
				return http.StatusTooManyRequests
			}
			return http.StatusOK
		}}
		o := registry.Options{Pool: registry.NewPool(0), Transport: host, Pause: time.Millisecond}
		Expect(flood(ctx, o, http.MethodGet, 300)).To(Equal(300))
		Expect(host.n).To(BeNumerically("~", 450, 5), "no request that was served is sent again")
		host.most = 0
		Expect(flood(ctx, o, http.MethodGet, 50)).To(Equal(50))
		Expect(host.most).To(BeNumerically("~", registry.DefaultJobs, 2))
	})

	It("keeps to four if a host answers 429 to two of three requests", func(ctx SpecContext) {
		host := &busyHost{takes: 2 * time.Millisecond, status: func(n int) int {
			if n%3 != 0 {
				return http.StatusTooManyRequests
			}
			return http.StatusOK
		}}
		o := registry.Options{Pool: registry.NewPool(16), Transport: host, Pause: time.Millisecond}
		flood(ctx, o, http.MethodGet, 100)
		host.most = 0
		flood(ctx, o, http.MethodGet, 50)
		Expect(host.most).To(And(BeNumerically(">=", 4), BeNumerically("<=", 6)))
	})

	It("waits less if a host serves most requests, and as long as ever if it serves few", func(ctx SpecContext) {
		for _, of := range []struct {
			serves  func(n int) bool
			shorter bool
		}{{func(n int) bool { return n%3 != 0 }, true}, {func(n int) bool { return n%3 == 0 }, false}} {
			host := &busyHost{status: func(n int) int {
				if of.serves(n) {
					return http.StatusOK
				}
				return http.StatusTooManyRequests
			}}
			o := registry.Options{Pool: registry.NewPool(1), Transport: host, Pause: 200 * time.Millisecond}
			began := time.Now()
			Expect(flood(ctx, o, http.MethodGet, 3)).To(Equal(3))
			Expect(time.Since(began) < 150*time.Millisecond).To(Equal(of.shorter))
		}
	})

	It("asks five times if a host answers 429 to everything", func(ctx SpecContext) {
		host := &busyHost{status: func(int) int { return http.StatusTooManyRequests }}
		o := registry.Options{Pool: registry.NewPool(16), Transport: host, Pause: time.Millisecond}
		Expect(flood(ctx, o, http.MethodGet, 1)).To(BeZero())
		Expect(host.n).To(Equal(5))
	})
})
