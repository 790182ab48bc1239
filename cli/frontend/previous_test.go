package frontend

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/solver/pb"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// metadataOf is the label of an app image.
const metadataOf = `{"app":[{"sha":"a"}],"sbom":{"sha":"b"},"launcher":{"sha":"c"},"config":{"sha":"d"},"process-types":{"sha":"e"},"buildpacks":[{"key":"acme/java"}],"runImage":{"topLayer":"f"}}`

// reuse makes the lifecycle name layers of a previous image, by their place above the run image, instead of
// exporting them. The previous image has the layers of the app image, in another order if they are swapped.
func (g *gateway) reuse(name string, swapped bool, places ...int) {
	GinkgoHelper()
	_, m, config := g.exported()
	diffs := slices.Clone(config.RootFS.DiffIDs)
	if swapped {
		slices.Reverse(diffs[2:])
	}
	g.images[name] = &v1.ConfigFile{RootFS: v1.RootFS{DiffIDs: diffs}, Config: v1.Config{Labels: map[string]string{"io.buildpacks.lifecycle.metadata": metadataOf}}}
	for _, at := range places {
		Expect(os.Remove(g.blob(m.Layers[2+at].Digest))).To(Succeed())
		m.Layers[2+at] = v1.Descriptor{MediaType: types.OCIUncompressedLayer, Digest: config.RootFS.DiffIDs[2+at]}
		Expect(os.WriteFile(g.blob(m.Layers[2+at].Digest), nil, 0o644)).To(Succeed())
	}
	l, err := newLayout(g.read(m.Config.Digest), m.Layers)
	Expect(err).NotTo(HaveOccurred())
	index, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex,
		Manifests: []v1.Descriptor{{MediaType: types.OCIManifestSchema1, Digest: l.hash, Size: int64(len(l.manifest))}}})
	Expect(err).NotTo(HaveOccurred())
	writeFile(g.blob(l.hash), string(l.manifest))
	writeFile(g.output+"/app/latest/index.json", string(index))
}

func (g *gateway) read(h v1.Hash) []byte {
	GinkgoHelper()
	data, err := os.ReadFile(g.blob(h))
	Expect(err).NotTo(HaveOccurred())
	return data
}

// limits are how many layers of images BuildKit takes, in the order of its operations.
func (g *gateway) limits() (all []string) {
	for _, s := range g.sources {
		if n := s.Attrs[pb.AttrImageLayerLimit]; n != "" {
			all = append(all, n)
		}
	}
	return all
}

var _ = Describe("a previous image", func() {
	DescribeTable("gives its layers", func(ctx SpecContext, opts map[string]string, swapped bool, places []int, limits []string, merged int) {
		g := lab(minimal, opts)
		g.reuse("docker.io/acme/shop:1", swapped, places...)
		_, err := Build(ctx, g)
		Expect(err).NotTo(HaveOccurred())
		Expect(g.limits()).To(Equal(limits))
		Expect(g.merged).To(Equal(merged))
		n := 0
		for _, img := range g.pulled {
			layers, err := img.Layers()
			Expect(err).NotTo(HaveOccurred())
			n += len(layers)
		}
		Expect(n).To(Equal(3-len(places)), "layers that are served")
	},
		Entry("none", previousImage, false, nil, nil, 3),
		Entry("as much as is the same", previousImage, false, []int{0}, []string{"3"}, 3),
		Entry("and more of that", previousImage, false, []int{0, 1}, []string{"4"}, 3),
		Entry("all", previousImage, false, []int{0, 1, 2}, []string{"5"}, 2),
		Entry("one above others", previousImage, false, []int{1}, []string{"3", "4"}, 5),
		Entry("in another order, one by one", previousImage, true, []int{0, 2}, []string{"4", "5", "2", "3"}, 5),
		Entry("from a cache to import", map[string]string{"cache-imports": `[{"Type":"local"},{"Type":"registry","Attrs":{"ref":"acme/none"}},{"Type":"registry","Attrs":{"ref":"acme/run:1"}},{"Type":"registry","Attrs":{"ref":"acme/shop:1"}}]`},
			false, []int{0}, []string{"3"}, 3),
	)

	It("is shown to the lifecycle as far as buildpacks made it", func(ctx SpecContext) {
		g := lab(minimal, previousImage)
		g.reuse("docker.io/acme/shop:1", false)
		img := g.images["docker.io/acme/shop:1"]
		img.Config.Labels["io.buildpacks.lifecycle.metadata"] = strings.Replace(metadataOf, `"b"`, `"`+img.RootFS.DiffIDs[3].String()+`"`, 1)
		_, err := Build(ctx, g)
		Expect(err).NotTo(HaveOccurred())
		Expect(g.limits()).To(Equal([]string{"4"}), "as much as has the SBOMs")
		var labels []string
		for name, content := range g.written() {
			var c v1.ConfigFile
			if name != "" && json.Unmarshal([]byte(content), &c) == nil && c.Config.Labels["io.buildpacks.lifecycle.metadata"] != "" {
				labels = append(labels, c.Config.Labels["io.buildpacks.lifecycle.metadata"])
			}
		}
		Expect(labels).To(HaveExactElements(MatchJSON(`{"buildpacks":[{"key":"acme/java"}],"runImage":{"topLayer":"f"}}`)))
		var mounts []string
		for _, m := range g.steps[0].Mounts {
			mounts = append(mounts, m.Dest)
		}
		Expect(mounts).To(ContainElement("/laminate-previous"))
	})

	It("must have a layer that the lifecycle only names", func(ctx SpecContext) {
		g := lab(minimal, nil)
		g.reuse("docker.io/acme/shop:1", false, 0)
		_, err := Build(ctx, g)
		Expect(err).To(MatchError(MatchRegexp(`^the lifecycle exported no usable image: layer sha256:\w+: it is reused, and there is no previous image that has it$`)))
	})

	It("is ignored where its layers cannot be taken", func(ctx SpecContext) {
		for _, c := range []struct{ output, lacks string }{{"layout", ""}, {"image", string(pb.CapDiffOp)}, {"image", string(pb.CapSourceImageLayerLimit)}} {
			g := lab(minimal, map[string]string{"build-arg:previous-image": "acme/shop:1", "build-arg:output": c.output}, c.lacks)
			_, err := Build(ctx, g)
			if c.lacks == string(pb.CapDiffOp) {
				Expect(err).NotTo(HaveOccurred(), "a build without a difference")
			}
			Expect(err).NotTo(HaveOccurred())
			Expect(g.warnings).To(HaveExactElements("the previous image acme/shop:1 is ignored: its layers cannot be taken into an OCI layout, nor by a BuildKit older than 0.11"))
		}
	})
})

var previousImage = map[string]string{"build-arg:previous-image": "acme/shop:1"}

var _ = Describe("several platforms", func() {
	It("become an index, with a cache for each", func(ctx SpecContext) {
		g := lab(minimal, map[string]string{"platform": "linux/amd64,linux/arm64"})
		result, err := Build(ctx, g)
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Refs).To(HaveLen(2))
		for _, p := range []string{"linux/amd64", "linux/arm64"} {
			Expect(result.Refs).To(HaveKey(p))
			Expect(result.Metadata).To(HaveKey(exptypes.ExporterImageConfigKey + "/" + p))
		}
		Expect(g.cacheIDs()).To(ConsistOf("laminate/shop/linux/amd64/1000-1001", "laminate/shop/linux/arm64/1000-1001"))
	})

	It("must be those of all images", func(ctx SpecContext) {
		g := lab(minimal, map[string]string{"platform": "linux/amd64,linux/arm64"})
		g.images["docker.io/acme/run:1"].OS, g.images["docker.io/acme/run:1"].Architecture = "linux", "amd64"
		_, err := Build(ctx, g)
		Expect(err).To(MatchError("linux/arm64: run image acme/run:1: it is for linux/amd64, and not for linux/arm64"))
	})
})

var _ = Describe("the registry of the front end", func() {
	It("answers to digests only", func() {
		r, err := newRegistry()
		Expect(err).NotTo(HaveOccurred())
		hash := v1.Hash{Algorithm: "sha256", Hex: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
		writeFile(r.dir+"/"+hash.Hex, "blob")
		r.manifests[hash.String()] = []byte("manifest")
		for _, c := range []struct {
			method, path string
			want         int
		}{
			{"GET", "/v2/", 200}, {"GET", "/v2/laminate/app/manifests/" + hash.String(), 200}, {"HEAD", "/v2/laminate/app/blobs/" + hash.String(), 200},
			{"GET", "/v2/laminate/app/manifests/latest", 404}, {"GET", "/v2/laminate/app/tags/list", 404}, {"GET", "/v2/other/blobs/" + hash.String(), 404},
			{"GET", "/v2/laminate/app/blobs/..%2f..%2fetc%2fpasswd", 404}, {"GET", "/v2/laminate/app/blobs/sha256:" + hash.Hex[1:] + "0", 404},
			{"PUT", "/v2/laminate/app/blobs/" + hash.String(), 405}, {"POST", "/v2/", 405}, {"GET", "/", 404},
		} {
			request, err := http.NewRequest(c.method, "http://"+r.address+c.path, nil)
			Expect(err).NotTo(HaveOccurred())
			answer, err := http.DefaultClient.Do(request)
			Expect(err).NotTo(HaveOccurred())
			Expect(answer.Body.Close()).To(Succeed())
			Expect(answer.StatusCode).To(Equal(c.want), "%s %s", c.method, c.path)
		}
		Expect(r.Close()).To(Succeed())
		Expect(r.dir).NotTo(BeADirectory())
		_, err = http.Get("http://" + r.address + "/v2/")
		Expect(err).To(HaveOccurred())
	})
})
