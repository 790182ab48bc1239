package smoke_test

import (
	"archive/tar"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke"
	"laminate/fixtures/workbench"
)

// entry returns an entry from a line such as "file 0644 a/b content", "dir 0755 a", "link a b",
// "hard a b" or "fifo a".
func entry(line string) workbench.TarEntry {
	GinkgoHelper()
	w := strings.SplitN(line, " ", 4)
	h := tar.Header{Name: w[1], Mode: 0o644}
	body := ""
	switch w[0] {
	case "link", "hard":
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, w[2], 0o777
		if w[0] == "hard" {
			h.Typeflag = tar.TypeLink
		}
	case "fifo":
		h.Typeflag = tar.TypeFifo
	default:
		_, err := fmt.Sscanf(w[1], "%o", &h.Mode)
		Expect(err).NotTo(HaveOccurred())
		if h.Typeflag, h.Name = tar.TypeReg, w[2]; w[0] == "dir" {
			h.Typeflag = tar.TypeDir
		}
		if len(w) > 3 {
			body = w[3]
		}
	}
	return workbench.TarEntry{Header: h, Body: body}
}

// layers returns the tars of layers; a layer is a list of entries, as entry reads them.
func layers(all ...[]string) (tars [][]byte) {
	GinkgoHelper()
	for _, lines := range all {
		var entries []workbench.TarEntry
		for _, l := range lines {
			entries = append(entries, entry(l))
		}
		tars = append(tars, workbench.TarOf(entries...))
	}
	return tars
}

// fileTOML is an expectation of a file, and of its content or mode, on three lines.
func fileTOML(path, more string) string {
	return fmt.Sprintf("[[files]]\npath = '%s'\n%s\n", path, more)
}

var _ = Describe("files of the app image", func() {
	DescribeTable("are those that the layers make together", func(path, content string, all ...[]string) {
		app := imageOf(nil, layers(all...)...)
		toml := fileTOML(path, "absent = true")
		want := []string{"1: there is a file " + path + "; expected none"}
		if content == "" {
			want = []string{}
		}
		Expect(said(toml, smoke.Outcome{App: app})).To(Equal(want))
		if content == "" {
			return
		}
		// Twice: two expectations of one path, and one of them is met.
		toml = fileTOML(path, `content = '\A`+content+`\z'`) + fileTOML(path, "content = 'not-this'")
		Expect(said(toml, smoke.Outcome{App: app})).To(Equal([]string{
			`6: content of ` + path + ` is "` + content + `"; expected one that matches /not-this/`,
		}))
	},
		Entry("a file", "/a/b", "x", []string{"dir 0755 a", "file 0644 a/b x"}),
		Entry("without a directory's entry", "/a/b", "x", []string{"file 0644 ./a/b x"}),
		Entry("the topmost counts", "/a", "new", []string{"file 0644 a old"}, []string{"file 0644 /a new"}),
		Entry("the last of a layer counts", "/a", "new", []string{"file 0644 a old", "file 0644 a new"}),
		Entry("none", "/a/c", "", []string{"file 0644 a/b x"}),
		Entry("a whiteout", "/a/b", "", []string{"file 0644 a/b x"}, []string{"file 0644 a/.wh.b "}),
		Entry("a whiteout of its directory", "/a/b/c", "", []string{"file 0644 a/b/c x"}, []string{"file 0644 .wh.a "}),
		Entry("a whiteout hides nothing of its own layer", "/a/b", "new", []string{"file 0644 a/b x"}, []string{"file 0644 a/b new", "file 0644 .wh.a ", "file 0644 a/.wh.b "}),
		Entry("an opaque directory", "/a/b", "", []string{"file 0644 a/b x"}, []string{"file 0644 a/.wh..wh..opq ", "file 0644 a/c x"}),
		Entry("an opaque directory hides nothing of its own layer", "/a/b", "new", []string{"file 0644 a/b x"}, []string{"file 0644 a/b new", "file 0644 a/.wh..wh..opq "}),
		Entry("a whiteout of nothing", "/a", "x", []string{"file 0644 a x"}, []string{"file 0644 b/c/.wh.d ", "file 0644 .wh.e "}),
		Entry("again after a whiteout", "/a", "new", []string{"file 0644 a x"}, []string{"file 0644 .wh.a "}, []string{"file 0644 a new"}),
		Entry("a file in place of a directory", "/a/b", "", []string{"file 0644 a/b x"}, []string{"file 0644 a x"}),
		Entry("a directory in place of a file", "/a/b", "x", []string{"file 0644 a y"}, []string{"file 0644 a/b x"}),
		Entry("a directory again keeps what is below", "/a/b", "x", []string{"file 0644 a/b x"}, []string{"dir 0700 a"}),
		Entry("a link", "/a", "x", []string{"file 0644 b x", "link a b"}),
		Entry("a link to a file of a higher layer", "/a", "new", []string{"file 0644 d/b x", "link a d/b"}, []string{"file 0644 d/b new"}),
		Entry("links of directories", "/a/c", "x", []string{"link a /usr/../usr/b", "link usr/b ./d", "file 0644 usr/d/c x"}),
		Entry("an absolute link in a directory", "/d/a", "x", []string{"link d/a /b", "file 0644 b x"}),
		Entry("a link out of the root", "/a/b", "x", []string{"link a/b ../../../../c", "file 0644 c x"}),
		Entry("a link to nothing", "/a", "", []string{"link a b"}),
		Entry("a link to itself", "/a", "", []string{"link a a"}),
		Entry("links in a circle", "/a/x", "", []string{"link a b/c", "link b a"}),
		Entry("a file as a directory", "/a/b", "", []string{"file 0644 a x"}),
		Entry("a hard link", "/a", "x", []string{"file 0644 b x", "hard a b"}),
		Entry("a hard link whose target went", "/a", "x", []string{"file 0644 b x"}, []string{"hard a b"}, []string{"file 0644 .wh.b "}),
		Entry("a hard link to nothing", "/a", "", []string{"hard a b/c"}),
		Entry("the root", "/a", "x", []string{"dir 0755 ./", "file 0644 ../a x"}),
	)

	It("are looked at by their name and by a link", func() {
		app := imageOf(nil, layers([]string{"file 0644 a x", "link b a"})...)
		toml := fileTOML("/a", "content = 'x'") + fileTOML("/b", "content = 'x'") + fileTOML("/b", "content = 'y'")
		Expect(said(toml, smoke.Outcome{App: app})).To(Equal([]string{`9: content of /b is "x"; expected one that matches /y/`}))
	})

	It("have modes", func() {
		app := imageOf(nil, layers([]string{"file 0644 a x", "dir 1777 tmp", "file 4755 su x", "link sulink su"}, []string{"file 0600 a x", "dir 0700 tmp"})...)
		toml := fileTOML("/a", "mode = '0644'") + fileTOML("/tmp", "mode = '1777'") + fileTOML("/su", "mode = '4755'") + fileTOML("/sulink", "mode = '755'") + fileTOML("/tmp", "")
		Expect(said(toml, smoke.Outcome{App: app})).To(Equal([]string{
			"3: mode of /a is 0600; expected 0644",
			"6: mode of /tmp is 0700; expected 1777",
			"12: mode of /sulink is 4755; expected 0755",
		}))
	})

	It("are named where they are missing", func() {
		app := imageOf(nil, layers([]string{"file 0644 workspace/app.jar x", "dir 0755 workspace/lib", "fifo pipe", "dir 0755 empty"})...)
		toml := fileTOML("/workspace/target/app.jar", "") + fileTOML("/empty/x", "") + fileTOML("/workspace/app.jar/x", "") + fileTOML("/workspace", "content = 'x'") + fileTOML("/pipe", "absent = true")
		Expect(said(toml, smoke.Outcome{App: app})).To(Equal([]string{
			"1: there is no file /workspace/target/app.jar; /workspace has app.jar, lib",
			"4: there is no file /empty/x; /empty has none",
			"7: there is no file /workspace/app.jar/x; /workspace has app.jar, lib",
			"12: /workspace is a directory; expected a file with content that matches /x/",
			"13: there is a special file /pipe; expected none",
		}))
	})

	It("are not looked at if they are large", func() {
		app := imageOf(nil, layers([]string{"file 0644 a " + strings.Repeat("x", 16<<20+1)})...)
		Expect(said(fileTOML("/a", "content = 'x'"), smoke.Outcome{App: app})).To(Equal([]string{
			"3: /a is larger than 16 MiB; its content is not checked",
		}))
	})

	It("cannot be read from a broken layer, which is told", func() {
		app := imageOf(nil, []byte(strings.Repeat("not a tar", 100)))
		Expect(said(fileTOML("/a", ""), smoke.Outcome{App: app})).To(ConsistOf(
			MatchRegexp(`^1: files of the app image cannot be read: app: layer sha256:\w+: reading the layer's tar: archive/tar: invalid tar header`)))
	})

	It("are quoted whatever they hold", func() {
		app := imageOf(nil, layers([]string{"file 0644 a \x1b[31m" + strings.Repeat("é", 200), "file 0644 \x1b[31mb x"})...)
		found := said(fileTOML("/a", "content = 'y'")+fileTOML("/c", ""), smoke.Outcome{App: app})
		Expect(found).To(HaveLen(2))
		Expect(found[0]).To(And(HavePrefix(`3: content of /a is "\x1b[31mé`), ContainSubstring(`é"…; expected`)))
		Expect(found[1]).To(Equal(`4: there is no file /c; / has "\x1b[31mb", a`))
	})
})
