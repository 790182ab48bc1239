package builder_test

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"io"
	"maps"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func file(name, body string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755}, Body: body}
}

func link(name, to string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to, Mode: 0o777}, Body: ""}
}

func gz(content []byte) string {
	GinkgoHelper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(content)
	Expect(err).NotTo(HaveOccurred())
	Expect(w.Close()).To(Succeed())
	return b.String()
}

// layerOf is a layer that holds the entries.
func layerOf(mediaType types.MediaType, entries ...entry) v1.Layer {
	GinkgoHelper()
	content := tarOf(entries...)
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }, tarball.WithMediaType(mediaType))
	Expect(err).NotTo(HaveOccurred())
	return l
}

// baseImage is a build image, or a run image.
type baseImage struct {
	name   string
	arch   string // "" is amd64
	oci    bool
	layers int // besides the first
	env    []string
	labels map[string]string
	change func(*v1.ConfigFile)
	more   []v1.Layer // on top
	zstd   bool       // with one more layer that is in zstd
}

func (b baseImage) image() v1.Image {
	GinkgoHelper()
	manifest, config, mediaType := types.DockerManifestSchema2, types.DockerConfigJSON, types.DockerLayer
	if b.oci {
		manifest, config, mediaType = types.OCIManifestSchema1, types.OCIConfigJSON, types.OCILayer
	}
	c := &v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers"}, Author: "somebody"}
	if b.arch != "" {
		c.Architecture = b.arch
	}
	c.Config = v1.Config{
		User: "1234:4321", WorkingDir: "/home/cnb", Cmd: []string{"/bin/sh"}, Entrypoint: []string{"/entry"},
		Env: b.env, Labels: map[string]string{"org.example.kept": "yes", "io.buildpacks.base.maintainer": "somebody"},
	}
	if b.env == nil {
		c.Config.Env = []string{"PATH=/bin", "CNB_USER_ID=1234", "CNB_GROUP_ID=4321"}
	}
	maps.Copy(c.Config.Labels, b.labels)
	if b.change != nil {
		b.change(c)
	}
	img, err := mutate.ConfigFile(empty.Image, c)
	Expect(err).NotTo(HaveOccurred())
	adds := []mutate.Addendum{{Layer: layerOf(mediaType, file("etc/"+cmp.Or(b.name, "base"), b.arch)), History: v1.History{CreatedBy: "first"}, MediaType: mediaType},
		{History: v1.History{CreatedBy: "ENV", EmptyLayer: true}}}
	for n := range b.layers {
		adds = append(adds, mutate.Addendum{Layer: layerOf(mediaType, file("more/"+strings.Repeat("x", n+1), "")), MediaType: mediaType})
	}
	for _, l := range b.more {
		adds = append(adds, mutate.Addendum{Layer: l, History: v1.History{CreatedBy: "more"}, MediaType: mediaType})
	}
	if b.zstd {
		content := tarOf(file("etc/zstd", ""))
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
			tarball.WithCompression(compression.ZStd), tarball.WithMediaType("application/vnd.docker.image.rootfs.diff.tar.zstd"))
		Expect(err).NotTo(HaveOccurred())
		adds = append(adds, mutate.Addendum{Layer: l, MediaType: "application/vnd.docker.image.rootfs.diff.tar.zstd"})
	}
	img, err = mutate.Append(img, adds...)
	Expect(err).NotTo(HaveOccurred())
	return mutate.ConfigMediaType(mutate.MediaType(img, manifest), config)
}

// keepImage writes images into the OCI layout dir, just as they are.
func (b *bench) keepImage(dir string, images ...v1.Image) {
	GinkgoHelper()
	next := b.At(dir + "-next") // an image may come from what it replaces
	path, err := layout.Write(next, empty.Index)
	Expect(err).NotTo(HaveOccurred())
	for _, img := range images {
		c := configOf(img)
		Expect(path.AppendImage(img, layout.WithPlatform(v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}))).To(Succeed())
	}
	Expect(os.RemoveAll(b.At(dir))).To(Succeed())
	Expect(os.Rename(next, b.At(dir))).To(Succeed())
}

// lifecycleFiles are those of a lifecycle's archive.
type lifecycleFiles struct {
	version   string   // "" is 0.21.0
	without   []string // names of files that are missing
	platform  []string // APIs
	buildpack []string
	old       []string // deprecated buildpack APIs
	binary    string   // what is in the binaries; "" is a small script
	prefix    string   // goes before every name
}

var binaries = []string{"lifecycle", "launcher", "analyzer", "builder", "creator", "detector", "exporter", "extender", "rebaser", "restorer"}

func (l lifecycleFiles) entries() []entry {
	or := func(list []string, other ...string) []string {
		if list == nil {
			return other
		}
		return list
	}
	quoted := func(list []string) string { return `["` + strings.Join(list, `", "`) + `"]` }
	version := cmp.Or(l.version, "0.21.0")
	deprecated := "[]"
	if len(l.old) > 0 {
		deprecated = quoted(l.old)
	}
	toml := "[lifecycle]\nversion = \"" + version + "\"\n[apis.buildpack]\ndeprecated = " + deprecated + "\nsupported = " + quoted(or(l.buildpack, "0.9", "0.10", "0.11")) +
		"\n[apis.platform]\ndeprecated = []\nsupported = " + quoted(or(l.platform, "0.13", "0.14", "0.15")) + "\n"
	all := []entry{file(l.prefix+"lifecycle.toml", toml), {Header: tar.Header{Typeflag: tar.TypeDir, Name: l.prefix + "lifecycle/", Mode: 0o755}, Body: ""}}
	for _, name := range binaries {
		content := l.binary
		if content == "" {
			content = "#!/bin/sh\necho " + name + "\n"
		}
		e := link(l.prefix+"lifecycle/"+name, "lifecycle")
		if name == "lifecycle" || name == "launcher" {
			e = file(l.prefix+"lifecycle/"+name, content)
		}
		all = append(all, e)
	}
	var kept []entry
	for _, e := range all {
		missing := false
		for _, w := range l.without {
			missing = missing || strings.TrimPrefix(e.Name, l.prefix) == w
		}
		if !missing {
			kept = append(kept, e)
		}
	}
	return kept
}
