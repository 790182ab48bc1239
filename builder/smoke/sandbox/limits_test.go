//go:build linux

package sandbox_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/sandbox"
)

var _ = Describe("Limits", func() {
	DescribeTable("stop a program that exceeds one, and say which", func(name string, limit int64, text string, limits sandbox.Limits, args ...string) {
		b := newBox(args...)
		b.Limits = limits
		_, err := b.run()
		var exceeded *sandbox.LimitError
		Expect(errors.As(err, &exceeded)).To(BeTrue(), "%v", err)
		Expect(*exceeded).To(Equal(sandbox.LimitError{Limit: name, Max: limit}))
		Expect(err).To(MatchError(ContainSubstring(text)))
		Expect(processes(b.Root)).To(BeEmpty())
		Expect(os.RemoveAll(b.Scratch)).To(Succeed())
	},
		Entry("a fork bomb", sandbox.LimitProcesses, int64(60), "more than 60 processes", sandbox.Limits{Processes: 60}, "bomb"),
		Entry("threads", sandbox.LimitProcesses, int64(60), "more than 60 processes", sandbox.Limits{Processes: 60}, "threads", "90"),
		Entry("a disk filler", sandbox.LimitBytes, int64(64<<20), "more than 67108864 bytes", sandbox.Limits{Bytes: 64 << 20}, "fill", "/data"),
		Entry("removed files", sandbox.LimitBytes, int64(8<<20), "more than 8388608 bytes", sandbox.Limits{Bytes: 8 << 20, FileSize: 1 << 40}, "removed", "/data", "32"),
		Entry("empty files", sandbox.LimitBytes, int64(1<<20), "more than 1048576 bytes", sandbox.Limits{Bytes: 1 << 20}, "tiny", "/data", "300"),
		Entry("one large file", sandbox.LimitFileSize, int64(1<<20), "a file of more than 1048576 bytes", sandbox.Limits{FileSize: 1 << 20}, "large", "/data"),
		Entry("deep directories", sandbox.LimitDepth, int64(500), "more than 500 deep", sandbox.Limits{}, "deep", "/data", "600"),
	)

	It("count what is removed from a writable root too", func() {
		b := newBox("removed", "/tmp", "32")
		b.Limits, b.Mounts, b.Writable = sandbox.Limits{Bytes: 8 << 20, FileSize: 1 << 40}, nil, true
		_, err := b.run()
		var exceeded *sandbox.LimitError
		Expect(errors.As(err, &exceeded)).To(BeTrue(), "%v", err)
		Expect(exceeded.Limit).To(Equal(sandbox.LimitBytes))
	})

	It("give the program the ordinary priority, whatever that of its supervisor is", Label("once"), func() {
		b := newBox("cat", "/proc/self/stat")
		_, err := b.run()
		Expect(err).NotTo(HaveOccurred())
		_, behind, _ := strings.Cut(b.out.String(), ") ") // the name, which can hold spaces
		Expect(strings.Fields(behind)[16]).To(Equal("0"), "the nice value, field 19")
	})

	It("let the kernel limit the processes of root too, where there is a cgroup for that", Label("once"), func() {
		if !sandbox.HasCgroup() {
			Skip("no cgroup of pids that this user can write to")
		}
		b := newBox("cat", "/proc/self/cgroup")
		_, err := b.run()
		Expect(err).NotTo(HaveOccurred())
		Expect(b.out.String()).To(ContainSubstring("laminate-sandbox-"))
		for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/pids"} {
			name := regexp.MustCompile("laminate-sandbox-[0-9]+").FindString(b.out.String())
			Expect(filepath.Join(dir, name)).NotTo(BeADirectory(), "it ends with the sandbox")
		}
	})

	It("do not mistake an exit code for one", Label("once"), func() {
		result, err := newBox("exit", "153").run()
		Expect(err).NotTo(HaveOccurred())
		Expect(result.ExitCode).To(Equal(153))
	})

	It("leave the rest alone", func() {
		b := newBox("tiny-exit", "/data", "200")
		b.Limits = sandbox.Limits{Bytes: 1 << 20, Processes: 60}
		for _, name := range []string{"a", "b", "c"} { // what was there before does not count
			Expect(os.WriteFile(filepath.Join(b.Scratch, name), []byte(strings.Repeat("x", 1<<20)), 0o644)).To(Succeed())
		}
		Expect(os.Link(filepath.Join(b.Scratch, "a"), filepath.Join(b.Scratch, "d"))).To(Succeed())
		b.Mounts = []sandbox.Mount{{Source: b.Scratch, Target: "/data"}, {Source: b.Scratch, Target: "/again", ReadOnly: true}}
		result, err := b.run()
		Expect(err).NotTo(HaveOccurred())
		Expect(result.Written).To(BeNumerically("~", 201*4096, 8*4096)) // and the directory
	})
})
