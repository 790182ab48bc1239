package source_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/image"
	"laminate/packager/location"
)

// forms are the places that an image can be opened from.
var forms = map[string]func(v1.Image) location.Location{
	"an OCI layout": func(img v1.Image) location.Location { return at(location.OCILayout, layoutOfOne(img), "") },
	"an OCI layout with a tag": func(img v1.Image) location.Location {
		dir := layoutOf(map[string]partial.Describable{"other": sample{target: arm64}.image(), "this": img})
		return at(location.OCILayout, dir, "this")
	},
	"an OCI layout, as a directory": func(img v1.Image) location.Location { return path(layoutOfOne(img)) },
	"a .cnb file":                   func(img v1.Image) location.Location { return path(file("x.cnb", tarOfDir(layoutOfOne(img), ""))) },
	"a .cnb file of pack":           func(img v1.Image) location.Location { return path(file("x.cnb", tarOfDir(layoutOfOne(img), "/"))) },
	"a .cnb file, gzipped": func(img v1.Image) location.Location {
		return path(file("x.cnb", packed(layer.Gzip, tarOfDir(layoutOfOne(img), "./"))))
	},
	"an OCI archive": func(img v1.Image) location.Location {
		return at(location.OCIArchive, file("x.tar", tarOfDir(layoutOfOne(img), "")), "")
	},
	"a registry": func(img v1.Image) location.Location {
		ref := serve() + "/acme/root:1"
		push(ref, img)
		return at(location.Registry, "", ref)
	},
	"a plain reference": func(img v1.Image) location.Location {
		ref := serve() + "/acme/root:1"
		push(ref, img)
		return at(location.Name, "", ref)
	},
	"an index in a layout": func(img v1.Image) location.Location {
		return at(location.OCILayout, layoutOfOne(withImage(index(arm64), img)), "")
	},
	"an index in a registry": func(img v1.Image) location.Location {
		ref := serve() + "/acme/root:1"
		push(ref, withImage(index(arm64), img))
		return at(location.Registry, "", ref)
	},
	"an index in an index in an archive": func(img v1.Image) location.Location {
		return path(file("x.tar", tarOfDir(layoutOfOne(withIndex(index(arm64), withImage(index(), img))), "")))
	},
}

// loose are the forms whose layers are not stored as blobs.
var loose = map[string]func(v1.Image) location.Location{
	"a Docker archive": func(img v1.Image) location.Location {
		return at(location.DockerArchive, uncompressedDocker(img, nil), "")
	},
	"a Docker archive, as a file": func(img v1.Image) location.Location { return path(uncompressedDocker(img, nil)) },
	"a Docker archive of several, by reference": func(img v1.Image) location.Location {
		return at(location.DockerArchive, dockerArchive(map[string]v1.Image{"acme/root:1": img, "acme/root:2": sample{target: arm64, compression: layer.Gzip}.image()}), "acme/root:1")
	},
}

func openAt(loc location.Location, target flatten.Target) (*image.Package, error) {
	return opener().Package(context.Background(), loc, flatten.Buildpack, target)
}

func checkSample(loc location.Location, stored bool, c layer.Compression) {
	GinkgoHelper()
	p, err := openAt(loc, amd64)
	Expect(err).NotTo(HaveOccurred())
	Expect(p.Name).To(Equal(loc.Written))
	Expect(p.Root).To(Equal(flatten.Ref{ID: "acme/root", Version: "1.0.0"}))
	Expect(p.Target).To(Equal(amd64))
	var refs []string
	for _, m := range p.Modules {
		refs = append(refs, m.Ref().String())
		Expect(listing(m.Piece)).To(Equal(want(m.Info.ID)), "%s", m.Ref())
		Expect(m.Source).To(Equal(loc.Written))
		Expect(m.Stacks).To(Equal([]flatten.Stack{{ID: "*"}}))
		Expect(m.API).To(Equal("0.10"))
		Expect(m.Layer.Stored).To(Equal(stored))
		Expect(m.Layer.Compression).To(Equal(c))
	}
	Expect(refs).To(Equal([]string{"acme/root@1.0.0", "acme/a@1.0.0", "acme/b@1.0.0"}), "the root first, the rest sorted")
	root, a, b := p.Modules[0], p.Modules[1], p.Modules[2]
	Expect(root.Info.Description).To(Equal("What it is"))
	Expect(root.Info.Licenses).To(Equal([]flatten.License{{Type: "MIT"}}))
	Expect(root.Order.Entries()).To(Equal([]flatten.Entry{{ID: "acme/a", Version: "1.0.0"}, {ID: "acme/b", Version: "1.0.0", Optional: true}}))
	Expect(a.Info.Name).To(Equal("Name of acme/a"))
	Expect(a.Layer).To(BeIdenticalTo(b.Layer))
	Expect(a.Layer.Refs).To(Equal([]flatten.Ref{a.Ref(), b.Ref()}))
	Expect(a.Layer).NotTo(BeIdenticalTo(root.Layer))
	Expect(a.Layer.Facts).To(BeNil())
}

var _ = Describe("a buildpackage", func() {
	for name, put := range forms {
		for _, c := range []layer.Compression{layer.Gzip, layer.Zstd, layer.Uncompressed} {
			It(fmt.Sprintf("opens from %s, its layers %q", name, c), func() {
				checkSample(put(sample{compression: c, target: amd64}.image()), true, c)
			})
		}
	}
	for name, put := range loose {
		It("opens from "+name, func() { checkSample(put(sample{compression: layer.Gzip, target: amd64}.image()), false, "") })
	}

	It("leaves no file open", func() {
		locs := []location.Location{}
		for name, put := range forms {
			if name != "a registry" && name != "a plain reference" && name != "an index in a registry" {
				locs = append(locs, put(sample{compression: layer.Gzip, target: amd64}.image()))
			}
		}
		for _, put := range loose {
			locs = append(locs, put(sample{compression: layer.Gzip, target: amd64}.image()))
		}
		before := openFiles()
		for _, loc := range locs {
			p, err := openAt(loc, amd64)
			Expect(err).NotTo(HaveOccurred())
			for _, m := range p.Modules {
				listing(m.Piece)
			}
		}
		Expect(openFiles()).To(Equal(before))
	})

	It("tells the facts of laminate's own label", func() {
		root := flatten.Facts{Ref: flatten.Ref{ID: "acme/root", Version: "1.0.0"}, Length: 4096}
		img := sample{compression: layer.Gzip, change: func(_ flatten.LayersLabel, c *v1.ConfigFile) {
			root.ContentID = c.RootFS.DiffIDs[0]
			recipes := flatten.RecipesLabel{}
			recipes.Add(root.ContentID, []flatten.Facts{root})
			c.Config.Labels[flatten.RecipesLabelKey] = asJSON(recipes)
		}}.image()
		p, err := openAt(forms["an OCI layout"](img), flatten.Target{})
		Expect(err).NotTo(HaveOccurred())
		Expect(p.Modules[0].Layer.Facts).To(Equal([]layer.Facts{root}))
		Expect(p.Modules[1].Layer.Facts).To(BeNil())
	})

	It("can be mounted from its registry, and is checked then too", func() {
		img := sample{compression: layer.Gzip}.image()
		loc := forms["a registry"](img)
		p, err := openAt(loc, flatten.Target{})
		Expect(err).NotTo(HaveOccurred())
		l := p.Modules[0].Layer
		Expect(l.Mountable.String()).To(Equal(loc.Ref))
		mountable, ok := l.Reuse().(*remote.MountableLayer)
		Expect(ok).To(BeTrue())
		Expect(mountable.Layer).To(BeIdenticalTo(l))
		Expect(mountable.Reference.Context().String()).To(HaveSuffix("/acme/root"))
		layers, err := img.Layers()
		Expect(err).NotTo(HaveOccurred())
		Expect(partial.Descriptor(mountable)).To(HaveField("Digest", digest(layers[0])))

		p, err = openAt(forms["an OCI layout"](img), flatten.Target{})
		Expect(err).NotTo(HaveOccurred())
		Expect(p.Modules[0].Layer.Mountable).To(BeNil())
		Expect(p.Modules[0].Layer.Reuse()).To(BeIdenticalTo(p.Modules[0].Layer))
	})
})

func digest(l v1.Layer) v1.Hash {
	h, err := l.Digest()
	Expect(err).NotTo(HaveOccurred())
	return h
}

var _ = DescribeTable("an image that is no buildpackage, or whose labels lie, is refused",
	func(why string, s sample) {
		s.compression = layer.Gzip
		loc := at(location.OCILayout, layoutOfOne(s.image()), "")
		_, err := openAt(loc, flatten.Target{})
		Expect(err).To(MatchError(And(HavePrefix(loc.Written+": "), ContainSubstring(why))))
	},
	Entry("no layers label", "not a buildpackage: missing label io.buildpacks.buildpack.layers", sample{labels: func(l map[string]string) {
		delete(l, flatten.BuildpackLayersLabel)
	}}),
	Entry("no metadata label", "perhaps a builder: missing label io.buildpacks.buildpackage.metadata", sample{labels: func(l map[string]string) {
		delete(l, flatten.BuildpackageMetadataLabel)
	}}),
	Entry("an extension", "label io.buildpacks.extension.layers instead of io.buildpacks.buildpack.layers", sample{labels: func(l map[string]string) {
		l[flatten.ExtensionLayersLabel] = l[flatten.BuildpackLayersLabel]
		delete(l, flatten.BuildpackLayersLabel)
	}}),
	Entry("a layers label that is not JSON", "layers label", sample{labels: func(l map[string]string) { l[flatten.BuildpackLayersLabel] = "{" }}),
	Entry("an empty layers label", "is empty", sample{labels: func(l map[string]string) { l[flatten.BuildpackLayersLabel] = "{}" }}),
	Entry("a metadata label that is not JSON", "metadata label", sample{labels: func(l map[string]string) { l[flatten.BuildpackageMetadataLabel] = "[]" }}),
	Entry("a root that is not there", "names acme/root@1.0.0, which", sample{change: func(l flatten.LayersLabel, _ *v1.ConfigFile) { delete(l, "acme/root") }}),
	Entry("an id that leads out", `invalid id "../../etc"`, sample{change: func(l flatten.LayersLabel, _ *v1.ConfigFile) {
		l["../../etc"] = l["acme/a"]
	}}),
	Entry("a layer that is not there", "acme/a@1.0.0 is in layer sha256:0000", sample{change: func(l flatten.LayersLabel, _ *v1.ConfigFile) {
		info := l["acme/a"]["1.0.0"]
		info.LayerDiffID = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
		l["acme/a"]["1.0.0"] = info
	}}),
	Entry("windows", "unsupported platform windows", sample{target: flatten.Target{OS: "windows", Arch: "amd64"}}),
	Entry("fewer diffIDs than layers", "2 layers, config has 1 diffIDs", sample{change: func(_ flatten.LayersLabel, c *v1.ConfigFile) {
		c.RootFS.DiffIDs = c.RootFS.DiffIDs[:1]
	}}),
)

// A layer whose label lies is found out when it is read.
var _ = Describe("a label that names the wrong layer", func() {
	It("is an error that names source and buildpack", func() {
		loc := at(location.OCILayout, layoutOfOne(sample{compression: layer.Gzip, change: func(l flatten.LayersLabel, _ *v1.ConfigFile) {
			l["acme/ghost"] = l["acme/root"]
		}}.image()), "")
		p, err := openAt(loc, flatten.Target{})
		Expect(err).NotTo(HaveOccurred())
		_, err = tryListing(p.Modules[0].Piece)
		Expect(err).To(MatchError(And(HavePrefix(loc.Written), ContainSubstring("acme/ghost@1.0.0 has no files in the layer"))))
	})
})

var _ = DescribeTable("the image of an index is chosen by target",
	func(have, want, why string) {
		var targets []flatten.Target
		for s := range strings.FieldsSeq(have) {
			t, err := flatten.ParseTarget(s)
			Expect(err).NotTo(HaveOccurred())
			targets = append(targets, t)
		}
		var target flatten.Target
		if want != "" && want != "linux" {
			var err error
			target, err = flatten.ParseTarget(want)
			Expect(err).NotTo(HaveOccurred())
		} else if want == "linux" {
			target.OS = want
		}
		ref := serve() + "/acme/root:1"
		push(ref, index(targets...))
		for _, loc := range []location.Location{
			at(location.OCILayout, layoutOfOne(index(targets...)), ""),
			at(location.Registry, "", ref),
		} {
			p, err := openAt(loc, target)
			if why[0] == '!' {
				Expect(err).To(MatchError(And(HavePrefix(loc.Written+": "), ContainSubstring(why[1:]))))
				continue
			}
			Expect(err).NotTo(HaveOccurred())
			Expect(p.Target.String()).To(Equal(why))
		}
	},
	Entry("by architecture", "linux/amd64 linux/arm64", "linux/arm64", "linux/arm64"),
	Entry("arm64 is arm64/v8", "linux/amd64 linux/arm64/v8", "linux/arm64", "linux/arm64/v8"),
	Entry("by variant", "linux/arm/v6 linux/arm/v7", "linux/arm/v7", "linux/arm/v7"),
	Entry("the one without a variant, where none is wanted", "linux/amd64/v2 linux/amd64", "linux/amd64", "linux/amd64"),
	Entry("the one without a variant, where there is no better", "linux/arm/v6 linux/arm", "linux/arm/v7", "linux/arm"),
	Entry("the only one", "linux/arm64", "", "linux/arm64"),
	Entry("the only one of the system", "windows/amd64 linux/amd64", "linux", "linux/amd64"),
	Entry("none", "linux/amd64 linux/arm64", "linux/s390x", "!no image for linux/s390x; available: linux/amd64, linux/arm64"),
	Entry("several", "linux/amd64 linux/arm64", "", "!ambiguous: images for linux/amd64, linux/arm64; choose with --target linux/amd64 or --target linux/arm64"),
	Entry("several variants", "linux/arm/v6 linux/arm/v7", "linux/arm", "!ambiguous: images for linux/arm/v6, linux/arm/v7"),
)

var _ = Describe("an image of another platform", func() {
	It("is refused, whatever the index says", func() {
		idx := withImage(index(), sample{compression: layer.Gzip, target: arm64}.image())
		lying := withPlatform(idx, v1.Platform{OS: "linux", Architecture: "amd64"})
		for _, loc := range []location.Location{
			at(location.OCILayout, layoutOfOne(lying), ""),
			at(location.DockerArchive, uncompressedDocker(sample{compression: layer.Gzip, target: arm64}.image(), nil), ""),
		} {
			_, err := openAt(loc, amd64)
			Expect(err).To(MatchError(loc.Written + ": platform is linux/arm64, expected linux/amd64"))
		}
	})

	It("is chosen by its config, where the layout has no platform", func() {
		dir := layoutOf(map[string]partial.Describable{"a": sample{compression: layer.Gzip, target: amd64}.image(), "b": sample{compression: layer.Gzip, target: arm64}.image()})
		p, err := openAt(at(location.OCILayout, dir, ""), arm64)
		Expect(err).NotTo(HaveOccurred())
		Expect(p.Target).To(Equal(arm64))
		_, err = openAt(at(location.OCILayout, dir, ""), flatten.Target{})
		Expect(err).To(MatchError(ContainSubstring(`several images (tags "a", "b"); append :TAG`)))
		_, err = openAt(at(location.OCILayout, dir, "c"), flatten.Target{})
		Expect(err).To(MatchError(ContainSubstring(`no tag "c"; available: "a", "b"`)))
	})

	It("is not mistaken for an attestation beside it", func() {
		idx := withImage(index(), sample{compression: layer.Gzip, target: amd64}.image())
		idx = withIndexPlatform(idx, sample{compression: layer.Gzip, target: arm64}.image(), v1.Platform{OS: "unknown", Architecture: "unknown"})
		p, err := openAt(at(location.OCILayout, layoutOfOne(idx), ""), flatten.Target{})
		Expect(err).NotTo(HaveOccurred())
		Expect(p.Target).To(Equal(amd64))
	})
})

var _ = Describe("Image", func() {
	for name, put := range forms {
		It("returns the image of "+name+", whole", func() {
			img := sample{compression: layer.Gzip, target: amd64}.image()
			got, err := opener().Image(context.Background(), put(img), amd64)
			Expect(err).NotTo(HaveOccurred())
			Expect(got.Digest()).To(Equal(must(img.Digest())))
			Expect(got.RawManifest()).To(Equal(must(img.RawManifest())))
			Expect(got.RawConfigFile()).To(Equal(must(img.RawConfigFile())))
			want := must(img.Layers())
			for i, l := range must(got.Layers()) {
				Expect(l.Digest()).To(Equal(digest(want[i])))
				Expect(read(l.Compressed()) == read(want[i].Compressed())).To(BeTrue())
				Expect(read(l.Uncompressed()) == read(want[i].Uncompressed())).To(BeTrue())
				Expect(must(got.LayerByDigest(digest(want[i]))).DiffID()).To(Equal(must(l.DiffID())))
				Expect(must(got.LayerByDiffID(must(l.DiffID()))).Digest()).To(Equal(digest(want[i])))
			}
		})
	}
	for name, put := range loose {
		It("returns the image of "+name+", with its own config", func() {
			img := sample{compression: layer.Gzip, target: amd64}.image()
			got, err := opener().Image(context.Background(), put(img), amd64)
			Expect(err).NotTo(HaveOccurred())
			Expect(got.ConfigName()).To(Equal(must(img.ConfigName())))
			want := must(img.Layers())
			for i, l := range must(got.Layers()) {
				Expect(read(l.Uncompressed()) == read(want[i].Uncompressed())).To(BeTrue())
			}
		})
	}

	It("is none in a buildpack's directory or archive", func() {
		for _, p := range []string{component("acme/a").dir(), file("x.tgz", packed(layer.Gzip, with()))} {
			_, err := opener().Image(context.Background(), path(p), amd64)
			Expect(err).To(MatchError(And(HavePrefix(p), ContainSubstring("image"))))
		}
	})
})

func must[T any](v T, err error) T {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	return v
}

func read(rc io.ReadCloser, err error) string {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	data, err := io.ReadAll(rc)
	Expect(err).NotTo(HaveOccurred())
	Expect(rc.Close()).To(Succeed())
	return string(data)
}
