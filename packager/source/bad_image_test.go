package source_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/location"
	"laminate/packager/source"
	"laminate/packager/stream"
)

// readAll reads all pieces of a buildpackage, and gives the first error.
func readAll(o *source.Opener, loc location.Location) error {
	p, err := o.Package(context.Background(), loc, flatten.Buildpack, flatten.Target{})
	if err != nil {
		return err
	}
	for _, m := range p.Modules {
		if _, err := tryListing(m.Piece); err != nil {
			return err
		}
	}
	return nil
}

// damage changes blobs of a layout: the layers, or what is named.
func damage(dir string, h v1.Hash, change func([]byte) []byte) {
	GinkgoHelper()
	p := filepath.Join(dir, "blobs/sha256", h.Hex)
	data, err := os.ReadFile(p)
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(p, change(bytes.Clone(data)), 0o644)).To(Succeed())
}

func flip(data []byte) []byte {
	data[len(data)/2] ^= 1
	return data
}

func cut(data []byte) []byte { return data[:len(data)-20] }

func grow(data []byte) []byte { return append(data, "more"...) }

var _ = Describe("a layout that is damaged", func() {
	for what, change := range map[string]func([]byte) []byte{"changed": flip, "cut off": cut, "too long": grow} {
		why := " bytes, expected "
		if what == "changed" {
			why = "digest is sha256:"
		}
		for _, c := range []layer.Compression{layer.Gzip, layer.Zstd, layer.Uncompressed} {
			It(fmt.Sprintf("is refused when a layer that is %q is read, %s", c, what), func() {
				img := sample{compression: c}.image()
				l := digest(must(img.Layers())[0])
				dir := layoutOfOne(img)
				damage(dir, l, change)
				for _, loc := range []location.Location{at(location.OCILayout, dir, ""), path(file("x.cnb", tarOfDir(dir, "")))} {
					err := readAll(opener(), loc)
					Expect(err).To(MatchError(And(HavePrefix(loc.Written+": "), ContainSubstring("layer"), Not(ContainSubstring(loc.Written+": "+loc.Written)), Not(ContainSubstring("\n")))))
					got, err := opener().Image(context.Background(), loc, flatten.Target{})
					Expect(err).NotTo(HaveOccurred())
					rc, err := must(got.Layers())[0].Compressed()
					if err == nil {
						_, err = io.Copy(io.Discard, rc)
						Expect(rc.Close()).To(Succeed())
					}
					Expect(err).To(MatchError(And(HavePrefix(loc.Written+": layer "+l.String()), ContainSubstring(why))))
				}
			})
		}
	}

	for what, of := range map[string]func(v1.Image) v1.Hash{
		"manifest": func(img v1.Image) v1.Hash { return must(img.Digest()) },
		"config":   func(img v1.Image) v1.Hash { return must(img.ConfigName()) },
	} {
		It("is refused at once for its "+what, func() {
			img := sample{compression: layer.Gzip}.image()
			for _, change := range []func([]byte) []byte{flip, cut, grow} {
				dir := layoutOfOne(img)
				damage(dir, of(img), change)
				_, err := openAt(at(location.OCILayout, dir, ""), flatten.Target{})
				Expect(err).To(MatchError(And(HavePrefix(dir+": "), ContainSubstring(of(img).Hex))))
			}
		})
	}

	DescribeTable("is refused at once for what it is",
		func(why string, change func(dir string)) {
			dir := layoutOfOne(sample{compression: layer.Gzip}.image())
			change(dir)
			_, err := openAt(at(location.OCILayout, dir, ""), flatten.Target{})
			Expect(err).To(MatchError(And(HavePrefix(dir+": "), ContainSubstring(why))))
		},
		Entry("no oci-layout", "not an OCI layout", func(dir string) { Expect(os.Remove(filepath.Join(dir, "oci-layout"))).To(Succeed()) }),
		Entry("a layout of the future", `unsupported version "9.0.0"`, put("oci-layout", `{"imageLayoutVersion":"9.0.0"}`)),
		Entry("an oci-layout that is not JSON", "oci-layout", put("oci-layout", `{`)),
		Entry("an index that is not JSON", "index.json", put("index.json", `{`)),
		Entry("an index of nothing", "no images", put("index.json", `{"schemaVersion":2,"manifests":[]}`)),
		Entry("an index beyond all bounds", "larger than 16 MiB", put("index.json", strings.Repeat(" ", 17<<20))),
		Entry("an index that is a link out", "escapes", func(dir string) {
			Expect(os.Remove(filepath.Join(dir, "index.json"))).To(Succeed())
			Expect(os.Symlink("/etc/hostname", filepath.Join(dir, "index.json"))).To(Succeed())
		}),
		Entry("a manifest that is not there", "no such file", put("index.json",
			`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":3,"digest":"sha256:`+strings.Repeat("0", 64)+`"}]}`)),
		Entry("a manifest of absurd size", "more than the limit of", put("index.json",
			`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":999999999999,"digest":"sha256:`+strings.Repeat("0", 64)+`"}]}`)),
		Entry("a manifest of another digest", "only sha256", put("index.json",
			`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":3,"digest":"sha512:`+strings.Repeat("0", 128)+`"}]}`)),
	)

	It("is refused for indexes without end", func() {
		idx := index(amd64)
		for range 6 {
			idx = withIndex(index(), idx)
		}
		_, err := openAt(at(location.OCILayout, layoutOfOne(idx), ""), flatten.Target{})
		Expect(err).To(MatchError(ContainSubstring("nested too deeply; the limit is 4")))
	})

	// nested puts three indexes into a layout, each of which lists the next so
	// many times, and the last the image.
	nested := func(img v1.Image, times int) string {
		dir := layoutOfOne(img)
		inner := asJSON(must(partial.Descriptor(img)))
		for range 3 {
			list := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[` +
				strings.Repeat(inner+",", times-1) + inner + `]}`
			put("index.json", list)(dir)
			h, size, err := v1.SHA256(strings.NewReader(list))
			Expect(err).NotTo(HaveOccurred())
			put("blobs/sha256/"+h.Hex, list)(dir)
			inner = fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.index.v1+json","size":%d,"digest":%q}`, size, h)
		}
		return dir
	}

	It("is searched in every index once", func() {
		p, err := openAt(at(location.OCILayout, nested(sample{compression: layer.Gzip}.image(), 100), ""), flatten.Target{})
		Expect(err).NotTo(HaveOccurred())
		Expect(p.Root.ID).To(Equal("acme/root"))
	})

	It("is refused where its indexes list too much", func() {
		_, err := openAt(at(location.OCILayout, nested(sample{compression: layer.Gzip}.image(), 400), ""), flatten.Target{})
		Expect(err).To(MatchError(ContainSubstring("too many entries in indexes; the limit is 1000")))
	})

	It("is not looked into when that is to stop", func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		dir := layoutOfOne(sample{compression: layer.Gzip}.image())
		_, err := opener().Package(ctx, at(location.OCILayout, dir, ""), flatten.Buildpack, flatten.Target{})
		Expect(err).To(MatchError(context.Canceled))
	})
})

func put(name, content string) func(string) {
	return func(dir string) { Expect(os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644)).To(Succeed()) }
}

// liar is an image of one layer that is not what it says.
func liar(l v1.Layer, diffID v1.Hash) v1.Image {
	GinkgoHelper()
	img := sample{compression: layer.Gzip, labels: func(labels map[string]string) {
		label := flatten.LayersLabel{}
		label.Add(flatten.Module{API: "0.10", Info: flatten.Info{ID: "acme/root", Version: "1.0.0"}}, diffID)
		labels[flatten.BuildpackLayersLabel] = asJSON(label)
	}}.image()
	config := must(img.ConfigFile()).DeepCopy()
	config.RootFS.DiffIDs, config.History = nil, nil
	bare := must(mutate.ConfigFile(sampleBase(), config))
	return must(mutate.AppendLayers(bare, blob{l, diffID, nil}))
}

var _ = Describe("a layer that lies", func() {
	It("about its diffID is found out when it is read", func() {
		data := layerOf("acme/root")
		lie := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("1", 64)}
		for _, c := range []layer.Compression{layer.Gzip, layer.Zstd, layer.Uncompressed} {
			mediaType, packed := compressed(c, data)
			img := liar(static.NewLayer(packed, mediaType), lie)
			for _, loc := range []location.Location{forms["an OCI layout"](img), forms["a .cnb file"](img), forms["a registry"](img)} {
				err := readAll(opener(), loc)
				Expect(err).To(MatchError(And(HavePrefix(loc.Written+": "), ContainSubstring("layer sha256:"), ContainSubstring("diffID is sha256:"), ContainSubstring(", config says "+lie.String()))))
				got := must(opener().Image(context.Background(), loc, flatten.Target{}))
				rc, err := must(got.Layers())[0].Uncompressed()
				Expect(err).NotTo(HaveOccurred())
				_, err = io.Copy(io.Discard, rc)
				Expect(err).To(MatchError(ContainSubstring("diffID is")))
				Expect(rc.Close()).To(Succeed())
			}
		}
	})

	It("about its diffID is found out in a Docker archive too", func() {
		img := sample{compression: layer.Gzip}.image()
		p := uncompressedDocker(img, func(entries []entry) []entry {
			for i, e := range entries {
				if strings.HasPrefix(e.Name, "real/") {
					entries[i].body = string(layerOf("acme/b"))
				}
			}
			return entries
		})
		Expect(readAll(opener(), path(p))).To(MatchError(And(HavePrefix(p+": "), ContainSubstring("diffID is"))))
	})

	DescribeTable("about its compression is found out when it is read",
		func(says types.MediaType, is layer.Compression, why string) {
			data := layerOf("acme/root")
			diffID, _, err := v1.SHA256(bytes.NewReader(data))
			Expect(err).NotTo(HaveOccurred())
			loc := forms["an OCI layout"](liar(static.NewLayer(packed(is, data), says), diffID))
			Expect(readAll(opener(), loc)).To(MatchError(And(HavePrefix(loc.Written+": layer sha256:"), ContainSubstring(why))))
		},
		Entry("zstd as gzip", types.OCILayer, layer.Zstd, "media type says compressed with gzip, but blob is compressed with zstd"),
		Entry("nothing as gzip", types.DockerLayer, layer.Uncompressed, "media type says compressed with gzip, but blob is not compressed"),
		Entry("gzip as nothing", types.OCIUncompressedLayer, layer.Gzip, "media type says not compressed, but blob is compressed with gzip"),
	)

	DescribeTable("of a media type that is not supported is refused at once",
		func(says types.MediaType, why string) {
			data := layerOf("acme/root")
			loc := forms["an OCI layout"](liar(static.NewLayer(data, says), v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("1", 64)}))
			_, err := openAt(loc, flatten.Target{})
			Expect(err).To(MatchError(And(HavePrefix(loc.Written+": layer 1: "), ContainSubstring(why))))
		},
		Entry("foreign", types.DockerForeignLayer, "must not be redistributed"),
		Entry("encrypted", types.MediaType("application/vnd.oci.image.layer.v1.tar+gzip+encrypted"), "unsupported media type"),
	)

	DescribeTable("that holds what no buildpack can is refused when it is read",
		func(why string, more entry) {
			var b bytes.Buffer
			b.Write(layerOf("acme/root"))
			data := append(b.Bytes()[:b.Len()-1024], tarOf(more)...)
			l := newBlob(layer.Gzip, data)
			loc := forms["an OCI layout"](liar(l.Layer, l.diffID))
			Expect(readAll(opener(), loc)).To(MatchError(And(HavePrefix(loc.Written+": "), ContainSubstring(why))))
		},
		Entry("a path that leads out", "leads out", regular("/cnb/buildpacks/acme_root/1.0.0/../../../../etc/passwd", "x")),
		Entry("a file elsewhere", "is outside of", regular("/etc/passwd", "x")),
		Entry("a hard link out", "hard link", special("/cnb/buildpacks/acme_root/1.0.0/evil", tar.TypeLink, "/etc/shadow")),
		Entry("a device", "device", special("/cnb/buildpacks/acme_root/1.0.0/null", tar.TypeChar, "")),
		Entry("a fifo", "fifo", special("/cnb/buildpacks/acme_root/1.0.0/pipe", tar.TypeFifo, "")),
		Entry("a file twice", "duplicate path", regular("/cnb/buildpacks/acme_root/1.0.0/bin-x", "x")),
	)

	It("unpacks to no more than the limits", func() {
		o := opener()
		o.Limits = stream.Limits{Bytes: 20_000}
		big := newBlob(layer.Gzip, append(layerOf("acme/root"), make([]byte, 20_000)...))
		loc := forms["an OCI layout"](liar(big.Layer, big.diffID))
		Expect(readAll(opener(), loc)).To(Succeed())
		Expect(readAll(o, loc)).To(MatchError(And(HavePrefix(loc.Written), ContainSubstring("exceeds the limit of 20000 bytes"))))
	})
})

var _ = Describe("a Docker archive", func() {
	img := func() v1.Image { return sample{compression: layer.Gzip}.image() }
	It("of several images asks for one", func() {
		p := dockerArchive(map[string]v1.Image{"acme/root:1": img(), "acme/other:2": sample{compression: layer.Gzip, target: arm64}.image()})
		_, err := openAt(at(location.DockerArchive, p, ""), flatten.Target{})
		Expect(err).To(MatchError(p + ": ambiguous: several images (acme/other:2, acme/root:1); append :REF"))
		_, err = openAt(at(location.DockerArchive, p, "acme/none:1"), flatten.Target{})
		Expect(err).To(MatchError(p + ": no image acme/none:1; available: acme/other:2, acme/root:1"))
	})

	It("is read by its manifest.json where the OCI manifest beside it has no layers", func() {
		p := uncompressedDocker(img(), func(e []entry) []entry { // as Docker 25.0.0 saves: moby/moby#47065
			blob := func(body string) v1.Descriptor {
				digest, size, err := v1.SHA256(strings.NewReader(body))
				Expect(err).NotTo(HaveOccurred())
				e = append(e, entry{Header: tar.Header{Name: "blobs/sha256/" + digest.Hex}, body: body})
				return v1.Descriptor{MediaType: types.DockerConfigJSON, Digest: digest, Size: size}
			}
			manifest := blob(asJSON(v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: blob(e[0].body), Layers: []v1.Descriptor{}}))
			manifest.MediaType = types.OCIManifestSchema1
			return append(e,
				entry{Header: tar.Header{Name: "index.json"}, body: asJSON(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{manifest}})},
				entry{Header: tar.Header{Name: "oci-layout"}, body: `{"imageLayoutVersion":"1.0.0"}`})
		})
		Expect(readAll(opener(), at(location.DockerArchive, p, ""))).To(Succeed())
		Expect(readAll(opener(), path(p))).To(Succeed())
	})

	DescribeTable("that is damaged is refused",
		func(why string, change func([]entry) []entry) {
			p := uncompressedDocker(img(), change)
			Expect(readAll(opener(), at(location.DockerArchive, p, ""))).To(MatchError(And(HavePrefix(p+": "), ContainSubstring(why))))
		},
		Entry("no manifest.json", "not a Docker archive", func(e []entry) []entry { return e[:len(e)-1] }),
		Entry("a manifest.json that is not JSON", "manifest.json", func(e []entry) []entry { e[len(e)-1].body = "{"; return e }),
		Entry("no images", "no images", func(e []entry) []entry { e[len(e)-1].body = "[]"; return e }),
		Entry("another config", "digest is", func(e []entry) []entry { e[0].body += " "; return e }),
		Entry("no config", "file does not exist", func(e []entry) []entry { return e[1:] }),
		Entry("no layer", "file does not exist", func(e []entry) []entry { return append(e[:1:1], e[2:]...) }),
		Entry("links in a circle", "too many symbolic links", func(e []entry) []entry {
			for i := range e {
				if e[i].Typeflag == tar.TypeSymlink {
					e[i].Linkname = "../" + e[i].Name
				}
			}
			return e
		}),
	)
})
