package sink_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/packager/progress"
	"laminate/packager/sink"
)

func TestSink(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute) // of a busy machine
	RunSpecs(t, "sink")
}

var (
	amd64 = flatten.Target{OS: "linux", Arch: "amd64"}
	arm64 = flatten.Target{OS: "linux", Arch: "arm64"}
)

// layerOf is a layer that holds one file of bytes that no compressor makes smaller.
func layerOf(seed int64, size int, options ...tarball.LayerOption) v1.Layer {
	GinkgoHelper()
	body := make([]byte, size)
	rand.New(rand.NewSource(seed)).Read(body)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	Expect(w.WriteHeader(&tar.Header{Name: "/cnb/file", Mode: 0o644, Size: int64(size)})).To(Succeed())
	_, err := w.Write(body)
	Expect(err).NotTo(HaveOccurred())
	Expect(w.Close()).To(Succeed())
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	}, append([]tarball.LayerOption{tarball.WithMediaType(types.DockerLayer)}, options...)...)
	Expect(err).NotTo(HaveOccurred())
	return l
}

func zstdLayer(seed int64, size int) v1.Layer {
	return layerOf(seed, size, tarball.WithCompression(compression.ZStd), tarball.WithMediaType(types.OCILayerZStd))
}

// imageOf is an image of the layers for a target.
func imageOf(t flatten.Target, layers ...v1.Layer) sink.Image {
	GinkgoHelper()
	img, err := mutate.AppendLayers(empty.Image, layers...)
	Expect(err).NotTo(HaveOccurred())
	file, err := img.ConfigFile()
	Expect(err).NotTo(HaveOccurred())
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Variant = t.OS, t.Arch, t.Variant
	if len(t.Distros) > 0 {
		file.OSVersion = t.Distros[0].Version
	}
	img, err = mutate.ConfigFile(img, file)
	Expect(err).NotTo(HaveOccurred())
	return sink.Image{Image: img, Target: t}
}

func oci(img sink.Image) sink.Image {
	img.Image = mutate.ConfigMediaType(mutate.MediaType(img.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	return img
}

// ociDigest is the digest of the image's manifest once it has OCI media types.
func ociDigest(img sink.Image) v1.Hash {
	GinkgoHelper()
	m, err := img.Manifest()
	Expect(err).NotTo(HaveOccurred())
	if m.MediaType == types.OCIManifestSchema1 {
		return digestOf(img)
	}
	m = m.DeepCopy()
	m.MediaType, m.Config.MediaType = types.OCIManifestSchema1, types.OCIConfigJSON
	for i := range m.Layers {
		if m.Layers[i].MediaType == types.DockerLayer {
			m.Layers[i].MediaType = types.OCILayer
		}
	}
	raw, err := json.Marshal(m)
	Expect(err).NotTo(HaveOccurred())
	digest, _, err := v1.SHA256(bytes.NewReader(raw))
	Expect(err).NotTo(HaveOccurred())
	return digest
}

// altered is an image whose layers are others than its manifest says.
type altered struct {
	v1.Image
	layers []v1.Layer
}

func (a altered) Layers() ([]v1.Layer, error) { return a.layers, nil }

// withOpener is a layer that keeps its digest and size and is read another way.
type withOpener struct {
	v1.Layer
	open func() (io.ReadCloser, error)
}

func (l withOpener) Compressed() (io.ReadCloser, error) { return l.open() }

// reread returns the image with every layer read through change.
func reread(img sink.Image, change func(io.ReadCloser) io.ReadCloser) sink.Image {
	GinkgoHelper()
	layers, err := img.Layers()
	Expect(err).NotTo(HaveOccurred())
	for i, l := range layers {
		layers[i] = withOpener{Layer: l, open: func() (io.ReadCloser, error) {
			r, err := l.Compressed()
			return change(r), err
		}}
	}
	img.Image = altered{Image: img.Image, layers: layers}
	return img
}

type reader struct {
	io.Reader
	io.Closer
}

// flipped turns the last byte over.
func flipped(r io.ReadCloser) io.ReadCloser {
	all, err := io.ReadAll(r)
	if err != nil {
		return reader{errReader{err}, r}
	}
	all[len(all)-1] ^= 1
	return reader{bytes.NewReader(all), r}
}

// cut leaves the last byte out, and longer adds one.
func cut(r io.ReadCloser) io.ReadCloser {
	all, err := io.ReadAll(r)
	if err != nil {
		return reader{errReader{err}, r}
	}
	return reader{bytes.NewReader(all[:len(all)-1]), r}
}

func longer(r io.ReadCloser) io.ReadCloser {
	return reader{io.MultiReader(r, strings.NewReader("x")), r}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// cancelling cancels after some bytes and then gives the rest.
func cancelling(cancel context.CancelFunc, after int64) func(io.ReadCloser) io.ReadCloser {
	return func(r io.ReadCloser) io.ReadCloser {
		return reader{io.MultiReader(io.LimitReader(r, after), readerFunc(func([]byte) (int, error) { cancel(); return 0, io.EOF }), r), r}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// names lists a directory.
func names(dir string) []string {
	GinkgoHelper()
	entries, err := os.ReadDir(dir)
	Expect(err).NotTo(HaveOccurred())
	all := []string{}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func contentOf(path ...string) string {
	GinkgoHelper()
	raw, err := os.ReadFile(filepath.Join(path...))
	Expect(err).NotTo(HaveOccurred())
	return string(raw)
}

// recorded is a Log that keeps what it is told.
type recorded struct {
	mu    sync.Mutex
	lines []string
	bytes int64
}

func (r *recorded) add(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

func (r *recorded) Warn(m string) { r.add("warning " + m) }
func (r *recorded) Note(v progress.Verb, n progress.Subject, _ int64) {
	r.add(string(v) + " " + n.Name)
}
func (r *recorded) Start(v progress.Verb, n progress.Subject, _ int64) progress.Task {
	r.add(string(v) + " " + n.Name)
	return r
}

func (r *recorded) Add(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes += n
}

func (r *recorded) Done(err error) {
	if err != nil {
		r.add("failed")
		return
	}
	r.add("done")
}

// A watchedRegistry is ggcr's registry in this process. It keeps the order of
// requests that change it, and lets fault answer first.
type watchedRegistry struct {
	host string

	mu      sync.Mutex
	changes []string
	fault   func(http.ResponseWriter, *http.Request) bool
}

func newRegistry(options ...registry.Option) *watchedRegistry {
	w := &watchedRegistry{}
	inner := registry.New(append(options, registry.Logger(log.New(io.Discard, "", 0)))...)
	server := httptest.NewServer(http.HandlerFunc(func(resp http.ResponseWriter, req *http.Request) {
		w.mu.Lock()
		fault := w.fault
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			w.changes = append(w.changes, req.Method+" "+req.URL.Path)
		}
		w.mu.Unlock()
		if fault == nil || !fault(resp, req) {
			inner.ServeHTTP(resp, req)
		}
	}))
	w.host = strings.TrimPrefix(server.URL, "http://")
	DeferCleanup(server.CloseClientConnections)
	DeferCleanup(server.Close)
	return w
}

func (w *watchedRegistry) breaks(fault func(http.ResponseWriter, *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = fault
}

// manifests are the manifests that were put, in order, by tag or digest.
func (w *watchedRegistry) manifests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, c := range w.changes {
		if repo, ref, ok := strings.Cut(strings.TrimPrefix(c, "PUT /v2/"), "/manifests/"); ok {
			all = append(all, repo+" "+ref)
		}
	}
	return all
}

// mounts makes the registry keep repo's blobs apart, as real ones do, and
// mount what is asked for. It counts the mounts by where they come from.
func (w *watchedRegistry) mounts(repo string) map[string]int {
	counts := map[string]int{}
	mounted := map[string]bool{}
	w.breaks(func(resp http.ResponseWriter, req *http.Request) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		digest, blob := strings.CutPrefix(req.URL.Path, "/v2/"+repo+"/blobs/sha256:")
		from := req.URL.Query().Get("from")
		switch {
		case req.Method == http.MethodHead && blob && !mounted["sha256:"+digest]:
			resp.WriteHeader(http.StatusNotFound)
		case req.Method == http.MethodPost && strings.HasPrefix(req.URL.Path, "/v2/"+repo+"/blobs/") && from != "":
			counts[from]++
			mounted[req.URL.Query().Get("mount")] = true
			resp.WriteHeader(http.StatusCreated)
		default:
			return false
		}
		return true
	})
	return counts
}

// interruptible returns a context, what cancels it, and a check that no more
// than a second has gone by since.
func interruptible(parent context.Context) (ctx context.Context, cancel, soon func()) {
	inner, stop := context.WithCancel(parent)
	var once sync.Once
	var at time.Time
	cancel = func() { once.Do(func() { at = time.Now(); stop() }) }
	return inner, cancel, func() {
		GinkgoHelper()
		Expect(inner.Err()).To(HaveOccurred(), "nobody cancelled")
		Expect(time.Since(at)).To(BeNumerically("<", time.Second))
	}
}
