package registry_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"io"
	"math/rand"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/registry"
)

// A world is some hosts with names, all of them in this process: those whose
// port is 80 speak plain HTTP, the others TLS.
type world struct {
	transport *http.Transport

	mu    sync.Mutex
	hosts map[string]http.HandlerFunc // by scheme://host[:port]
	seen  []seen
}

// seen is a request that a host got.
type seen struct {
	at, method, path, authorization, body string
	scopes                                string // in the query
}

func newWorld() *world {
	w := &world{hosts: map[string]http.HandlerFunc{}}
	handler := http.HandlerFunc(func(resp http.ResponseWriter, req *http.Request) {
		at := "http://" + strings.ToLower(req.Host)
		if req.TLS != nil {
			at = "https://" + strings.ToLower(req.Host)
		}
		body := ""
		if strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
			all, _ := io.ReadAll(req.Body)
			body = string(all)
		}
		w.mu.Lock()
		w.seen = append(w.seen, seen{at, req.Method, req.URL.Path, req.Header.Get("Authorization"), body, strings.Join(req.URL.Query()["scope"], " ")})
		serve := w.hosts[at]
		w.mu.Unlock()
		if _, has := req.Header["Referer"]; has {
			resp.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(resp, "there is a Referer")
			return
		}
		if serve == nil {
			resp.WriteHeader(http.StatusNotImplemented)
			return
		}
		serve(resp, req)
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	DeferCleanup(plain.Close)
	DeferCleanup(secure.Close)
	w.transport = &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			to := secure.Listener.Addr().String()
			if strings.HasSuffix(addr, ":80") {
				to = plain.Listener.Addr().String()
			}
			return (&net.Dialer{}).DialContext(ctx, "tcp", to)
		},
	}
	DeferCleanup(w.transport.CloseIdleConnections)
	return w
}

// at lets a host serve.
func (w *world) at(host string, serve http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts[host] = serve
}

// requests are those that a host got, or all hosts where it is "".
func (w *world) requests(at string) []seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []seen
	for _, s := range w.seen {
		if at == "" || s.at == at {
			all = append(all, s)
		}
	}
	return all
}

// options speak to the world, with these credentials for every registry.
func (w *world) options(auth authn.AuthConfig) registry.Options {
	return registry.Options{Transport: w.transport, Keychain: keys{authn.FromConfig(auth)}, Pause: 1}
}

type keys struct{ authn.Authenticator }

func (k keys) Resolve(authn.Resource) (authn.Authenticator, error) { return k.Authenticator, nil }

// blob is some bytes, and the path of them in a repository.
func blob(size int) (body []byte, digest string) {
	body = make([]byte, size)
	rand.New(rand.NewSource(1)).Read(body)
	sum := sha256.Sum256(body)
	return body, "sha256:" + hex.EncodeToString(sum[:])
}

// serveBlob serves bytes, in ranges where they are asked for. The first breaks
// connections end in the middle of what is left.
func serveBlob(body []byte, breaks int) http.HandlerFunc {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		from, status := 0, http.StatusOK
		if asked, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
			begin, _, _ := strings.Cut(asked, "-")
			from, _ = strconv.Atoi(begin)
			status = http.StatusPartialContent
			w.Header().Set("Content-Range", "bytes "+begin+"-"+strconv.Itoa(len(body)-1)+"/"+strconv.Itoa(len(body)))
		}
		rest := body[from:]
		w.Header().Set("Content-Length", strconv.Itoa(len(rest)))
		w.WriteHeader(status)
		if breaks > 0 {
			breaks--
			_, _ = w.Write(rest[:len(rest)/2])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(rest)
	}
}

var _ = Describe("the world", func() {
	It("has hosts of its own", func(ctx SpecContext) {
		w := newWorld()
		w.at("https://example.com", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
		resp, err := (&http.Client{Transport: w.transport}).Get("https://example.com/x")
		Expect(err).NotTo(HaveOccurred())
		Expect(io.ReadAll(resp.Body)).To(BeEquivalentTo("hello"))
		Expect(resp.Body.Close()).To(Succeed())
		Expect(w.requests("https://example.com")).To(HaveLen(1))
	})
})
