package source_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"laminate/fixtures"
	"laminate/flatten"
	"laminate/packager/location"
)

var _ = Describe("a layer that comes from a registry", func() {
	var reg *fixtures.Traffic
	var lower v1.Layer
	var size int64
	BeforeEach(func() {
		reg = fixtures.CountedRegistry(GinkgoT())
		img := heavyImage(8 << 20)
		push(reg.Host+"/acme/heavy:1", img)
		layers, err := img.Layers()
		Expect(err).NotTo(HaveOccurred())
		lower = layers[0]
		size, err = lower.Size()
		Expect(err).NotTo(HaveOccurred())
	})
	isLayer := func(r *http.Request) bool {
		digest, err := lower.Digest()
		return err == nil && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/blobs/"+digest.String())
	}
	// read opens the image and reads the layer through.
	read := func(ctx context.Context) error {
		GinkgoHelper()
		img, err := opener().Image(ctx, at(location.Registry, "", reg.Host+"/acme/heavy:1"), flatten.Target{})
		Expect(err).NotTo(HaveOccurred())
		layers, err := img.Layers()
		Expect(err).NotTo(HaveOccurred())
		rc, err := layers[0].Compressed()
		if err != nil {
			return err
		}
		defer rc.Close()
		n, err := io.Copy(io.Discard, rc)
		if err == nil {
			Expect(n).To(Equal(size))
		}
		return err
	}
	// cut answers with some bytes of what the request asks for, and breaks.
	cut := func(w http.ResponseWriter, r *http.Request, n int64) {
		body, err := lower.Compressed()
		if err != nil {
			return
		}
		var from int64
		if asked := r.Header.Get("Range"); asked != "" {
			_, _ = fmt.Sscanf(asked, "bytes=%d-", &from)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, size-1, size))
		}
		w.Header().Set("Content-Length", strconv.FormatInt(size-from, 10))
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		_, _ = io.CopyN(io.Discard, body, from)
		_, _ = io.CopyN(w, body, n)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	gets := func() []fixtures.Request {
		digest, err := lower.Digest()
		Expect(err).NotTo(HaveOccurred())
		return reg.Requests(func(r fixtures.Request) bool {
			return r.Method == http.MethodGet && r.Kind == fixtures.Blob && r.Digest == digest.String()
		})
	}

	It("goes on where the connection broke, and no byte comes twice", func(ctx SpecContext) {
		var n atomic.Int32
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) && n.Add(1) <= 2 {
				cut(w, r, 1_500_000)
			}
			return false
		})
		Expect(read(ctx)).To(Succeed())
		all := gets()
		Expect(all).To(HaveLen(3))
		Expect(all[0].Down + all[1].Down + all[2].Down).To(Equal(size))
		Expect(all[2].Status).To(Equal(http.StatusPartialContent))
	})

	It("is right also where the registry knows no ranges", func(ctx SpecContext) {
		var n atomic.Int32
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) {
				r.Header.Del("Range")
				if n.Add(1) <= 2 {
					cut(w, r, 1_500_000*int64(n.Load()))
				}
			}
			return false
		})
		Expect(read(ctx)).To(Succeed())
		Expect(gets()).To(HaveLen(3))
	})

	It("goes on as long as each connection brings it further", func(ctx SpecContext) {
		var n atomic.Int32
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) && n.Add(1) <= 7 {
				cut(w, r, 1_100_000)
			}
			return false
		})
		Expect(read(ctx)).To(Succeed())
		Expect(gets()).To(HaveLen(8))
	})

	It("that is silent from the beginning is not asked for twice", func(ctx SpecContext) {
		release := make(chan struct{})
		DeferCleanup(func() { close(release) })
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) {
				w.WriteHeader(http.StatusOK)
				_ = http.NewResponseController(w).Flush()
				<-release
			}
			return false
		})
		o := opener()
		o.Stall = 200 * time.Millisecond
		img, err := o.Image(ctx, at(location.Registry, "", reg.Host+"/acme/heavy:1"), flatten.Target{})
		Expect(err).NotTo(HaveOccurred())
		layers, err := img.Layers()
		Expect(err).NotTo(HaveOccurred())
		_, err = layers[0].Compressed()
		Expect(err).To(MatchError(ContainSubstring("does not respond")))
		Expect(gets()).To(HaveLen(1))
	})

	It("goes on when the registry falls silent in the middle", func(ctx SpecContext) {
		var n atomic.Int32
		release := make(chan struct{})
		DeferCleanup(func() { close(release) })
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) && n.Add(1) == 1 {
				w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
				body, err := lower.Compressed()
				if err == nil {
					_, _ = io.CopyN(w, body, 1000)
				}
				_ = http.NewResponseController(w).Flush()
				<-release
			}
			return false
		})
		o := opener()
		o.Stall = 200 * time.Millisecond
		img, err := o.Image(ctx, at(location.Registry, "", reg.Host+"/acme/heavy:1"), flatten.Target{})
		Expect(err).NotTo(HaveOccurred())
		layers, err := img.Layers()
		Expect(err).NotTo(HaveOccurred())
		rc, err := layers[0].Compressed()
		Expect(err).NotTo(HaveOccurred())
		defer rc.Close()
		Expect(io.Copy(io.Discard, rc)).To(Equal(size))
	})

	It("is given up where no connection brings it further", func(ctx SpecContext) {
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) {
				cut(w, r, 1000)
			}
			return false
		})
		started := time.Now()
		err := read(ctx)
		Expect(err).To(MatchError(And(HavePrefix(reg.Host+"/acme/heavy:1: layer sha256:"), ContainSubstring("EOF"))))
		Expect(gets()).To(HaveLen(5))
		Expect(time.Since(started)).To(BeNumerically("<", 10*time.Second))
	})

	It("is given up where the registry goes on elsewhere", func(ctx SpecContext) {
		var n atomic.Int32
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) && n.Add(1) == 1 {
				cut(w, r, 1000)
			}
			if isLayer(r) {
				r.Header.Set("Range", "bytes=10-"+strconv.FormatInt(size-1, 10))
			}
			return false
		})
		Expect(read(ctx)).To(MatchError(ContainSubstring(`resumed at byte 1000, but the registry sends "bytes 10-`)))
	})

	It("is not what it should be where the rest is of something else", func(ctx SpecContext) {
		var n atomic.Int32
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case !isLayer(r):
				return false
			case n.Add(1) == 1:
				cut(w, r, 1000)
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 1000-%d/%d", size-1, size))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.CopyN(w, zeros{}, size-1000)
			return true
		})
		Expect(read(ctx)).To(MatchError(ContainSubstring("checksum")))
	})

	It("is resumed with a new token, each time that one expires in the middle", func(ctx SpecContext) {
		var tokens, breaks atomic.Int32
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				Expect(r.URL.Query().Get("scope")).To(Equal("repository:acme/heavy:pull"))
				_, _ = fmt.Fprintf(w, `{"token":"%d"}`, tokens.Add(1))
				return true
			}
			if r.Header.Get("Authorization") != fmt.Sprintf("Bearer %d", max(tokens.Load(), breaks.Load()+1)) {
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="x"`, reg.Host))
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}
			if isLayer(r) && breaks.Load() < 3 {
				breaks.Add(1) // the token is good for no other request
				cut(w, r, 1_100_000)
			}
			return false
		})
		Expect(read(ctx)).To(Succeed())
		var status []int
		for _, r := range gets() {
			status = append(status, r.Status)
		}
		Expect(status).To(Equal([]int{200, 401, 206, 401, 206, 401, 206}))
		Expect(tokens.Load()).To(Equal(int32(4)))
	})

	It("is refused where the new token is refused as well", func(ctx SpecContext) {
		broken := false
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case r.URL.Path == "/token":
				_, _ = io.WriteString(w, `{"token":"x"}`)
				return true
			case broken || r.Header.Get("Authorization") == "":
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="x"`, reg.Host))
				w.WriteHeader(http.StatusUnauthorized)
				return true
			case isLayer(r):
				broken = true
				cut(w, r, 1_500_000)
			}
			return false
		})
		Expect(read(ctx)).To(MatchError(ContainSubstring("401 Unauthorized")))
		Expect(len(gets())).To(Equal(4), "with the old token, and with a new one, twice by the library")
	})

	DescribeTable("is asked for where it was asked for first, for where that leads is good for a while only",
		func(ctx SpecContext, second string, matches types.GomegaMatcher) {
			storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/1" {
					cut(w, r, 1_500_000)
				}
				whole, err := lower.Compressed()
				if err != nil {
					return
				}
				var from int64
				_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, size-1, size))
				w.WriteHeader(http.StatusPartialContent)
				_, _ = io.CopyN(io.Discard, whole, from)
				_, _ = io.Copy(w, whole)
			}))
			DeferCleanup(storage.Close)
			port := storage.URL[strings.LastIndex(storage.URL, ":"):]
			var n atomic.Int32
			reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
				if !isLayer(r) {
					return false
				}
				if n.Add(1) == 1 {
					http.Redirect(w, r, "http://127.0.0.1"+port+"/1", http.StatusTemporaryRedirect)
				} else {
					http.Redirect(w, r, "http://"+second+port+"/2", http.StatusTemporaryRedirect)
				}
				return true
			})
			Expect(read(ctx)).To(matches)
			Expect(gets()).To(HaveLen(2))
		},
		Entry("", "127.0.0.1", Succeed()),
		Entry("and leads to no bare address of another machine", "127.0.0.2", MatchError(ContainSubstring("refused redirect to 127.0.0.2"))),
	)

	DescribeTable("may be asked for again", func(ctx SpecContext, status int, after string, asked int) {
		var n atomic.Int32
		reg.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if !isLayer(r) || int(n.Add(1)) >= asked && asked > 1 {
				return false
			}
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			w.WriteHeader(status)
			return true
		})
		err := read(ctx)
		Expect(gets()).To(HaveLen(asked))
		if asked > 1 {
			Expect(err).NotTo(HaveOccurred())
		} else {
			Expect(err).To(MatchError(ContainSubstring(strconv.Itoa(status))))
		}
	},
		Entry("after 503, twice", 503, "", 3),
		Entry("after 429, in seconds", 429, "1", 2),
		Entry("after 429, at a date", 429, "Fri, 31 Dec 1999 23:59:59 GMT", 2),
		Entry("but not after 401", 401, "", 1),
		Entry("but not after 403", 403, "", 1),
		Entry("but not after 404", 404, "", 1),
		Entry("but not after 410", 410, "", 1),
	)
})

// heavyImage has one layer of as many bytes, which no compressor makes fewer.
func heavyImage(size int) v1.Image {
	GinkgoHelper()
	body := make([]byte, size)
	rand.New(rand.NewSource(1)).Read(body)
	archive := tarOf(entry{Header: tar.Header{Name: "/heavy", Mode: 0o644}, body: string(body)})
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil })
	Expect(err).NotTo(HaveOccurred())
	img, err := mutate.AppendLayers(empty.Image, l)
	Expect(err).NotTo(HaveOccurred())
	return img
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
