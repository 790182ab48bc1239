package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/registry"
)

// answer is what a server says to one request.
type answer struct {
	status int
	after  string // Retry-After
	err    error  // instead
}

var _ = Describe("a request", func() {
	// send makes a request that gets these answers, one after the other, and
	// then 200. It gives how often it was made, and what its body was each time.
	send := func(ctx context.Context, method, body string, answers ...answer) (resp *http.Response, bodies []string, err error) {
		o := registry.Options{Pause: time.Millisecond, Transport: tripper(func(r *http.Request) (*http.Response, error) {
			sent := ""
			if r.Body != nil {
				all, err := io.ReadAll(r.Body)
				Expect(err).NotTo(HaveOccurred())
				sent = string(all)
			}
			bodies = append(bodies, sent)
			a := answer{status: http.StatusOK}
			if n := len(bodies); n <= len(answers) {
				a = answers[n-1]
			}
			if a.err != nil {
				return nil, a.err
			}
			w := httptest.NewRecorder()
			if a.after != "" {
				w.Header().Set("Retry-After", a.after)
			}
			w.WriteHeader(a.status)
			return w.Result(), nil
		})}
		var content io.Reader
		if body != "" {
			content = strings.NewReader(body)
		}
		req, err := http.NewRequestWithContext(ctx, method, "https://example.com/v2/x", content)
		Expect(err).NotTo(HaveOccurred())
		resp, err = o.Retrying().RoundTrip(req)
		return resp, bodies, err
	}

	DescribeTable("is retried after transient failures", func(ctx SpecContext, times int, a answer) {
		answers := []answer{a}
		resp, bodies, err := send(ctx, http.MethodGet, "", answers...)
		Expect(bodies).To(HaveLen(times))
		switch {
		case times == 2:
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.StatusCode).To(Equal(http.StatusOK))
		case a.err != nil:
			Expect(err).To(MatchError(a.err))
		default:
			Expect(resp.StatusCode).To(Equal(a.status))
		}
	},
		Entry("408", 2, answer{status: 408}),
		Entry("429", 2, answer{status: 429}),
		Entry("500", 2, answer{status: 500}),
		Entry("502", 2, answer{status: 502}),
		Entry("503", 2, answer{status: 503}),
		Entry("504", 2, answer{status: 504}),
		Entry("a date that is past", 2, answer{status: 503, after: "Sun, 06 Nov 1994 08:49:37 GMT"}),
		Entry("words", 2, answer{status: 503, after: "soon"}),
		Entry("a connection that broke", 2, answer{err: fmt.Errorf("read: %w", syscall.ECONNRESET)}),
		Entry("one that was closed", 2, answer{err: io.EOF}),
		Entry("a broken stream", 2, answer{err: errors.New("stream error: stream ID 7; INTERNAL_ERROR; received from peer")}),
		Entry("not 400", 1, answer{status: 400}),
		Entry("not 401", 1, answer{status: 401}),
		Entry("not 403", 1, answer{status: 403}),
		Entry("not 404", 1, answer{status: 404}),
		Entry("not 501", 1, answer{status: 501}),
		Entry("not when the registry wants two minutes", 1, answer{status: 429, after: "120"}),
		Entry("not when it wants to be left alone until the far future", 1, answer{status: 503, after: "Fri, 31 Dec 2399 23:59:59 GMT"}),
		Entry("not an error of another kind", 1, answer{err: errors.New("certificate is not trusted")}),
		Entry("not a connection that is refused", 1, answer{err: syscall.ECONNREFUSED}),
	)

	It("waits as long as Retry-After says, in seconds or until a date", func(ctx SpecContext) {
		for _, after := range []func() string{
			func() string { return "1" },
			func() string { return time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat) }, // 1 s to 2 s away
		} {
			started := time.Now()
			_, bodies, err := send(ctx, http.MethodGet, "", answer{status: 429, after: after()})
			Expect(err).NotTo(HaveOccurred())
			Expect(bodies).To(HaveLen(2))
			Expect(time.Since(started)).To(BeNumerically("~", 1500*time.Millisecond, 700*time.Millisecond))
		}
	})

	It("has its body from the beginning each time", func(ctx SpecContext) {
		_, bodies, err := send(ctx, http.MethodPut, "manifest", answer{status: 503}, answer{err: io.EOF})
		Expect(err).NotTo(HaveOccurred())
		Expect(bodies).To(Equal([]string{"manifest", "manifest", "manifest"}))
	})

	It("is made five times at most, and the last response counts", func(ctx SpecContext) {
		many := []answer{{status: 500}, {status: 500}, {status: 500}, {status: 500}, {status: 504}, {status: 500}}
		resp, bodies, err := send(ctx, http.MethodGet, "", many...)
		Expect(err).NotTo(HaveOccurred())
		Expect(bodies).To(HaveLen(5))
		Expect(resp.StatusCode).To(Equal(504))
	})

	It("ends at once with its context", func() {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(50*time.Millisecond, cancel)
		started := time.Now()
		_, bodies, err := send(ctx, http.MethodGet, "", answer{status: 429, after: "30"})
		Expect(err).To(MatchError(context.Canceled))
		Expect(bodies).To(HaveLen(1))
		Expect(time.Since(started)).To(BeNumerically("<", time.Second))
	})

	It("that carries a blob is for the whole upload to make again, when the registry says", func(ctx SpecContext) {
		_, bodies, err := send(ctx, http.MethodPatch, "blob", answer{status: 503, after: "7"})
		var again *registry.AgainError
		Expect(errors.As(err, &again)).To(BeTrue())
		Expect(again.After).To(Equal(7 * time.Second))
		Expect(bodies).To(HaveLen(1))
		_, _, err = send(ctx, http.MethodPatch, "blob", answer{err: syscall.EPIPE})
		Expect(errors.As(err, &again)).To(BeTrue())
		Expect(err).To(MatchError(syscall.EPIPE))
		resp, _, err := send(ctx, http.MethodPatch, "blob", answer{status: 403})
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.StatusCode).To(Equal(403))
	})

	It("that carries a blob is made again alone after 429, with which nothing was taken", func(ctx SpecContext) {
		resp, bodies, err := send(ctx, http.MethodPatch, "blob", answer{status: 429}, answer{status: 429}, answer{status: 202})
		Expect(err).NotTo(HaveOccurred())
		Expect(resp.StatusCode).To(Equal(202))
		Expect(bodies).To(Equal([]string{"blob", "blob", "blob"}))
	})

	It("for a blob's existence is not sent if the check is skipped", func(ctx SpecContext) {
		var reached atomic.Int32
		o := registry.Options{Transport: tripper(func(*http.Request) (*http.Response, error) {
			reached.Add(1)
			return httptest.NewRecorder().Result(), nil
		})}
		blob := "https://example.com/v2/x/blobs/sha256:" + strings.Repeat("0", 64)
		for _, c := range []struct {
			ctx    context.Context
			method string
			url    string
			want   int32
		}{
			{registry.SkipExistsCheck(ctx), http.MethodHead, blob, 0},
			{ctx, http.MethodHead, blob, 1},
			{registry.SkipExistsCheck(ctx), http.MethodGet, blob, 1},
			{registry.SkipExistsCheck(ctx), http.MethodHead, "https://example.com/v2/x/manifests/1", 1},
		} {
			reached.Store(0)
			req, err := http.NewRequestWithContext(c.ctx, c.method, c.url, nil)
			Expect(err).NotTo(HaveOccurred())
			resp, err := o.Retrying().RoundTrip(req)
			Expect(err).NotTo(HaveOccurred())
			Expect(reached.Load()).To(Equal(c.want))
			Expect(resp.StatusCode).To(Equal(map[int32]int{0: 404, 1: 200}[c.want]))
		}
	})
})

var _ = Describe("work that is done again", func() {
	o := registry.Options{
		Pause:     time.Millisecond,
		Transport: tripper(func(*http.Request) (*http.Response, error) { return nil, io.EOF }),
	}
	broken := func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPatch, "https://example.com/", strings.NewReader("x"))
		Expect(err).NotTo(HaveOccurred())
		_, err = o.Retrying().RoundTrip(req)
		return err
	}

	It("ends with success, with another error, and after five attempts", func(ctx SpecContext) {
		var seen []int
		work := func(results ...error) error {
			seen = nil
			return o.Again(ctx, func(attempt int) error {
				seen = append(seen, attempt)
				if attempt > len(results) {
					return broken(ctx)
				}
				return results[attempt-1]
			})
		}
		Expect(work(nil)).To(Succeed())
		Expect(seen).To(Equal([]int{1}))
		other := errors.New("other")
		Expect(work(broken(ctx), other)).To(MatchError(other))
		Expect(seen).To(Equal([]int{1, 2}))
		Expect(work()).To(MatchError(io.EOF))
		Expect(seen).To(Equal([]int{1, 2, 3, 4, 5}))
	})
})
