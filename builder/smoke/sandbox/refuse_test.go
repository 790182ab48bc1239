//go:build linux

package sandbox_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/sandbox"
)

var _ = Describe("Run", func() {
	DescribeTable("says why a program could not be started", Label("once"), func(step, text string, change func(*sandbox.Spec)) {
		b := newBox("exit", "0")
		change(&b.Spec)
		_, err := b.run()
		var setup *sandbox.SetupError
		Expect(errors.As(err, &setup)).To(BeTrue(), "%v", err)
		Expect(setup.Step).To(Equal(step))
		Expect(setup.Err.Error()).To(Equal(text))
		Expect(setup.Hint).To(BeEmpty())
	},
		Entry("not in PATH", "looking up nothing", "command not found in the PATH /bin", func(s *sandbox.Spec) { s.Args = []string{"nothing"} }),
		Entry("not the caller's PATH", "looking up ls", "command not found in the PATH /bin", func(s *sandbox.Spec) { s.Args = []string{"ls"} }),
		Entry("not executable", "looking up text", "permission denied", func(s *sandbox.Spec) { s.Args = []string{"text"} }),
		Entry("missing", "executing /no", "no such file or directory", func(s *sandbox.Spec) { s.Args = []string{"/no"} }),
		Entry("not a program", "executing /bin/not-a-program", "exec format error", func(s *sandbox.Spec) { s.Args = []string{"not-a-program"} }),
		Entry("missing directory", "changing to the directory /no", "no such file or directory", func(s *sandbox.Spec) { s.Dir = "/no" }),
		Entry("missing root", "opening the root", "no such file or directory", func(s *sandbox.Spec) { s.Root += "-not" }),
		Entry("missing source", "mounting /x", "no such file or directory", func(s *sandbox.Spec) { s.Mounts = []sandbox.Mount{{Source: "/no", Target: "/x"}} }),
		Entry("a directory on a file", "mounting /etc/passwd", "the target is not a directory, and the source is one", func(s *sandbox.Spec) {
			s.Mounts = []sandbox.Mount{{Target: "/etc/passwd"}}
		}),
		Entry("a link as /proc", "mounting /proc", "the root has something else than a directory there", func(s *sandbox.Spec) {
			Expect(os.Remove(filepath.Join(s.Root, "proc"))).To(Succeed())
			Expect(os.Symlink("/data", filepath.Join(s.Root, "proc"))).To(Succeed())
		}),
	)

	DescribeTable("refuses an invalid spec", Label("once"), func(text string, change func(*sandbox.Spec)) {
		b := newBox("exit", "0")
		change(&b.Spec)
		_, err := b.run()
		Expect(err).To(MatchError(ContainSubstring(text)))
	},
		Entry("no command", "missing command", func(s *sandbox.Spec) { s.Args = nil }),
		Entry("relative root", `invalid root "x"`, func(s *sandbox.Spec) { s.Root = "x" }),
		Entry("relative target", `invalid target "x"`, func(s *sandbox.Spec) { s.Mounts[0].Target = "x" }),
		Entry("the root as target", `invalid target "/.."`, func(s *sandbox.Spec) { s.Mounts[0].Target = "/.." }),
		Entry("over /proc", `invalid target "/a/../proc/self"`, func(s *sandbox.Spec) { s.Mounts[0].Target = "/a/../proc/self" }),
		Entry("relative source", `invalid source "x"`, func(s *sandbox.Spec) { s.Mounts[0].Source = "x" }),
		Entry("no scratch", `invalid scratch directory ""`, func(s *sandbox.Spec) { s.Scratch = "" }),
		Entry("a negative user", "invalid user -1:1000", func(s *sandbox.Spec) { s.UID = -1 }),
		Entry("a zero byte", "it has a zero byte", func(s *sandbox.Spec) { s.Env = []string{"A=\x00"} }),
	)
})

var _ = Describe("Check", func() {
	It("passes where a sandbox can be made", func() {
		Expect(sandbox.Check(GinkgoT().TempDir())).To(Succeed())
	})
	It("fails where none can be made", func() {
		err := sandbox.Check("/no/such/directory")
		Expect(errors.Is(err, fs.ErrNotExist)).To(BeTrue(), "%v", err)
	})
})
