package verify_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/flatten"
	"laminate/packager"
	"laminate/packager/config"
	"laminate/packager/engine"
	"laminate/packager/location"
	"laminate/packager/progress"
	"laminate/packager/sink"
	"laminate/packager/source"
	"laminate/packager/verify"
)

// verifiedLayout verifies the images of a layout. It returns whether all are ok.
func verifiedLayout(ctx context.Context, dir string) (ok bool, err error) {
	work, err := os.MkdirTemp("", "verify")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(work)
	loc, err := location.ParseSource("oci:"+dir, "")
	if err != nil {
		return false, err
	}
	found, err := (&source.Opener{WorkDir: work}).Platforms(ctx, loc, flatten.Target{})
	if err != nil {
		return false, err
	}
	ok = true
	for _, img := range found.Images {
		r, err := verify.Image(ctx, img)
		if err != nil {
			return false, err
		}
		ok = ok && r.OK
	}
	return ok, nil
}

// writeSample packages a sample into a layout.
func writeSample(dir, work string) error {
	ctx := context.Background()
	c, err := config.ReadPackage(filepath.Join(fixtures.Root(), "packages", "my-programming-lang", "package.toml"))
	if err != nil {
		return err
	}
	o := engine.Options{WorkDir: work, Log: progress.Discard, Grouping: flatten.Grouping{Mode: flatten.Composites}}
	jobs, err := packager.Prepare(ctx, &source.Opener{WorkDir: work}, packager.Options{Config: c, Options: o})
	if err != nil {
		return err
	}
	img, err := jobs[0].Build(ctx)
	if err != nil {
		return err
	}
	dest, err := location.ParseDest("oci:"+dir, location.DestOptions{})
	if err != nil {
		return err
	}
	_, err = sink.Write(ctx, dest, []sink.Image{{Image: img.Image}}, sink.Options{})
	return err
}

// Whatever bytes of a layout are changed, verify neither panics nor says that all is well.
func FuzzDamage(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "layout")
	if err := writeSample(dir, f.TempDir()); err != nil {
		f.Fatal(err)
	}
	if ok, err := verifiedLayout(context.Background(), dir); !ok || err != nil {
		f.Fatal("the sample is broken", err)
	}
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	if err != nil || len(blobs) < 4 {
		f.Fatal(blobs, err)
	}
	f.Add(uint8(0), uint16(0), uint8(1), uint16(0))
	f.Add(uint8(1), uint16(40), uint8(0xff), uint16(0))
	f.Add(uint8(2), uint16(700), uint8(0x80), uint16(9))
	f.Add(uint8(3), uint16(9999), uint8(0), uint16(50))
	f.Fuzz(func(t *testing.T, which uint8, at uint16, flip uint8, cut uint16) {
		file := blobs[int(which)%len(blobs)]
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		damaged := append([]byte{}, content...)
		damaged[int(at)%len(damaged)] ^= flip
		damaged = damaged[:len(damaged)-int(cut)%len(damaged)]
		if string(damaged) == string(content) {
			t.Skip()
		}
		if err := os.WriteFile(file, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		defer os.WriteFile(file, content, 0o644)
		if ok, err := verifiedLayout(t.Context(), dir); ok && err == nil {
			t.Fatalf("%s is damaged, and nothing is found", filepath.Base(file))
		}
	})
}

var _ = Describe("an image in a registry", func() {
	var b *bench
	// pushed has the package in a registry whose answers to requests of one blob are changed.
	pushed := func(change func(http.ResponseWriter, *http.Request, http.Handler)) (ref string) {
		GinkgoHelper()
		img := b.open(b.root("p", flatten.None))
		layers, err := img.Layers()
		Expect(err).NotTo(HaveOccurred())
		digest, err := layers[1].Digest()
		Expect(err).NotTo(HaveOccurred())
		inner, changing := registry.New(registry.Logger(log.New(io.Discard, "", 0))), false
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if changing && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/blobs/"+digest.String()) {
				change(w, r, inner)
				return
			}
			inner.ServeHTTP(w, r)
		}))
		DeferCleanup(server.Close)
		host := strings.TrimPrefix(server.URL, "http://")
		at, err := name.ParseReference(host + "/acme/p:1")
		Expect(err).NotTo(HaveOccurred())
		Expect(remote.Write(at, img)).To(Succeed())
		changing = true
		return host + "/acme/p:1"
	}
	BeforeEach(func() { b = newBench() })

	It("is read", func() {
		r := b.report(pushed(func(w http.ResponseWriter, r *http.Request, inner http.Handler) { inner.ServeHTTP(w, r) }))
		Expect(findings(r)).To(BeEmpty())
	})

	It("that has lost a blob is broken", func() {
		r := b.report(pushed(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusNotFound) }))
		Expect(findings(r)).To(HaveExactElements("broken blob 2 : the registry does not have it"))
	})

	It("that has another blob under a digest is broken", func() {
		r := b.report(pushed(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			_, _ = w.Write([]byte("\x1f\x8bnonsense"))
		}))
		Expect(findings(r)).To(HaveExactElements(HavePrefix("broken blob 2 : ")))
	})

	It("that is refused is an error, and no finding", func() {
		_, err := b.verified(pushed(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusForbidden) }))
		Expect(err).To(MatchError(ContainSubstring("/acme/p:1")))
	})

	It("is not read on if the run is interrupted", func() {
		ctx, cancel := context.WithCancel(context.Background())
		release := make(chan struct{})
		ref := pushed(func(http.ResponseWriter, *http.Request, http.Handler) { cancel(); <-release })
		loc, err := location.ParseSource(ref, "")
		Expect(err).NotTo(HaveOccurred())
		found, err := b.opener(GinkgoT().TempDir()).Platforms(ctx, loc, flatten.Target{})
		Expect(err).NotTo(HaveOccurred())
		before := runtime.NumGoroutine()
		began := time.Now()
		_, err = verify.Image(ctx, found.Images[0])
		close(release)
		Expect(err).To(MatchError(context.Canceled))
		Expect(time.Since(began)).To(BeNumerically("<", 10*time.Second))
		Eventually(runtime.NumGoroutine).Should(BeNumerically("<=", before+4))
	})
})
