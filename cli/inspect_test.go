package cli_test

import (
	"archive/tar"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures/workbench"
)

var _ = Describe("inspect", func() {
	BeforeEach(func() { enterBuilder() })

	It("describes a builder as JSON", func() {
		Expect(create("oci:out", "-q").code).To(BeZero())
		r := laminate("inspect", "oci:out", "--output", "json")
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(r.stderr).To(BeEmpty())
		var report struct {
			Images []struct {
				Kind    string
				Modules []struct{ Ref string }
			}
		}
		Expect(json.Unmarshal([]byte(r.stdout), &report)).To(Succeed())
		Expect(report.Images).To(HaveLen(1))
		Expect(report.Images[0].Kind).To(Equal("builder"))
		Expect(report.Images[0].Modules).To(HaveExactElements(
			HaveField("Ref", "acme/left@1"), HaveField("Ref", "acme/a@1"), HaveField("Ref", "acme/shared@1"),
			HaveField("Ref", "acme/right@1"), HaveField("Ref", "acme/b@1"), HaveField("Ref", "acme/alone@1"),
		))
	})

	DescribeTable("refuses what makes no sense, before anything is tried", func(want string, args ...string) {
		r := laminate(append([]string{"inspect"}, args...)...)
		Expect(r).To(Equal(result{2, "", "laminate: " + want + "\nSee: laminate inspect --help\n"}))
	},
		Entry("no REF", "REF is missing; name an image, as in acme/builder, image.cnb or oci:DIR"),
		Entry("two", "2 arguments; write REF; laminate diff compares two images", "oci:a", "oci:b"),
		Entry("a form that is none", `invalid value "xml" for --output; write html, json, markdown, text or yaml`, "oci:a", "--output", "xml"),
		Entry("two platforms", "--target is one platform, as linux/amd64", "oci:a", "-t", "linux/amd64,linux/arm64"),
	)

	DescribeTable("fails for what is no image, and says what to do", func(want string, ref string) {
		put("note.txt", "hello")
		put("empty/file", "")
		put("curl/extension.toml", "api = \"0.10\"\n[extension]\nid = \"acme/curl\"\nversion = \"1\"\n")
		put("cut/oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
		put("cut/index.json", `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:`+strings.Repeat("0", 64)+`","size":7}]}`)
		put("cut/blobs/sha256/"+strings.Repeat("0", 64), "{")
		r := laminate("inspect", ref)
		Expect(r).To(Equal(result{1, "", "laminate: " + want + "\n"}))
	},
		Entry("the directory of a buildpack", "left: a directory with buildpack.toml, not an image; package it first, as in laminate package out.cnb --path left", "left"),
		Entry("that of an extension", "curl: a directory with extension.toml, not an image; package it first, as in laminate extension package out.cnb --path curl", "curl"),
		Entry("any directory", "empty: is a directory, not an image; an image in a directory is an OCI layout", "empty"),
		Entry("a file that is no archive", "note.txt: unknown kind of archive; use tar, plain or compressed with gzip or zstd, or zip", "note.txt"),
		Entry("a layout that is cut off", "oci:cut: blob sha256:"+strings.Repeat("0", 64)+" has 1 bytes, expected 7", "oci:cut"),
		Entry("a registry that is down", "127.0.0.1:1/acme/x: registry 127.0.0.1:1: connection refused (tried https://127.0.0.1:1 and http://127.0.0.1:1)", "127.0.0.1:1/acme/x"),
	)

	It("fails for the archive of a buildpack", func() {
		put("alone.tar", string(workbench.TarOf(workbench.TarEntry{Header: tar.Header{Name: "buildpack.toml", Mode: 0o644}, Body: "api = \"0.10\""})))
		Expect(laminate("inspect", "alone.tar").stderr).To(Equal("laminate: alone.tar: archive of a buildpack, not an image; package it first\n"))
	})

	It("describes an image without labels", func() {
		r := laminate("inspect", "oci:base", "--target", "linux/amd64", "--read-layers")
		Expect(r.code).To(BeZero(), r.stderr)
		Expect(r.stdout).To(And(ContainSubstring("\nimage for linux/amd64:busybox@1\n"), MatchRegexp(`\n     1 .* [0-9.]+ k?B  [0-9a-f]{12}           root file system\n`)))
	})

	It("names a layer that is damaged, if it reads it", func() {
		Expect(create("oci:out", "-q", "--flatten=all").code).To(BeZero())
		blobs, err := filepath.Glob("out/blobs/sha256/*")
		Expect(err).NotTo(HaveOccurred())
		for _, blob := range blobs {
			content, err := os.ReadFile(blob)
			Expect(err).NotTo(HaveOccurred())
			if content[0] == 0x1f {
				content[len(content)-5] ^= 1
				Expect(os.WriteFile(blob, content, 0o644)).To(Succeed())
			}
		}
		Expect(laminate("inspect", "oci:out").code).To(BeZero())
		r := laminate("inspect", "oci:out", "--read-layers")
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(BeEmpty())
		Expect(r.stderr).To(MatchRegexp(`^laminate: oci:out: layer sha256:[0-9a-f]{64}: .*\n$`))
	})
})
