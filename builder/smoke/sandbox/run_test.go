//go:build linux

package sandbox_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/sandbox"
)

var _ = Describe("Run", func() {
	DescribeTable("returns exactly how the program ended", Label("once"), func(code int, signal string, args ...string) {
		result, err := newBox(args...).run()
		Expect(err).NotTo(HaveOccurred())
		Expect(result.ExitCode).To(Equal(code))
		Expect(result.Signal).To(Equal(signal))
		Expect(result.Left).To(BeEmpty())
	},
		Entry("0", 0, "", "exit", "0"),
		Entry("1", 1, "", "exit", "1"),
		Entry("100", 100, "", "exit", "100"),
		Entry("255", 255, "", "exit", "255"),
		Entry("killed", 137, "SIGKILL", "kill", "9"),
		Entry("terminated", 143, "SIGTERM", "kill", "15"),
	)

	It("gives the program what the spec says, and nothing else", func() {
		b := newBox("facts")
		b.Dir, b.Hostname, b.Limits.OpenFiles = "/home/user", "builder", 99
		leaked, err := syscall.Dup(1) // without close-on-exec
		Expect(err).NotTo(HaveOccurred())
		defer syscall.Close(leaked)
		said := b.says()
		Expect(said).To(HaveKeyWithValue("fds", "0 1 2"))
		Expect(said).To(HaveKeyWithValue("stdin", "/dev/null"))
		Expect(said).To(HaveKeyWithValue("dir", "/home/user"))
		Expect(said).To(HaveKeyWithValue("host", "builder"))
		Expect(said).To(HaveKeyWithValue("uid", "1001 1001"))
		Expect(said).To(HaveKeyWithValue("gid", "1000 1000"))
		Expect(said).To(HaveKeyWithValue("processes", "2"))
		Expect(said).To(HaveKeyWithValue("core", "1 files: 99"))
		Expect(said).To(HaveKeyWithValue("interface", "lo true"))
		for _, kind := range []string{"user", "mnt", "pid", "ipc", "uts", "cgroup", "net"} {
			ours, err := os.Readlink("/proc/self/ns/" + kind)
			Expect(err).NotTo(HaveOccurred())
			Expect(said).To(HaveKeyWithValue("namespace "+kind, And(HavePrefix(kind+":["), Not(Equal(ours)))))
		}
	})

	DescribeTable("leaves the program no privileges", func(uid int) {
		b := newBox("facts")
		b.UID = uid
		said := b.says()
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
			Expect(said).To(HaveKeyWithValue(set, "0000000000000000"))
		}
		Expect(said).To(HaveKeyWithValue("NoNewPrivs", "1"))
		Expect(said).To(HaveKeyWithValue("Seccomp", "2"))
	}, Entry("as a user", 1001), Entry("as root", 0))

	It("passes the environment of the spec only", Label("once"), func() {
		b := newBox("env")
		b.Env = []string{"PATH=/bin", "A=b c", "BAD=\xff"}
		_, err := b.run()
		Expect(err).NotTo(HaveOccurred())
		Expect(b.out.String()).To(Equal("PATH=/bin\nA=b c\nBAD=\xff\n"))
	})

	It("keeps standard output and error apart", Label("once"), func() {
		b := newBox("stderr", "x")
		_, err := b.run()
		Expect(err).NotTo(HaveOccurred())
		Expect([]string{b.out.String(), b.err.String()}).To(Equal([]string{"", "x\n"}))
	})

	It("runs scripts with their interpreter", Label("once"), func() {
		b := newBox()
		b.Args = []string{"script", "more"}
		_, err := b.run()
		Expect(err).NotTo(HaveOccurred())
		Expect(b.out.String()).To(Equal("/bin/script more\n"))
	})

	It("resets signals that the caller ignores", Label("once"), func() {
		b := newBox("sigpipe")
		_, err := b.run()
		Expect(err).NotTo(HaveOccurred())
		Expect(b.out.String()).To(Equal("false false false\n"))
	})

	It("mounts directories and files, read-only or not, also behind links", func() {
		b := newBox("spray")
		dir := GinkgoT().TempDir()
		for _, name := range []string{"rw", "ro", "linked:, \\"} {
			Expect(os.MkdirAll(filepath.Join(dir, name), 0o755)).To(Succeed())
			Expect(os.WriteFile(filepath.Join(dir, name, "file"), nil, 0o644)).To(Succeed())
		}
		b.Mounts = []sandbox.Mount{
			{Source: filepath.Join(dir, "rw"), Target: "/new/rw"},
			{Source: filepath.Join(dir, "ro"), Target: "/new/ro", ReadOnly: true},
			{Source: filepath.Join(dir, "linked:, \\"), Target: "/run/x"},
			{Source: filepath.Join(dir, "ro", "file"), Target: "/up/file"},
		}
		_, err := b.run()
		Expect(err).NotTo(HaveOccurred())
		Expect(strings.Split(strings.TrimSpace(b.out.String()), "\n")).To(ConsistOf(
			"made: /dev/shm/sprayed", "mode: /dev/shm",
			"made: /new/rw/sprayed", "mode: /new/rw", "opened: /new/rw/file", "removed: /new/rw/file", "opened: /new/rw/sprayed", "removed: /new/rw/sprayed",
			"made: /real/run/x/sprayed", "mode: /real/run/x", "opened: /real/run/x/file", "removed: /real/run/x/file", "opened: /real/run/x/sprayed", "removed: /real/run/x/sprayed",
			"opened: /real/file",
			"removed: /dev/shm/sprayed", "opened: /dev/shm/sprayed",
		))
	})

	It("counts what was written", func() {
		b := newBox("write", "/data/file")
		result, err := b.run()
		Expect(err).NotTo(HaveOccurred())
		Expect(b.out.String()).To(Equal("write: <nil>\n"))
		Expect(result.Written).To(BeEquivalentTo(4096))
		Expect(os.ReadFile(filepath.Join(b.Scratch, "0", "file"))).To(Equal([]byte("x")))
	})

	It("streams output without keeping it", Label("once"), func() {
		b := newBox("flood", strconv.Itoa(1<<27))
		var count counter
		b.Stdout = &count
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := b.run()
		runtime.ReadMemStats(&after)
		Expect(err).NotTo(HaveOccurred())
		Expect(count).To(BeEquivalentTo(1 << 27))
		Expect(after.TotalAlloc - before.TotalAlloc).To(BeNumerically("<", 4<<20))
	})

	It("returns the error of a writer", Label("once"), func() {
		b := newBox("flood", "10000000")
		b.Stdout = broken{}
		_, err := b.run()
		Expect(err).To(MatchError(ContainSubstring("writing the program's output: disk full")))
	})

	It("finds, names and kills processes that outlive the program", func() {
		b := newBox("leave")
		result, err := b.run()
		Expect(err).NotTo(HaveOccurred())
		Expect(result.ExitCode).To(BeZero())
		Expect(result.Left).To(HaveExactElements(And(HaveField("Name", "exe"), HaveField("Command", "tool stay in-the-background"), HaveField("Parent", 1))))
		Expect(processes("in-the-background")).To(BeEmpty())
	})

	It("reaps orphans", Label("once"), func() {
		result, err := newBox("orphans", "50").run()
		Expect(err).NotTo(HaveOccurred())
		Expect(result.ExitCode).To(Equal(7))
		Expect(result.Left).To(BeEmpty())
	})

	It("kills everything when the context ends", func() {
		b := newBox("sleep", "until-the-context-ends")
		before := mounts(b.Root)
		ctx, cancel := context.WithCancelCause(context.Background())
		reader, writer := io.Pipe()
		b.Stdout = writer
		go func() {
			_, _ = bufio.NewReader(reader).ReadString('\n')
			cancel(errors.New("enough"))
			_, _ = io.Copy(io.Discard, reader)
		}()
		_, err := sandbox.Run(ctx, b.Spec)
		Expect(err).To(MatchError("sandbox: interrupted: enough"))
		Expect(processes("until-the-context-ends")).To(BeEmpty())
		Expect(mounts(b.Root)).To(Equal(before))
		_, err = sandbox.Run(ctx, b.Spec)
		Expect(err).To(MatchError("sandbox: interrupted: enough"))
	})

	It("ends with a caller that is killed, and leaves no process and no mount", func() {
		root := newRoot(GinkgoT().TempDir())
		before := mounts(root)
		word := "until-the-caller-dies"
		caller := exec.Command("/proc/self/exe", "as-caller", root, word)
		out, err := caller.StdoutPipe()
		Expect(err).NotTo(HaveOccurred())
		Expect(caller.Start()).To(Succeed())
		_, err = bufio.NewReader(out).ReadString('\n')
		Expect(err).NotTo(HaveOccurred())
		Expect(processes(word)).To(HaveLen(2))
		Expect(caller.Process.Kill()).To(Succeed())
		_ = caller.Wait()
		Eventually(func() []string { return processes(word) }, time.Minute, time.Millisecond).Should(BeEmpty())
		Expect(mounts(root)).To(Equal(before))
	})

	It("keeps what a writable root is changed into in the scratch directory", func() {
		b := newBox("write", "/etc/new")
		b.Writable, b.Mounts = true, nil
		result, err := b.run()
		Expect(err).NotTo(HaveOccurred())
		Expect(b.out.String()).To(Equal("write: <nil>\n"))
		Expect(result.Written).To(BeNumerically(">=", 4096))
		Expect(filepath.Join(b.Root, "etc/new")).NotTo(BeAnExistingFile())
		Expect(filepath.Join(b.Scratch, "upper/etc/new")).To(BeAnExistingFile())
		Expect(os.RemoveAll(b.Scratch)).To(Succeed())
	})

	It("costs little processor time", Label("once"), func() {
		b := newBox("exit", "0")
		b.Mounts = nil
		best := time.Hour
		for range 3 {
			before := spent()
			_, err := b.run()
			Expect(err).NotTo(HaveOccurred())
			best = min(best, spent()-before)
		}
		Expect(best).To(BeNumerically("<", 600*time.Millisecond))
	})
})

// spent returns the processor time of ended children.
func spent() time.Duration {
	var use syscall.Rusage
	Expect(syscall.Getrusage(syscall.RUSAGE_CHILDREN, &use)).To(Succeed())
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

var _ = Describe("Main", func() {
	It("is for the sandbox only", Label("once"), func() {
		out, err := exec.Command("/proc/self/exe", sandbox.Argument, "supervise").CombinedOutput()
		var exit *exec.ExitError
		Expect(errors.As(err, &exit)).To(BeTrue())
		Expect(exit.ExitCode()).To(Equal(2))
		Expect(string(out)).To(Equal("sandbox: this is a stage of the sandbox, which only the sandbox starts\n"))
	})
})

type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }
