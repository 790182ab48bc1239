package packager_test

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
)

// rewriteTar writes a tar file anew, with what change makes of the content of
// each file; a file of which it makes nil goes missing.
func rewriteTar(file string, change func(name string, content []byte) []byte) {
	GinkgoHelper()
	f, err := os.Open(file)
	Expect(err).NotTo(HaveOccurred())
	defer f.Close()
	var kept []entry
	for tr := tar.NewReader(f); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		Expect(err).NotTo(HaveOccurred())
		content, err := io.ReadAll(tr)
		Expect(err).NotTo(HaveOccurred())
		if h.Typeflag == tar.TypeReg {
			if content = change(h.Name, content); content == nil {
				continue
			}
		}
		kept = append(kept, entry{Header: *h, Body: string(content)})
	}
	Expect(os.WriteFile(file, tarOf(kept...), 0o600)).To(Succeed())
}

// A form is how a source holds an image.
type form struct {
	keep   func(*bench, v1.Image) string                        // returns what package.toml names
	change func(b *bench, img v1.Image, to func([]byte) []byte) // changes the file of every layer
}

var spoiledForms = map[string]form{
	"docker-archive": {
		func(b *bench, img v1.Image) string { return b.Keep(img, "docker-archive:own.tar:acme/own:1") },
		func(b *bench, _ v1.Image, to func([]byte) []byte) {
			rewriteTar(b.At("own.tar"), func(name string, content []byte) []byte {
				if strings.HasSuffix(name, ".json") || name == "repositories" || isJSON(content) {
					return content
				}
				return to(content)
			})
		},
	},
	"layout": {
		func(b *bench, img v1.Image) string { b.keepLayout("own", img); return "own" },
		func(b *bench, img v1.Image, to func([]byte) []byte) {
			for _, digest := range blobsOf(img) {
				file := filepath.Join(b.At("own"), "blobs", "sha256", strings.TrimPrefix(digest, "sha256:"))
				content, err := os.ReadFile(file)
				Expect(err).NotTo(HaveOccurred())
				Expect(os.Remove(file)).To(Succeed())
				if content = to(content); content != nil {
					Expect(os.WriteFile(file, content, 0o600)).To(Succeed())
				}
			}
		},
	},
	".cnb": {
		func(b *bench, img v1.Image) string { b.keepCNB("own.cnb", img); return "own.cnb" },
		func(b *bench, img v1.Image, to func([]byte) []byte) {
			rewriteTar(b.At("own.cnb"), func(name string, content []byte) []byte {
				for _, digest := range blobsOf(img) {
					if strings.HasSuffix(name, strings.TrimPrefix(digest, "sha256:")) {
						return to(content)
					}
				}
				return content
			})
		},
	},
}

func isJSON(content []byte) bool { return len(content) > 0 && content[0] == '{' }

var spoilings = map[string]func([]byte) []byte{
	"missing":              func([]byte) []byte { return nil },
	"longer, and another":  func(c []byte) []byte { return append(c[:len(c):len(c)], make([]byte, 1024)...) },
	"cut off in its midst": func(c []byte) []byte { return c[:len(c)/1024*512] },
}

var _ = Describe("a source whose layer is spoiled", func() {
	for formName, f := range spoiledForms {
		for spoilName, spoil := range spoilings {
			for modeName, mode := range map[string]flatten.Mode{"one layer": flatten.All, "a layer each": flatten.None} {
				It("fails with a cache as without: "+formName+", "+spoilName+", "+modeName, func() {
					b := newBench()
					img := recompressed(b.pair(flatten.None).Image, gzip9)
					file := b.toml("acme_root@1", f.keep(b, img))
					before := b.build(file, flat(mode), b.cached("cache"))
					Expect(digestOf(b.build(file, flat(mode), b.cached("cache")).Image)).To(Equal(digestOf(before.Image)))
					f.change(b, img, spoil)
					want := result(b, file, flat(mode))
					Expect(result(b, file, both(flat(mode), b.cached("empty")))).To(Equal(want))
					Expect(result(b, file, both(flat(mode), b.cached("cache")))).To(Equal(want))
					Expect(want).To(HavePrefix("error: "))
				})
			}
		}
	}
})

// result is the digest of what a run makes, or its error.
func result(b *bench, file string, c change) string {
	GinkgoHelper()
	img, err := b.run(file, c)
	if err != nil {
		return "error: " + err.Error()
	}
	return digestOf(img.Image)
}
