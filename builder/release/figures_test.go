package release_test

import (
	"fmt"
	"math/rand"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/release"
	"laminate/fixtures"
	"laminate/fixtures/workbench"
)

// incompressible returns content that no compression makes smaller.
func incompressible(size int, seed int64) string {
	b := make([]byte, size)
	rand.New(rand.NewSource(seed)).Read(b)
	return string(b)
}

var _ = Describe("bytes that a release moves", func() {
	var l *lab
	BeforeEach(func() { l = newLab() })

	// uploaded sums what was sent to the registry, and counts uploads that were no mounts.
	uploaded := func() (bytes int64, blobs int) {
		for _, r := range l.Requests(func(r fixtures.Request) bool { return r.Kind == fixtures.Upload }) {
			bytes += r.Up
			if r.Method == http.MethodPatch {
				blobs++
			}
		}
		return bytes, blobs
	}

	It("are less than 1 MB for a builder of 100 buildpacks that has not changed, on a fresh machine", func() {
		var refs []string
		for i := range 100 {
			ref := fmt.Sprintf("acme/c%d@1.0.0", i)
			l.Add(workbench.Module{Ref: ref, Files: map[string]string{"lib/data": incompressible(100_000, int64(i))}})
			refs = append(refs, ref)
		}
		l.Write("builder.toml", builderTOML+builderOf(refs...))
		toml := l.toml("builder mirror", variants)
		l.succeed(toml, "1.0.0")
		l.Reset()
		begun := time.Now()
		o := l.run(toml, "1.0.1")
		took := time.Since(begun)
		Expect(o.err).NotTo(HaveOccurred())
		Expect(o.State).To(Equal(release.Unchanged))
		Expect(l.Moved()).To(BeNumerically("<", 1_000_000))
		Expect(took).To(BeNumerically("<", 30*time.Second), "it takes less than 5 s where nothing else runs")
		AddReportEntry("unchanged", fmt.Sprintf("%d bytes in %d requests, %s", l.Moved(), len(l.Requests(nil)), took))
	})

	It("are the layers of one changed composite, and metadata", func() {
		var composites []string
		for i := range 5 {
			var parts []string
			for j := range 4 {
				parts = append(parts, l.Add(workbench.Module{Ref: fmt.Sprintf("acme/c%d-%d@1.0.0", i, j), Files: map[string]string{"lib/data": incompressible(200_000, int64(10*i+j))}}))
			}
			composites = append(composites, parts...)
			var order []string
			for _, p := range parts {
				order = append(order, strings.Replace(p, "_", "/", 1))
			}
			composites = append(composites, l.Composite(fmt.Sprintf("acme/composite%d@1.0.0", i), order...))
		}
		toml := builderTOML
		for _, c := range composites {
			toml += fmt.Sprintf("[[buildpacks]]\nuri = %q\n", c)
		}
		for i := range 5 {
			toml += fmt.Sprintf("[[order]]\n[[order.group]]\nid = 'acme/composite%d'\nversion = '1.0.0'\n", i)
		}
		l.Write("builder.toml", toml)
		config := l.toml("builder mirror", "flatten = 'composites'")
		l.succeed(config, "1.0.0")
		l.Write("acme_c2-1@1.0.0/lib/data", incompressible(200_000, 999))
		l.Reset()
		o := l.succeed(config, "1.1.0")
		bytes, _ := uploaded()
		changed := o.Items[0].Changes.Images[0].Layers
		Expect(changed.New).To(BeElementOf(1, 2), "the composite's layer, perhaps the configuration")
		Expect(*changed.Pull.Bytes).To(BeNumerically("<", 850_000))
		Expect(bytes).To(BeNumerically("<", 1_000_000))
	})

	It("are none of blobs for another repository of the registry, but of documents", func() {
		l.succeed(l.toml("builder"), "1.0.0")
		before, blobs := uploaded()
		Expect(before).To(BeNumerically(">", 0))
		Expect(blobs).To(BeNumerically(">", 4))
		l.Reset()
		l.succeed(l.toml("builder mirror"), "1.0.0")
		manifest, err := l.image("builder:full").Manifest()
		Expect(err).NotTo(HaveOccurred())
		for _, d := range append(manifest.Layers, manifest.Config) {
			sent := l.Requests(func(r fixtures.Request) bool {
				return r.Kind == fixtures.Upload && r.Digest == d.Digest.String() && !r.Mount
			})
			Expect(sent).To(BeEmpty(), "%s", d.MediaType)
			Expect(l.Requests(func(r fixtures.Request) bool { return r.Mount && r.Digest == d.Digest.String() })).To(HaveLen(1), "%s", d.MediaType)
		}
	})
})
