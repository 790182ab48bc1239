package builder_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder"
	"laminate/packager/engine"
)

// elfFor is the beginning of an executable for a machine (elf.h).
func elfFor(machine byte) string {
	head := make([]byte, 64)
	copy(head, "\x7fELF\x02\x01\x01")
	head[16], head[18] = 2, machine
	return string(head)
}

const (
	x86     = 62
	aarch64 = 183
)

var _ = Describe("a lifecycle", func() {
	var b *bench
	BeforeEach(func() { b = newBench() })

	DescribeTable("that lacks something is an error that says what", func(files func() []entry, want string) {
		b.Write("lifecycle.tgz", gz(tarOf(files()...)))
		Expect(b.message(b.fails(b.toml()))).To(Equal(want))
	},
		Entry("its descriptor", lifecycleFiles{without: []string{"lifecycle.toml"}}.entries, "builder.toml:8: lifecycle lifecycle.tgz: missing lifecycle.toml"),
		Entry("binaries", lifecycleFiles{without: []string{"lifecycle/detector", "lifecycle/creator"}}.entries,
			"builder.toml:8: lifecycle lifecycle.tgz: missing creator\nbuilder.toml:8: lifecycle lifecycle.tgz: missing detector"),
		Entry("what its binaries are links to", func() []entry {
			return append(lifecycleFiles{without: []string{"lifecycle/detector"}}.entries(), link("lifecycle/detector", "nowhere"))
		}, "builder.toml:8: lifecycle lifecycle.tgz: detector is a symbolic link to nowhere, which does not exist"),
		Entry("a version", lifecycleFiles{version: "new"}.entries, `builder.toml:8: lifecycle lifecycle.tgz: lifecycle.toml: invalid version "new"`),
		Entry("platform APIs", func() []entry {
			return append(lifecycleFiles{without: []string{"lifecycle.toml"}}.entries(), file("lifecycle.toml", "[lifecycle]\nversion = '1.0.0'\n[apis.buildpack]\nsupported = ['0.10']"))
		}, "builder.toml:8: lifecycle lifecycle.tgz: lifecycle.toml: missing platform API"),
		Entry("a readable descriptor", func() []entry {
			return append(lifecycleFiles{without: []string{"lifecycle.toml"}}.entries(), file("lifecycle.toml", "["))
		}, "builder.toml:8: lifecycle lifecycle.tgz: lifecycle.toml: toml: expected key but reached end of input"),
		Entry("decency: it leads elsewhere", func() []entry {
			return append(lifecycleFiles{without: []string{"lifecycle/detector"}}.entries(), link("lifecycle/detector", "../../bin/sh"))
		}, "builder.toml:8: lifecycle lifecycle.tgz: lifecycle/detector is a symbolic link out of its directory, to ../../bin/sh"),
		Entry("decency: it has something twice", func() []entry {
			return append(lifecycleFiles{}.entries(), file("lifecycle/detector", "x"))
		}, "builder.toml:8: lifecycle lifecycle.tgz: duplicate path lifecycle/detector"),
		Entry("files: it has a device", func() []entry {
			return append(lifecycleFiles{}.entries(), entry{Header: tar.Header{Typeflag: tar.TypeFifo, Name: "lifecycle/fifo"}, Body: ""})
		}, "builder.toml:8: lifecycle lifecycle.tgz: lifecycle/fifo is neither a file, a directory nor a link"),
		Entry("for another machine", lifecycleFiles{binary: elfFor(aarch64)}.entries, "builder.toml:8: lifecycle lifecycle.tgz: it is for linux/arm64, but the builder is for linux/amd64"),
	)

	It("with a sparse file is refused before that is expanded", func() {
		whole := tarOf(lifecycleFiles{}.entries()...)
		hole := tarOf(entry{Header: tar.Header{Name: "lifecycle/hole", Format: tar.FormatGNU}, Body: ""})[:512]
		hole[156] = tar.TypeGNUSparse
		copy(hole[386:], "70000000000\x0000000000000\x00")
		copy(hole[483:], "70000000000\x00")
		copy(hole[148:156], "        ")
		sum := 0
		for _, b := range hole {
			sum += int(b)
		}
		copy(hole[148:], fmt.Sprintf("%06o\x00 ", sum))
		b.Write("lifecycle.tgz", gz(append(whole[:len(whole)-1024:len(whole)-1024], append(hole, make([]byte, 1024)...)...)))
		Expect(b.message(b.fails(b.toml()))).To(Equal("builder.toml:8: lifecycle lifecycle.tgz: lifecycle/hole is a sparse file, which is unsupported; pack the archive without --sparse"))
	})

	It("for the right machine is taken", func() {
		b.Write("lifecycle.tgz", gz(tarOf(lifecycleFiles{binary: elfFor(x86)}.entries()...)))
		b.build(b.toml())
	})

	It("is the same from an archive, a plain tar, a directory and a zip file, but for times and modes", func() {
		content := func(uri string) map[string]string {
			GinkgoHelper()
			bodies := map[string]string{}
			for name, s := range seenIn(b.build(b.toml("[lifecycle]\nuri = '" + uri + "'\n")).Image) {
				if path.Dir(name) == "/cnb/lifecycle" {
					bodies[name] = s.Linkname + s.Body
				}
			}
			return bodies
		}
		want := content("lifecycle.tgz")
		Expect(want).To(HaveLen(len(binaries)))
		b.Write("lifecycle.tar", string(tarOf(lifecycleFiles{prefix: "./"}.entries()...)))
		Expect(content("lifecycle.tar")).To(Equal(want))
		var zipped bytes.Buffer
		z := zip.NewWriter(&zipped)
		for _, e := range (lifecycleFiles{}).entries() {
			if e.Typeflag == tar.TypeDir {
				continue
			}
			h := &zip.FileHeader{Name: e.Name}
			h.SetMode(e.FileInfo().Mode())
			w, err := z.CreateHeader(h)
			Expect(err).NotTo(HaveOccurred())
			_, err = io.WriteString(w, e.Body+e.Linkname)
			Expect(err).NotTo(HaveOccurred())
			if e.Typeflag == tar.TypeSymlink {
				Expect(os.MkdirAll(path.Dir(b.At("unpacked/"+e.Name)), 0o755)).To(Succeed())
				Expect(os.Symlink(e.Linkname, b.At("unpacked/"+e.Name))).To(Succeed())
			} else {
				b.Write("unpacked/"+e.Name, e.Body)
			}
		}
		Expect(z.Close()).To(Succeed())
		b.Write("lifecycle.zip", zipped.String())
		Expect(content("lifecycle.zip")).To(Equal(want))
		Expect(content("unpacked")).To(Equal(want))
	})

	Describe("in an image", func() {
		image := func(arch string, machine byte, more ...entry) v1.Image {
			img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: arch, RootFS: v1.RootFS{Type: "layers"}})
			Expect(err).NotTo(HaveOccurred())
			img, err = mutate.AppendLayers(img, layerOf(types.DockerLayer, file("etc/os-release", arch)),
				layerOf(types.DockerLayer, append(lifecycleFiles{prefix: "/cnb/", binary: elfFor(machine)}.entries(), more...)...), layerOf(types.DockerLayer, file("etc/passwd", "")))
			Expect(err).NotTo(HaveOccurred())
			return img
		}
		arch := func(img *engine.Image) byte { return seenIn(img.Image)["/cnb/lifecycle/launcher"].Body[18] }

		It("is that for the target", func() {
			b.keepImage("lc", image("arm64", aarch64), image("amd64", x86))
			b.keepImage("base", baseImage{}.image(), baseImage{arch: "arm64"}.image())
			b.keepImage("run", baseImage{}.image(), baseImage{arch: "arm64"}.image())
			file := b.toml("[lifecycle]\nuri = 'oci:lc'\n")
			Expect(arch(b.build(file, target("linux/amd64")))).To(BeEquivalentTo(x86))
			Expect(arch(b.build(file, target("linux/arm64")))).To(BeEquivalentTo(aarch64))
		})

		It("is never one for another, whatever its image says", func() {
			b.keepImage("lc", image("amd64", aarch64))
			Expect(b.message(b.fails(b.toml("[lifecycle]\nuri = 'oci:lc'\n")))).To(Equal("builder.toml:1: lifecycle oci:lc: it is for linux/arm64, but the builder is for linux/amd64"))
			b.keepImage("lc", image("arm64", aarch64))
			Expect(b.message(b.fails(b.toml("[lifecycle]\nuri = 'oci:lc'\n")))).To(Equal("builder.toml:1: lifecycle oci:lc: no image for linux/amd64; available: linux/arm64"))
		})

		It("is taken from among other files, and nothing else is", func() {
			b.keepImage("lc", image("amd64", x86, file("bin/sh", "sh"), file("etc/group", "x"), file("usr/sh", "other")))
			files := seenIn(b.build(b.toml("[lifecycle]\nuri = 'oci:lc'\n")).Image)
			Expect(files).NotTo(HaveKey("/cnb/lifecycle/sh"))
			Expect(files).NotTo(HaveKey("/cnb/lifecycle/group"))
		})
	})

	Describe("by its version", func() {
		var mu sync.Mutex
		var asked []string
		var url, served string // served is another version than was asked for, or ""
		BeforeEach(func() {
			asked, served = nil, ""
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				asked = append(asked, r.URL.Path)
				mu.Unlock()
				version := served
				if version == "" {
					version = strings.TrimPrefix(strings.Split(r.URL.Path, "/")[1], "v")
				}
				_, _ = io.WriteString(w, gz(tarOf(lifecycleFiles{version: version}.entries()...)))
			}))
			DeferCleanup(server.Close)
			url = server.URL
		})
		from := func(template string) change {
			return func(o *builder.Options) { o.LifecycleURL = url + template }
		}
		const template = "/v{version}/lifecycle-v{version}+linux.{arch}.tgz"

		DescribeTable("is fetched from the address of a release", func(section, arch, want string) {
			b.keepImage("base", baseImage{arch: arch}.image())
			b.keepImage("run", baseImage{arch: arch}.image())
			b.build(b.toml("[lifecycle]\n"+section), from(template))
			Expect(asked).To(HaveEach(want))
		},
			Entry("as asked for", "version = '0.19.3'", "amd64", "/v0.19.3/lifecycle-v0.19.3+linux.x86-64.tgz"),
			Entry("with a v", "version = 'v0.19.3-rc.1'", "arm64", "/v0.19.3-rc.1/lifecycle-v0.19.3-rc.1+linux.arm64.tgz"),
			Entry("the default, where none is", "", "s390x", "/v0.21.0/lifecycle-v0.21.0+linux.s390x.tgz"),
		)

		It("has to be of that version", func() {
			served = "0.20.0"
			Expect(b.fails(b.toml("[lifecycle]\nversion = '0.19.3'\n"), from(template))).To(MatchError(ContainSubstring("version is 0.20.0, expected 0.19.3")))
		})

		It("is not fetched where nobody has released it", func() {
			b.keepImage("base", baseImage{arch: "riscv64"}.image())
			Expect(b.fails(b.toml("[lifecycle]\n"), from(template))).To(MatchError("no release of the lifecycle for riscv64; name an archive with --lifecycle"))
			Expect(asked).To(BeEmpty())
		})

		It("is of the version that the options name", func() {
			this := func(o *builder.Options) { o.Lifecycle = "0.19.4" }
			b.build(b.toml("[lifecycle]\nversion = '0.19.3'\n"), from(template), this)
			Expect(asked).To(HaveEach("/v0.19.4/lifecycle-v0.19.4+linux.x86-64.tgz"))
		})

		It("is not fetched where the options say where it is", func() {
			here := func(o *builder.Options) { o.Lifecycle = b.At("lifecycle.tgz") }
			b.build(b.toml("[lifecycle]\nversion = '0.19.3'\n"), from(template), here)
			Expect(asked).To(BeEmpty())
		})
	})

	Describe("that is old", func() {
		old := func(l lifecycleFiles) { b.Write("lifecycle.tgz", gz(tarOf(l.entries()...))) }

		It("knows no system buildpacks, of which it warns", func() {
			b.Component("acme/a@1")
			old(lifecycleFiles{version: "0.20.0", platform: []string{"0.13", "0.14"}})
			b.build(b.toml(buildpacks("acme_a@1"), order("acme/a"), "[[system.pre.buildpacks]]\nid = 'acme/a'\n"))
			Expect(b.Log.Warnings).To(ConsistOf(ContainSubstring("builder.toml:9: lifecycle 0.20.0 does not support system buildpacks: they require Platform API 0.15, as in lifecycle 0.21.0")))
		})

		It("knows system buildpacks from Platform API 0.15 on", func() {
			b.Component("acme/a@1")
			b.build(b.toml(buildpacks("acme_a@1"), order("acme/a"), "[[system.pre.buildpacks]]\nid = 'acme/a'\n"))
			Expect(b.Log.Warnings).To(BeEmpty())
		})

		It("knows no extensions but as an experiment, which is an error", func() {
			b.Extension("acme/x@1")
			old(lifecycleFiles{version: "0.16.0", platform: []string{"0.9", "0.12"}})
			Expect(b.message(b.fails(b.toml(extensions("acme_x@1"), orderExtensions("acme/x"))))).To(Equal(
				"builder.toml:1: lifecycle 0.16.0 does not support image extensions, except as an experiment: they require Platform API 0.13"))
		})

		It("supports no newer Buildpack API, and is told of in the file", func() {
			b.Add(module{Ref: "acme/a@1", API: "0.12"})
			Expect(b.message(b.fails(b.toml(buildpacks("acme_a@1"), order("acme/a"))))).To(Equal(
				"acme_a@1/buildpack.toml:1: buildpack acme/a@1 has Buildpack API 0.12, which lifecycle 0.21.0 does not support; it supports 0.9, 0.10, 0.11"))
		})

		It("warns of a Buildpack API that it calls deprecated", func() {
			b.Add(module{Ref: "acme/a@1", API: "0.8"})
			old(lifecycleFiles{old: []string{"0.8"}})
			b.build(b.toml(buildpacks("acme_a@1"), order("acme/a")))
			Expect(b.Log.Warnings).To(ConsistOf(HaveSuffix("buildpack.toml:1: buildpack acme/a@1 has Buildpack API 0.8, which is deprecated in lifecycle 0.21.0")))
		})

		It("does not support buildpacks of the build image either", func() {
			b.Add(module{Ref: "acme/a@1", API: "0.9"})
			b.keepImage("base", b.build(b.toml(buildpacks("acme_a@1"), order("acme/a"))).Image)
			old(lifecycleFiles{version: "0.22.0", buildpack: []string{"0.11"}})
			Expect(b.message(b.fails(b.toml(order("acme/a"))))).To(Equal("oci:base: buildpack acme/a@1 has Buildpack API 0.9, which lifecycle 0.22.0 does not support; it supports 0.11"))
		})
	})
})
