//go:build linux

package sandbox_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/sandbox"
)

// toolVariable names the tool for a run of the suite by another user, who cannot build it.
const toolVariable = "SANDBOX_TEST_TOOL"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sandbox.Argument {
		os.Exit(sandbox.Main(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "none" {
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == "as-caller" {
		os.Exit(asCaller(os.Args[2], os.Args[3]))
	}
	os.Exit(m.Run())
}

func TestSandbox(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	RunSpecs(t, "sandbox")
}

// tool is the path of the program that runs inside.
var tool string

var _ = BeforeSuite(func() {
	// By a way of its own, so that a fault of the package is not taken for one of the machine.
	probe := exec.Command("/proc/self/exe", "none")
	probe.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
	}
	if err := probe.Run(); err != nil {
		Skip("this machine forbids user namespaces: " + err.Error())
	}
	if tool = os.Getenv(toolVariable); tool != "" {
		return
	}
	tool = filepath.Join(GinkgoT().TempDir(), "tool")
	build := exec.Command("go", "build", "-o", tool, "./testdata/tool")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	Expect(os.Chmod(tool, 0o755)).To(Succeed())
})

// newRoot returns a root file system with the tool, and files of the usual kind.
func newRoot(dir string) string {
	root := filepath.Join(dir, "root")
	for _, d := range []string{"bin", "etc", "tmp", "home/user", "cnb/buildpacks", "proc", "real/run"} {
		Expect(os.MkdirAll(filepath.Join(root, d), 0o755)).To(Succeed())
	}
	Expect(os.Link(tool, filepath.Join(root, "bin/tool"))).To(Succeed())
	for name, text := range map[string]string{
		"etc/passwd": "user:x:1001:1000::/home/user:/bin/sh\n", "cnb/order.toml": "order", "root-of-the-test": "",
		"bin/not-a-program": "no magic", "bin/script": "#!/bin/tool print\n", "bin/text": "not executable",
	} {
		Expect(os.WriteFile(filepath.Join(root, name), []byte(text), 0o755)).To(Succeed())
	}
	Expect(os.Chmod(filepath.Join(root, "bin/text"), 0o644)).To(Succeed())
	Expect(os.Symlink("/real/run", filepath.Join(root, "run"))).To(Succeed())
	Expect(os.Symlink("../../../../../../../../real", filepath.Join(root, "up"))).To(Succeed())
	return root
}

// box is a spec with what its program says.
type box struct {
	sandbox.Spec
	out, err bytes.Buffer
}

// newBox returns a spec over a new root, with a writable /work.
func newBox(args ...string) *box {
	dir := GinkgoT().TempDir()
	scratch := filepath.Join(dir, "scratch")
	Expect(os.Mkdir(scratch, 0o755)).To(Succeed())
	b := &box{}
	b.Spec = sandbox.Spec{
		Root: newRoot(dir), Scratch: scratch, Args: append([]string{"tool"}, args...), Env: []string{"PATH=/bin"},
		UID: 1001, GID: 1000, Mounts: []sandbox.Mount{{Target: "/data"}}, Stdout: &b.out, Stderr: &b.err,
	}
	return b
}

// run runs the box, which has to end by itself.
func (b *box) run() (sandbox.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return sandbox.Run(ctx, b.Spec)
}

// says runs the box and returns its output as a map of what stands before and behind ": ".
func (b *box) says() map[string]string {
	GinkgoHelper()
	result, err := b.run()
	Expect(err).NotTo(HaveOccurred(), b.err.String())
	Expect(result.ExitCode).To(BeZero(), b.out.String()+b.err.String())
	said := map[string]string{}
	for line := range strings.Lines(b.out.String()) {
		if name, text, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			said[name] = strings.TrimSpace(text)
		}
	}
	return said
}

// mounts returns the mounts of this process that can be those of sandboxes over a root: others come and go.
func mounts(root string) (all string) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	Expect(err).NotTo(HaveOccurred())
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, filepath.Dir(root)) || strings.Contains(line, " sandbox ") {
			all += line
		}
	}
	return all
}

// processes returns the ids of processes on this machine whose command line has a word.
func processes(word string) (found []string) {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	Expect(err).NotTo(HaveOccurred())
	for _, file := range all {
		line, _ := os.ReadFile(file)
		if strings.Contains(string(line), word) {
			found = append(found, file)
		}
	}
	return found
}

// asCaller runs a sandbox over a root until it is killed.
func asCaller(root, word string) int {
	_, err := sandbox.Run(context.Background(), sandbox.Spec{
		Root: root, Args: []string{"/bin/tool", "sleep", word}, UID: 1001, GID: 1000, Stdout: os.Stdout, Stderr: os.Stderr,
	})
	_, _ = io.WriteString(os.Stderr, err.Error())
	return 1
}
