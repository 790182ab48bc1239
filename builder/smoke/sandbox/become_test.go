//go:build linux

package sandbox_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/sandbox"
)

// becomes runs the tool with arguments, and returns what its process becomes.
func becomes(b *box) (all []sandbox.Program, result sandbox.Result) {
	GinkgoHelper()
	Expect(os.Link(tool, filepath.Join(b.Root, "bin/other"))).To(Succeed())
	b.Watch = &sandbox.Watch{Became: func(p sandbox.Program) { all = append(all, p) }}
	result, err := b.run()
	Expect(err).NotTo(HaveOccurred(), b.err.String())
	if len(all) > 0 {
		Expect(result.Program).To(Equal(&all[len(all)-1]))
	}
	return all, result
}

var _ = DescribeTable("A watch tells what the program becomes", Label("once"), func(args string, want ...string) {
	all, _ := becomes(newBox(strings.Fields(args)...))
	var said []string
	for _, p := range all {
		said = append(said, p.Executable+" "+strings.Join(p.Env, " "))
	}
	Expect(said).To(HaveExactElements(want))
},
	Entry("nothing else", "exit 0", "/bin/tool PATH=/bin"),
	Entry("another program", "exec A=1 /bin/other exit 3", "/bin/tool PATH=/bin", "/bin/other PATH=/bin A=1"),
	Entry("the same program again", "exec A=1 /bin/tool exit 3", "/bin/tool PATH=/bin", "/bin/tool PATH=/bin A=1"),
	Entry("one after the other", "exec A=1 /bin/other exec B=2 /bin/tool exit 0", "/bin/tool PATH=/bin", "/bin/other PATH=/bin A=1", "/bin/tool PATH=/bin A=1 B=2"),
	Entry("one that a signal ends", "exec A=1 /bin/other kill 9", "/bin/tool PATH=/bin", "/bin/other PATH=/bin A=1"),
	Entry("one by a descriptor", "exec-fd /bin/other exit 0", "/bin/tool PATH=/bin", "/bin/other PATH=/bin"),
	Entry("a script", "exec A=1 /bin/script x", "/bin/tool PATH=/bin", "/bin/tool PATH=/bin A=1"),
	Entry("what is not there", "exec A=1 /bin/none", "/bin/tool PATH=/bin"),
	Entry("what is no program", "exec A=1 /bin/not-a-program", "/bin/tool PATH=/bin"),
	Entry("what a child executes", "execs :/bin/other print x", "/bin/tool PATH=/bin"),
)

var _ = Describe("What a program becomes", func() {
	It("is never missed, however soon it ends", Label("once"), func() {
		for range 10 {
			all, _ := becomes(newBox("exec", "A=1", "/bin/other", "exit", "0"))
			Expect(all).To(HaveExactElements(HaveField("Executable", "/bin/tool"), HaveField("Executable", "/bin/other")))
		}
	})

	It("is either what it was or what it is, also where it becomes that meanwhile", Label("once"), func() {
		program := exec.Command("sh", "-c", "read line; exec cat")
		in, err := program.StdinPipe()
		Expect(err).NotTo(HaveOccurred())
		Expect(program.Start()).To(Succeed())
		DeferCleanup(func() { _ = in.Close(); _ = program.Wait() })
		comm := func() (string, error) {
			name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", program.Process.Pid))
			return strings.TrimSpace(string(name)), err
		}
		Eventually(comm).Should(Equal("sh"))
		before := sandbox.Execution(program.Process.Pid, os.Readlink)
		during := sandbox.Execution(program.Process.Pid, func(link string) (string, error) {
			defer Eventually(comm).Should(Equal("cat"))
			defer io.WriteString(in, "\n")
			return os.Readlink(link)
		})
		Expect(during).To(Equal(before))
		Expect(sandbox.Execution(program.Process.Pid, os.Readlink)).NotTo(Equal(before))
	})

	It("has no more than half a MiB of an environment", Label("once"), func() {
		b := newBox("exit", "0")
		for i := range 12 {
			b.Env = append(b.Env, string(rune('A'+i))+"="+strings.Repeat("x", 100<<10))
		}
		all, _ := becomes(b)
		Expect(all).To(HaveLen(1))
		Expect(all[0].Env[:6]).To(Equal(b.Env[:6])) // PATH before
		Expect(strings.Join(all[0].Env, "\x00") + "\x00").To(HaveLen(512<<10 + 1))
	})

	It("is told while it runs", func() {
		b := newBox("exec", "A=1", "/bin/tool", "sleep")
		told := make(chan sandbox.Program, 2)
		b.Watch = &sandbox.Watch{Became: func(p sandbox.Program) { told <- p }}
		b.visit(func(ctx context.Context, in sandbox.Inside) {
			Eventually(told).Should(Receive(HaveField("Env", HaveLen(1))))
			Eventually(told).Should(Receive(HaveField("Env", HaveLen(2))))
			in.Stop(0)
		})
	})
})
