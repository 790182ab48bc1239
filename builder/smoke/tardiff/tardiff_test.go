package tardiff_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/tardiff"
)

func TestTardiff(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "builder/smoke/tardiff")
}

// archive makes a tar of entries such as "f 0644 /a/b content", "d 0755 /a" and "l 0777 /a/c target".
func archive(lines ...string) io.Reader {
	GinkgoHelper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, line := range lines {
		word := strings.SplitN(line, " ", 4)
		h := tar.Header{Name: word[2]}
		_, err := fmt.Sscanf(word[1], "%o", &h.Mode)
		Expect(err).NotTo(HaveOccurred())
		content := ""
		switch word[0] {
		case "d":
			h.Typeflag = tar.TypeDir
		case "l":
			h.Typeflag, h.Linkname = tar.TypeSymlink, word[3]
		default:
			h.Typeflag, content = tar.TypeReg, word[3]
			h.Size = int64(len(content))
		}
		Expect(w.WriteHeader(&h)).To(Succeed())
		_, err = w.Write([]byte(content))
		Expect(err).NotTo(HaveOccurred())
	}
	Expect(w.Close()).To(Succeed())
	return &b
}

func changes(was, is io.Reader) []string {
	GinkgoHelper()
	all := []string{}
	Expect(tardiff.Compare(was, is, func(c tardiff.Change) error {
		all = append(all, string(c.Kind)+" "+c.Path)
		return nil
	})).To(Succeed())
	return all
}

var _ = DescribeTable("Compare", func(was, is []string, want ...string) {
	if want == nil {
		want = []string{}
	}
	Expect(changes(archive(was...), archive(is...))).To(Equal(want))
},
	Entry("nothing", []string{"d 755 /a", "f 644 /a/b x"}, []string{"d 755 a/", "f 644 ./a/b x"}),
	Entry("content of the same size", []string{"f 644 /a xy"}, []string{"f 644 /a xz"}, "changed /a"),
	Entry("size", []string{"f 644 /a xy"}, []string{"f 644 /a x"}, "changed /a"),
	Entry("mode", []string{"f 644 /a x", "f 644 /b x"}, []string{"f 755 /a x", "f 644 /b x"}, "changed /a"),
	Entry("target", []string{"l 777 /a x"}, []string{"l 777 /a y"}, "changed /a"),
	Entry("type", []string{"d 755 /a"}, []string{"l 755 /a y"}, "changed /a"),
	Entry("files that come and go", []string{"f 644 /a x", "f 644 /c x"}, []string{"f 644 /b x", "f 644 /c x", "f 644 /d x"}, "removed /a", "added /b", "added /d"),
	Entry("a directory beside its longer namesake", []string{"d 755 /a", "f 644 /a/z x", "d 755 /a-b"}, []string{"d 755 /a", "d 755 /a-b"}, "removed /a/z"),
	Entry("after content that differs early", []string{"f 644 /a " + strings.Repeat("x", 200<<10), "f 644 /b x"}, []string{"f 644 /a y" + strings.Repeat("x", 200<<10-1), "f 644 /b x"}, "changed /a"),
	Entry("late content", []string{"f 644 /a " + strings.Repeat("x", 200<<10)}, []string{"f 644 /a " + strings.Repeat("x", 200<<10-1) + "y"}, "changed /a"),
)

var _ = DescribeTable("Compare of headers", func(change func(*tar.Header)) {
	one := func(change func(*tar.Header)) io.Reader {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		h := tar.Header{Name: "/a", Typeflag: tar.TypeReg, Mode: 0o644, ModTime: time.Unix(1, 0)}
		change(&h)
		Expect(w.WriteHeader(&h)).To(Succeed())
		Expect(w.Close()).To(Succeed())
		return &b
	}
	same := func(*tar.Header) {}
	Expect(changes(one(same), one(same))).To(BeEmpty())
	Expect(changes(one(same), one(change))).To(Equal([]string{"changed /a"}))
},
	Entry("owner", func(h *tar.Header) { h.Uid = 1 }),
	Entry("group", func(h *tar.Header) { h.Gid = 1 }),
	Entry("time", func(h *tar.Header) { h.ModTime = time.Unix(2, 0) }),
)

var _ = Describe("a damaged archive", func() {
	It("is an error", func() {
		whole, err := io.ReadAll(archive("f 644 /a "+strings.Repeat("x", 5000), "f 644 /b x"))
		Expect(err).NotTo(HaveOccurred())
		Expect(tardiff.Compare(bytes.NewReader(whole), bytes.NewReader(whole[:2000]), func(tardiff.Change) error { return nil })).NotTo(Succeed())
		_, err = tardiff.Read(bytes.NewReader(whole[:2000]), &tardiff.Files{})
		Expect(err).To(HaveOccurred())
	})
})

var _ = Describe("Read", func() {
	known := func(lines ...string) *tardiff.Files {
		var f tardiff.Files
		for _, l := range lines {
			name, content, _ := strings.Cut(l, " ")
			Expect(f.Add(name, int64(len(content)), strings.NewReader(content))).To(Succeed())
		}
		return &f
	}
	It("counts bytes, and the known files by content and the end of their path", func() {
		f := known("main.x hello", "src/main.x world", "other same-", "empty ")
		Expect(f.Len()).To(Equal(3))
		c, err := tardiff.Read(archive(
			"d 755 /layers", "f 644 /layers/app/main.x hello", "f 644 /layers/app/src/main.x world", "f 644 /layers/copy/main.x hello",
			"f 644 /layers/another same-", "f 644 /layers/other sam-e", "f 644 /layers/xmain.x hello", "l 777 /layers/link /workspace", "f 644 /layers/big 0123456789",
		), f)
		Expect(err).NotTo(HaveOccurred())
		Expect(c).To(Equal(tardiff.Content{Bytes: 5 + 5 + 5 + 5 + 5 + 5 + 10, Known: 2, KnownBytes: 15}))
	})
})

var _ = Describe("Read, with files of one content,", func() {
	It("counts each once, the one with the longest path", func() {
		var f tardiff.Files
		for _, name := range []string{"a.x", "b/a.x"} {
			Expect(f.Add(name, 4, strings.NewReader("same"))).To(Succeed())
		}
		Expect(tardiff.Read(archive("f 644 /l/b/a.x same"), &f)).To(Equal(tardiff.Content{Bytes: 4, Known: 1, KnownBytes: 4}))
		Expect(tardiff.Read(archive("f 644 /l/a.x same", "f 644 /l/b/a.x same"), &f)).To(Equal(tardiff.Content{Bytes: 8, Known: 2, KnownBytes: 8}))
	})
})

var _ = Describe("a large archive", func() {
	It("takes no more memory than a small one", func() {
		big := func() io.Reader {
			r, w := io.Pipe()
			go func() {
				t := tar.NewWriter(w)
				_ = t.WriteHeader(&tar.Header{Name: "/big", Typeflag: tar.TypeReg, Size: 256 << 20})
				block := make([]byte, 1<<20)
				for range 256 {
					_, _ = t.Write(block)
				}
				_ = w.CloseWithError(t.Close())
			}()
			return r
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		Expect(changes(big(), big())).To(BeEmpty())
		runtime.ReadMemStats(&after)
		Expect(after.TotalAlloc - before.TotalAlloc).To(BeNumerically("<", 8<<20))
	})
})
