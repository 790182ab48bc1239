package cli_test

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
)

// below returns the processes below one, each with its start time, since ids are used again.
func below(pid int) (all []string) {
	GinkgoHelper()
	parents := map[int]int{}
	start := map[int]string{}
	entries, err := os.ReadDir("/proc")
	Expect(err).NotTo(HaveOccurred())
	for _, e := range entries {
		p, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if fields := statOf(p); fields != nil {
			parents[p], _ = strconv.Atoi(fields[1])
			start[p] = fields[19]
		}
	}
	for p := range parents {
		for at := parents[p]; at > 1; at = parents[at] {
			if at == pid {
				all = append(all, fmt.Sprint(p, " ", start[p]))
				break
			}
		}
	}
	return all
}

// statOf returns the fields of /proc/PID/stat behind the name, or nil for a process that has ended.
func statOf(pid int) []string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if fields[0] == "Z" {
		return nil
	}
	return fields
}

// running returns those of the processes that still run.
func running(all []string) (left []string) {
	for _, s := range all {
		pid, start, _ := strings.Cut(s, " ")
		p, _ := strconv.Atoi(pid)
		if fields := statOf(p); fields != nil && fields[19] == start {
			left = append(left, s)
		}
	}
	return left
}

var _ = Describe("builder smoke that is ended in the middle of a build", Ordered, func() {
	var l smokeLab
	var program string
	BeforeAll(func() {
		l = newSmokeLab()
		program = builtLaminate()
	})

	DescribeTable("ends all processes, and leaves neither mounts nor directories", func(signal syscall.Signal, message string, jobs int) {
		temp := GinkgoT().TempDir()
		args := l.args([]string{"endless", "endless"}[:jobs], "--verbose", "--jobs", strconv.Itoa(jobs))
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "TMPDIR="+temp, "LAMINATE_CACHE_DIR="+l.at("cache"))
		stderr := gbytes.NewBuffer()
		cmd.Stderr = stderr
		Expect(cmd.Start()).To(Succeed())
		DeferCleanup(func() { _ = cmd.Process.Kill() })
		for range jobs {
			Eventually(stderr, time.Minute).Should(gbytes.Say("Endless Buildpack"))
		}
		inside := below(cmd.Process.Pid)
		Expect(len(inside)).To(BeNumerically(">=", 3*jobs), "supervisor, lifecycle and buildpack")

		Expect(cmd.Process.Signal(signal)).To(Succeed())
		_ = cmd.Wait()
		Eventually(func() []string { return running(inside) }, time.Minute).Should(BeEmpty())
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		Expect(err).NotTo(HaveOccurred())
		Expect(string(mounts)).NotTo(Or(ContainSubstring(temp), ContainSubstring(l.at("cache"))))
		if message != "" {
			Expect(cmd.ProcessState.ExitCode()).To(Equal(1))
			Expect(string(stderr.Contents())).To(HaveSuffix(message))
			Expect(os.ReadDir(temp)).To(BeEmpty())
			return
		}
		Expect(os.ReadDir(temp)).NotTo(BeEmpty(), "nothing could remove it")
		next := laminateIn(map[string]string{"TMPDIR": temp, "LAMINATE_CACHE_DIR": l.at("cache")}, l.args([]string{"hello"})...)
		Expect(next.code).To(BeZero(), next.stdout+next.stderr)
		Expect(os.ReadDir(temp)).To(BeEmpty())
	},
		Entry("by an interrupt", syscall.SIGINT, "laminate: interrupted; 0 of 1 app tested\n", 1),
		Entry("by an interrupt, with two apps", syscall.SIGINT, "laminate: interrupted; 0 of 2 apps tested\n", 2),
		Entry("by a kill, once the next run has begun", syscall.SIGKILL, "", 1),
	)
})

var _ = Describe("builder smoke with a full disk", Ordered, func() {
	var l smokeLab
	var small string // a file system of one megabyte
	BeforeAll(func() { l = newSmokeLab() })
	BeforeEach(func() {
		if os.Geteuid() != 0 {
			Skip("only root can mount a small file system")
		}
		small = GinkgoT().TempDir()
		if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=1m"); err != nil {
			Skip("no small file system can be mounted here: " + err.Error())
		}
		DeferCleanup(func() { Expect(syscall.Unmount(small, 0)).To(Succeed()) })
	})

	It("while the app is copied says so, and leaves nothing", func() {
		heavy := make([]byte, 3<<20)
		rand.New(rand.NewSource(1)).Read(heavy)
		Expect(os.WriteFile(l.at("apps/hello/heavy"), heavy, 0o644)).To(Succeed())
		DeferCleanup(os.Remove, l.at("apps/hello/heavy"))
		r := laminateIn(map[string]string{"TMPDIR": small, "LAMINATE_CACHE_DIR": l.at("cache")}, l.args([]string{"hello"})...)
		Expect(r.code).To(Equal(1))
		Expect(r.stdout).To(ContainSubstring("error: app " + l.at("apps/hello") + ": copying heavy to the work directory: no space left on device"))
		Expect(os.ReadDir(small)).To(BeEmpty())
	})

	It("while the builder is unpacked says so, and leaves nothing", func() {
		r := laminateIn(map[string]string{"TMPDIR": small}, l.args([]string{"hello"}, "--no-cache")...)
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(MatchRegexp(`^laminate: oci:\S+/builder: .*: no space left on device\n$`))
		Expect(os.ReadDir(small)).To(BeEmpty())
	})

	It("of the cache says so, and leaves no part of a root file system", func() {
		cache := filepath.Join(small, "cache")
		r := laminateIn(map[string]string{"LAMINATE_CACHE_DIR": cache}, l.args([]string{"hello"})...)
		Expect(r.code).To(Equal(1))
		Expect(r.stderr).To(ContainSubstring("no space left on device"))
		Expect(filepath.Glob(filepath.Join(cache, "v1/trees/*/*/*"))).To(BeEmpty())
	})
})
