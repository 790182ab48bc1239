//go:build linux

package sandbox_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/sandbox"
)

// divided returns a box with /layers, in which a, b and the part of each of them can be written to in its
// turn, and end when it ends.
func divided(args ...string) (b *box, layers string) {
	b, _ = watched(args...)
	layers = filepath.Join(GinkgoT().TempDir(), "layers")
	for _, dir := range []string{"a", "b", "end"} {
		Expect(os.MkdirAll(filepath.Join(layers, dir), 0o755)).To(Succeed())
	}
	Expect(os.WriteFile(filepath.Join(layers, "a/file"), nil, 0o644)).To(Succeed())
	b.Mounts = append(b.Mounts, sandbox.Mount{Source: layers, Target: "/layers"})
	own := func(e sandbox.Exec) string { return strings.Split(e.Path, "/")[3] }
	parts := []string{"a", "b", "end"}
	b.Watch.Began = func(e sandbox.Exec) (*sandbox.Access, error) {
		return &sandbox.Access{Dir: "/layers", Parts: parts, Writable: []string{own(e)}}, nil
	}
	b.Watch.Ending = func(e sandbox.Exec) (*sandbox.Access, error) {
		return &sandbox.Access{Dir: "/layers", Writable: []string{own(e), "end"}}, nil
	}
	return b, layers
}

const a, b = ":/cnb/buildpacks/a/1/bin/build ", ":/cnb/buildpacks/b/1/bin/build "

var _ = Describe("An access", func() {
	It("leaves a program one part to write to, which it cannot change", func() {
		b, _ := divided(strings.Fields(a + "print x , " + b + "reach b a")...)
		Expect(b.says()).To(And(
			HaveKeyWithValue("own", "<nil>"),
			HaveKeyWithValue("other", "open /layers/a/planted: read-only file system"),
			HaveKeyWithValue("top", "open /layers/planted: read-only file system"),
			HaveKeyWithValue("mkdir", "mkdir /layers/new: read-only file system"),
			HaveKeyWithValue("rename", HaveSuffix("invalid cross-device link")),
			HaveKeyWithValue("link", HaveSuffix("read-only file system")), // that is found before
			HaveKeyWithValue("link here", HaveSuffix("invalid cross-device link")),
			HaveKeyWithValue("rename of it", Or(HaveSuffix("read-only file system"), HaveSuffix("device or resource busy"))),
			HaveKeyWithValue("umount", "operation not permitted"),
			HaveKeyWithValue("umount of own", "operation not permitted"),
			HaveKeyWithValue("remount", "operation not permitted"),
			HaveKeyWithValue("setattr", "operation not permitted"),
			HaveKeyWithValue("bind", "operation not permitted"),
			HaveKeyWithValue("move", "operation not permitted"),
			HaveKeyWithValue("mounts", "/layers=ro /layers/a=ro /layers/b=rw /layers/end=ro"),
		))
	})

	It("changes when a program ends", Label("once"), func() {
		b, layers := divided(strings.Fields(a + "write /layers/end/no , :/bin/tool write /layers/end/yes , :/bin/tool write /layers/a/yes , :/bin/tool write /layers/b/no")...)
		_, err := b.run()
		Expect(err).NotTo(HaveOccurred())
		Expect(b.out.String()).To(Equal("write: open /layers/end/no: read-only file system\n" + a[:len(a)-1] + ": <nil>\n" +
			"write: <nil>\n:/bin/tool: <nil>\nwrite: <nil>\n:/bin/tool: <nil>\nwrite: open /layers/b/no: read-only file system\n:/bin/tool: <nil>\n"))
		Expect(filepath.Join(layers, "end/yes")).To(BeAnExistingFile())
		Expect(mounts(layers)).To(BeEmpty())
	})

	DescribeTable("is refused while a process writes", func(args, dir, file string) {
		b, layers := divided(strings.Fields(args + " , " + b + "print said")...)
		result, err := b.run()
		var busy *sandbox.BusyError
		Expect(errors.As(err, &busy)).To(BeTrue(), "%v %v %s", result, err, b.out.String())
		Expect(busy.Dir).To(Equal(dir))
		Expect(busy.Path).To(Equal(file))
		Expect(busy.Process.Command).To(HavePrefix("tool hold /layers/"))
		Expect(busy).To(MatchError(ContainSubstring("%q has %q open for writing", "exe", file)))
		Expect(b.out.String()).NotTo(ContainSubstring("said"))
		Expect(processes("tool\x00hold")).To(BeEmpty())
		Expect(filepath.Join(layers, "b/own")).NotTo(BeAnExistingFile())
	},
		Entry("to a file", a+"leave-open /layers/a/log write", "/layers/a", "/layers/a/log"),
		Entry("to a mapped file", a+"leave-open /layers/a/log map", "/layers/a", "/layers/a/log"),
		Entry("to a removed file", Label("once"), a+"leave-open /layers/a/log remove", "/layers/a", "/layers/a/log (deleted)"),
		Entry("to a file from before the first change", Label("once"), ":/bin/tool leave-open /layers/b/log write", "/layers", "/layers/b/log"),
	)

	It("waits for a process that is about to end, and not for one that reads", func() {
		for _, how := range []string{"write burn", "read"} {
			b, _ := divided(strings.Fields(a + "leave-open /layers/a/log " + how + " , " + b + "print said")...)
			_, err := b.run()
			Expect(err).NotTo(HaveOccurred())
			Expect(b.out.String()).To(ContainSubstring("said"))
		}
	})

	It("holds for a process that has opened the directory before", func() {
		b, layers := divided(strings.Fields(a + "leave-open /layers/a/log dir , " + b + "late")...)
		_, err := b.run()
		Expect(err).NotTo(HaveOccurred())
		Expect(b.out.String()).To(ContainSubstring("open late: read-only file system"))
		Expect(filepath.Join(layers, "a/late")).NotTo(BeAnExistingFile())
	})

	DescribeTable("is refused of what is no directory in it:", Label("once"), func(name, message string) {
		b, layers := divided(strings.Fields(a + "print said")...)
		Expect(os.Symlink("a", filepath.Join(layers, "link"))).To(Succeed())
		Expect(os.Symlink("/etc", filepath.Join(layers, "out"))).To(Succeed())
		Expect(os.WriteFile(filepath.Join(layers, "file"), nil, 0o644)).To(Succeed())
		b.Watch.Began = func(sandbox.Exec) (*sandbox.Access, error) {
			return &sandbox.Access{Dir: "/layers", Parts: []string{"a", name}, Writable: []string{"a"}}, nil
		}
		_, err := b.run()
		Expect(err).To(MatchError(ContainSubstring(message)))
		Expect(b.out.String()).To(BeEmpty())
	},
		Entry("a link", "link", `mounting /layers/link over itself: too many levels of symbolic links`),
		Entry("a link that leads out", "out", `mounting /layers/out over itself: too many levels of symbolic links`),
		Entry("a file", "file", `mounting /layers/file over itself: not a directory`),
		Entry("nothing", "none", `mounting /layers/none over itself: no such file or directory`),
		Entry("a path", "a/b", `invalid name "a/b"`),
		Entry("the directory above", "..", `invalid name ".."`),
		Entry("no name", "", `invalid name ""`),
	)

	It("is refused of a part that is none, and of a second directory", Label("once"), func() {
		for _, wrong := range []sandbox.Access{{Dir: "/layers", Writable: []string{"c"}}, {Dir: "/data"}} {
			b, _ := divided(strings.Fields(a + "print x")...)
			b.Watch.Ending = func(sandbox.Exec) (*sandbox.Access, error) { return &wrong, nil }
			_, err := b.run()
			Expect(err).To(MatchError(ContainSubstring("sandbox: changing the access to ")))
		}
	})
})
