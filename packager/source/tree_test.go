package source_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/fixtures"
	"laminate/flatten"
	"laminate/flatten/layer"
	"laminate/packager/image"
	"laminate/packager/source"
)

// open opens a buildpack that must be fine.
func open(o *source.Opener, p string, target flatten.Target) *image.Package {
	GinkgoHelper()
	opened, err := o.Package(context.Background(), path(p), flatten.Buildpack, target)
	Expect(err).NotTo(HaveOccurred())
	return opened
}

func openError(o *source.Opener, p string) error {
	GinkgoHelper()
	_, err := o.Package(context.Background(), path(p), flatten.Buildpack, flatten.Target{})
	Expect(err).To(HaveOccurred())
	Expect(err.Error()).To(HavePrefix(p), "the source is named")
	return err
}

func zipOf(headers []zip.FileHeader, bodies []string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, h := range headers {
		f, err := w.CreateHeader(&h)
		Expect(err).NotTo(HaveOccurred())
		_, err = io.WriteString(f, bodies[i])
		Expect(err).NotTo(HaveOccurred())
	}
	Expect(w.Close()).To(Succeed())
	return b.Bytes()
}

func (t tree) zip() []byte {
	var headers []zip.FileHeader
	var bodies []string
	for _, name := range t.names() {
		h := zip.FileHeader{Name: name, Method: zip.Deflate}
		body := t[name]
		if link, isLink := strings.CutPrefix(body, "->"); isLink {
			h.SetMode(fs.ModeSymlink | 0o777)
			body = link
		} else if strings.HasSuffix(name, "/") {
			h.SetMode(fs.ModeDir | 0o755)
		} else {
			h.SetMode(mode(body))
		}
		headers, bodies = append(headers, h), append(bodies, body)
	}
	return zipOf(headers, bodies)
}

// All forms that hold one buildpack hold the same.
var _ = DescribeTable("a buildpack of its own",
	func(write func(tree) string) {
		p := write(component("acme/a"))
		o := opener()
		opened := open(o, p, amd64)
		Expect(opened.Root).To(Equal(flatten.Ref{ID: "acme/a", Version: "1.0.0"}))
		Expect(opened.Target).To(BeZero())
		Expect(opened.Problems).To(BeEmpty())
		Expect(opened.Modules).To(HaveLen(1))
		m := opened.Modules[0]
		Expect(m.Info.Name).To(Equal("Name of acme/a"))
		Expect(m.Stacks).To(Equal([]flatten.Stack{{ID: "*"}}))
		Expect(m.Layer).To(BeNil())
		Expect(m.Source).To(Equal(p))
		Expect(listing(m.Piece)).To(Equal(want("acme/a")))
		Expect(listing(m.Piece)).To(Equal(want("acme/a")), "read again")
	},
	Entry("a directory", tree.dir),
	Entry("a directory, by a link", func(t tree) string {
		p := filepath.Join(GinkgoT().TempDir(), "link")
		Expect(os.Symlink(t.dir(), p)).To(Succeed())
		return p
	}),
	Entry("a .tar", func(t tree) string { return file("x.tar", tarOf(t.entries()...)) }),
	Entry("a .tar with ./ before every name", func(t tree) string {
		entries := []entry{{Header: tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o700}}}
		for _, e := range t.entries() {
			e.Name = "./" + e.Name
			entries = append(entries, e)
		}
		return file("x.tar", tarOf(entries...))
	}),
	Entry("a .tar of git, with a global header", func(t tree) string {
		global := entry{Header: tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "abc"}}}
		return file("x.tar", tarOf(append([]entry{global}, t.entries()...)...))
	}),
	Entry("a .tgz", func(t tree) string { return file("x.tgz", packed(layer.Gzip, tarOf(t.entries()...))) }),
	Entry("a .tgz that is not called so", func(t tree) string { return file("x", packed(layer.Gzip, tarOf(t.entries()...))) }),
	Entry("a .tar.zst", func(t tree) string { return file("x.tar.zst", packed(layer.Zstd, tarOf(t.entries()...))) }),
	Entry("a .zip", func(t tree) string { return file("x.zip", t.zip()) }),
)

var _ = Describe("a directory", func() {
	It("returns the layers that pack gives", func() {
		facts, err := fixtures.PackGolden()
		Expect(err).NotTo(HaveOccurred())
		Expect(facts).NotTo(BeEmpty())
		for _, fact := range facts {
			dir := filepath.Join(GinkgoT().TempDir(), "x")
			Expect(fixtures.Write(dir, fact.Fixture)).To(Succeed())
			target := flatten.Target{OS: "linux"}
			if fact.Target != "" {
				target, err = flatten.ParseTarget(fact.Target)
				Expect(err).NotTo(HaveOccurred())
			}
			kind := flatten.Buildpack
			if _, err := os.Stat(filepath.Join(dir, "extension.toml")); err == nil {
				kind = flatten.Extension
			}
			p, err := opener().Package(context.Background(), path(dir), kind, target)
			Expect(err).NotTo(HaveOccurred())
			Expect(p.Root.String()).To(Equal(fact.Ref))
			Expect(contentID(p.Modules[0].Piece)).To(Equal(fact.DiffID), "%s for %s", fact.Fixture, fact.Target)
		}
	})

	It("keeps hard links, drops sockets, and names the buildpack.toml", func() {
		dir := component("acme/a").dir()
		Expect(os.Link(filepath.Join(dir, "bin/build"), filepath.Join(dir, "bin/also"))).To(Succeed())
		short := filepath.Join(os.TempDir(), "laminate-socket-test")
		Expect(os.RemoveAll(short)).To(Succeed())
		Expect(os.Symlink(dir, short)).To(Succeed()) // the name of a socket has to be short
		DeferCleanup(os.Remove, short)
		socket, err := net.Listen("unix", filepath.Join(short, "socket"))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(socket.Close)
		m := open(&source.Opener{}, dir, flatten.Target{}).Modules[0]
		Expect(m.File).To(Equal(filepath.Join(dir, "buildpack.toml")))
		Expect(listing(m.Piece)).To(ContainElements(
			`0 755 /cnb/buildpacks/acme_a/1.0.0/bin/also  "#!/bin/sh\nexit 0"`,
			`1 755 /cnb/buildpacks/acme_a/1.0.0/bin/build /cnb/buildpacks/acme_a/1.0.0/bin/also ""`,
		))
		Expect(listing(m.Piece)).NotTo(ContainElement(ContainSubstring("socket")))
	})

	It("refuses fifos", func() {
		dir := component("acme/a").dir()
		Expect(syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644)).To(Succeed())
		Expect(openError(&source.Opener{}, dir)).To(MatchError(ContainSubstring("pipe is a fifo")))
	})

	DescribeTable("must not change while it is read",
		func(change func(file string)) {
			dir := component("acme/a").dir()
			m := open(&source.Opener{}, dir, flatten.Target{}).Modules[0]
			change(filepath.Join(dir, "data/file"))
			_, err := tryListing(m.Piece)
			Expect(err).To(MatchError(And(ContainSubstring(dir), ContainSubstring("data/file"), ContainSubstring("changed while being read"))))
		},
		Entry("longer", func(f string) { Expect(os.WriteFile(f, []byte("longer than it was before"), 0o644)).To(Succeed()) }),
		Entry("shorter", func(f string) { Expect(os.Truncate(f, 3)).To(Succeed()) }),
		Entry("of the same length", func(f string) {
			Expect(os.WriteFile(f, []byte("CONTENT of acme/a"), 0o644)).To(Succeed())
			later := time.Now().Add(time.Hour)
			Expect(os.Chtimes(f, later, later)).To(Succeed())
		}),
		Entry("another file, of the same length and time", func(f string) {
			info, err := os.Stat(f)
			Expect(err).NotTo(HaveOccurred())
			Expect(os.WriteFile(f+".new", []byte("content of acme/b"), 0o644)).To(Succeed())
			Expect(os.Chtimes(f+".new", info.ModTime(), info.ModTime())).To(Succeed())
			Expect(os.Rename(f+".new", f)).To(Succeed())
		}),
		Entry("gone", func(f string) { Expect(os.Remove(f)).To(Succeed()) }),
		Entry("a symbolic link", func(f string) {
			Expect(os.Rename(f, f+".old")).To(Succeed())
			Expect(os.Symlink("file.old", f)).To(Succeed())
		}),
		Entry("a fifo, which nobody writes to", func(f string) {
			Expect(os.Remove(f)).To(Succeed())
			Expect(syscall.Mkfifo(f, 0o644)).To(Succeed())
		}),
	)

	It("must not grow under the reader's hands", func() {
		dir := component("acme/a").dir()
		big := filepath.Join(dir, "big")
		Expect(os.WriteFile(big, make([]byte, 1<<20), 0o644)).To(Succeed())
		m := open(&source.Opener{}, dir, flatten.Target{}).Modules[0]
		err := m.Piece.WriteEntries(context.Background(), writerFunc(func(p []byte) (int, error) {
			if len(p) > 100_000 { // in the middle of it
				f, err := os.OpenFile(big, os.O_APPEND|os.O_WRONLY, 0)
				Expect(err).NotTo(HaveOccurred())
				_, err = f.WriteString("x")
				Expect(err).NotTo(HaveOccurred())
				Expect(f.Close()).To(Succeed())
			}
			return len(p), nil
		}))
		Expect(err).To(MatchError(And(ContainSubstring("big"), ContainSubstring("changed while being read"))))
	})
})

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

var _ = Describe("folders for targets", func() {
	platforms := func() tree {
		t := component("acme/a")
		t["linux/amd64/bin/build"] = "#!amd64"
		t["linux/amd64/bin/detect"] = "#!amd64"
		t["linux/amd64/buildpack.toml"] = "not even TOML"
		t["linux/amd64/ubuntu@24.04/bin/build"] = "#!ubuntu"
		t["linux/bin/build"] = "#!linux"
		return t
	}
	rel := func(m *image.Module) (names []string) {
		for _, line := range listing(m.Piece)[2:] {
			names = append(names, strings.TrimPrefix(strings.Fields(line)[2], "/cnb/buildpacks/acme_a/1.0.0/"))
		}
		return names
	}
	for form, write := range map[string]func(tree) string{
		"a directory": tree.dir,
		"an archive":  func(t tree) string { return file("x.tgz", packed(layer.Gzip, tarOf(t.entries()...))) },
	} {
		It("become the root, with the outer buildpack.toml, of "+form, func() {
			o, p := opener(), write(platforms())
			of := func(s string) []string {
				target, err := flatten.ParseTarget(s)
				Expect(err).NotTo(HaveOccurred())
				return rel(open(o, p, target).Modules[0])
			}
			Expect(of("linux/amd64")).To(Equal([]string{"bin", "bin/build", "bin/detect", "buildpack.toml", "ubuntu@24.04", "ubuntu@24.04/bin", "ubuntu@24.04/bin/build"}))
			Expect(of("linux/amd64:ubuntu@24.04")).To(Equal([]string{"bin", "bin/build", "buildpack.toml"}))
			Expect(of("linux/amd64:ubuntu@22.04")).To(Equal(of("linux/amd64")), "the nearest")
			Expect(of("linux/arm64")).To(ContainElements("bin/build", "amd64/bin/build"))
			Expect(rel(open(o, p, flatten.Target{}).Modules[0])).To(ContainElement("linux/amd64/bin/build"), "no target: all of it")
			m := open(o, p, amd64).Modules[0]
			Expect(listing(m.Piece)).To(ContainElement(ContainSubstring(fmt.Sprintf("buildpack.toml  %q", descriptor("acme/a")))))
		})
	}

	It("leave the user's directory as it is", func() {
		dir := platforms().dir()
		before, err := fixtures.TreeHash(dir)
		Expect(err).NotTo(HaveOccurred())
		listing(open(&source.Opener{}, dir, amd64).Modules[0].Piece)
		Expect(fixtures.TreeHash(dir)).To(Equal(before))
	})
})

var _ = Describe("a buildpack.toml", func() {
	It("that is wrong is told with file and line", func() {
		dir := tree{"buildpack.toml": "api = \"0.10\"\n[buildpack]\nid = 3\n"}.dir()
		_, err := opener().Package(context.Background(), path(dir), flatten.Buildpack, flatten.Target{})
		Expect(err).To(MatchError(ContainSubstring(dir + "/buildpack.toml:3")))
	})

	It("with unknown keys, and no executables, returns warnings", func() {
		dir := tree{"buildpack.toml": descriptor("acme/a") + "nonsense = 1\n"}.dir()
		var told []string
		for _, p := range open(opener(), dir, flatten.Target{}).Problems {
			Expect(p.Warning).To(BeTrue())
			told = append(told, p.Error())
		}
		Expect(told).To(HaveExactElements(ContainSubstring("nonsense"), HaveSuffix("acme/a@1.0.0 has no bin/detect"), HaveSuffix("acme/a@1.0.0 has no bin/build")))
	})

	DescribeTable("that is not at the root is asked for",
		func(t tree, kind flatten.Kind, why string) {
			for _, p := range []string{t.dir(), file("x.tgz", packed(layer.Gzip, tarOf(t.entries()...)))} {
				_, err := opener().Package(context.Background(), path(p), kind, flatten.Target{})
				Expect(err).To(MatchError(And(HavePrefix(p), ContainSubstring(why))))
			}
		},
		Entry("in the folder of a release", tree{"acme-1.0/buildpack.toml": "", "acme-1.0/x/buildpack.toml": ""}, flatten.Buildpack, "found one at acme-1.0/buildpack.toml"),
		Entry("nowhere", tree{"README": ""}, flatten.Buildpack, "missing buildpack.toml"),
		Entry("an extension", tree{"extension.toml": ""}, flatten.Buildpack, "this is an image extension, not a buildpack"),
		Entry("a buildpack, for an extension", tree{"buildpack.toml": ""}, flatten.Extension, "this is a buildpack, not an image extension"),
		Entry("a directory", tree{"buildpack.toml/": ""}, flatten.Buildpack, "is not a regular file"),
		Entry("a symbolic link", tree{"buildpack.toml": "->../../etc/passwd"}, flatten.Buildpack, "is not a regular file"),
	)
})
