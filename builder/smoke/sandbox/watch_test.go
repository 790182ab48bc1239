//go:build linux

package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke/sandbox"
)

// watched returns a box with buildpacks a and b, and what is told about it: "+a" when a's bin/build
// begins, "-a" when it has ended.
func watched(args ...string) (b *box, told *[]string) {
	b = newBox(append([]string{"execs"}, args...)...)
	for _, name := range []string{"a", "b"} {
		bin := filepath.Join(b.Root, "cnb/buildpacks", name, "1/bin")
		Expect(os.MkdirAll(bin, 0o755)).To(Succeed())
		Expect(os.Link(tool, filepath.Join(bin, "build"))).To(Succeed())
		Expect(os.Link(tool, filepath.Join(bin, "detect"))).To(Succeed())
	}
	told = &[]string{}
	tell := func(sign string) func(sandbox.Exec) (*sandbox.Access, error) {
		return func(e sandbox.Exec) (*sandbox.Access, error) {
			*told = append(*told, sign+strings.TrimSuffix(strings.TrimPrefix(e.Path, "/cnb/buildpacks/"), "/1/bin/build"))
			return nil, nil
		}
	}
	b.Watch = &sandbox.Watch{
		Programs: []string{"/cnb/buildpacks/*/*/bin/build"}, Began: tell("+"),
		Ended: func(e sandbox.Exec) { _, _ = tell("-")(e) },
	}
	return b, told
}

var _ = DescribeTable("A watch tells when programs begin and end", Label("once"), func(args string, want ...string) {
	b, told := watched(strings.Fields(args)...)
	result, err := b.run()
	Expect(err).NotTo(HaveOccurred(), b.err.String())
	Expect(result.ExitCode).To(BeZero(), b.out.String()+b.err.String())
	Expect(*told).To(HaveExactElements(want), b.out.String())
},
	Entry("one after the other", ":/cnb/buildpacks/a/1/bin/build print x , :/cnb/buildpacks/b/1/bin/build exit 3", "+a", "-a", "+b", "-b"),
	Entry("others", ":/cnb/buildpacks/a/1/bin/detect print x , :/bin/tool print /cnb/buildpacks/a/1/bin/build"),
	Entry("a relative path", "relative:/cnb/buildpacks/a/1/bin/build print x", "+a", "-a"),
	Entry("execveat from a directory", "fd:/cnb/buildpacks/a/1/bin/build print x", "+a", "-a"),
	Entry("execveat of a descriptor", "empty:/cnb/buildpacks/a/1/bin/build print x", "+a", "-a"),
	Entry("one that executes itself again", ":/cnb/buildpacks/a/1/bin/build exec-fd /cnb/buildpacks/a/1/bin/build print x", "+a", "-a"),
	Entry("one that starts another", ":/cnb/buildpacks/a/1/bin/build exec-nested /cnb/buildpacks/b/1/bin/build print x", "+a", "+b", "-b", "-a"),
	Entry("one that cannot be executed", ":/cnb/buildpacks/none/1/bin/build print x", "+none", "-none"),
	Entry("the program itself again", ":/cnb/buildpacks/a/1/bin/build print x , :/cnb/buildpacks/a/1/bin/build print x", "+a", "-a", "+a", "-a"),
)

var _ = Describe("A watch", func() {
	It("lets a program wait until the caller is ready, and tells what outlived the one before", func() {
		b, _ := watched(strings.Fields(":/cnb/buildpacks/a/1/bin/build leave , nested:/cnb/buildpacks/b/1/bin/build write /data/b")...)
		work := filepath.Join(GinkgoT().TempDir(), "work")
		Expect(os.Mkdir(work, 0o755)).To(Succeed())
		b.Mounts = []sandbox.Mount{{Source: work, Target: "/data"}}
		var seen []string
		b.Watch.Began = func(e sandbox.Exec) (*sandbox.Access, error) {
			time.Sleep(20 * time.Millisecond) // in which it could write
			_, err := os.Stat(filepath.Join(work, "b"))
			seen = append(seen, fmt.Sprint("began ", e.Path, " direct=", e.Direct, " written=", err == nil))
			return nil, nil
		}
		b.Watch.Ended = func(e sandbox.Exec) {
			seen = append(seen, "ended "+e.Path)
			for _, p := range e.Outlived {
				seen = append(seen, "outlived by "+p.Command)
			}
		}
		_, err := b.run()
		Expect(err).NotTo(HaveOccurred(), b.err.String())
		Expect(filepath.Join(work, "b")).To(BeAnExistingFile())
		Expect(seen).To(HaveExactElements(
			"began /cnb/buildpacks/a/1/bin/build direct=true written=false",
			"ended /cnb/buildpacks/a/1/bin/build", "outlived by tool stay in-the-background",
			"began /cnb/buildpacks/b/1/bin/build direct=false written=false",
			"ended /cnb/buildpacks/b/1/bin/build",
		))
	})

	It("gives a process that is about to end its time", func() {
		b, _ := watched(strings.Fields(":/cnb/buildpacks/a/1/bin/build trail burn , :/cnb/buildpacks/b/1/bin/build trail await /never , :/cnb/buildpacks/a/1/bin/build trail burn")...)
		var began, ended []string
		note := func(to *[]string, e sandbox.Exec) {
			for _, p := range append([]sandbox.Process{{Command: "of " + e.Path[16:17]}}, e.Outlived...) {
				*to = append(*to, p.Command)
			}
		}
		b.Watch.Began = func(e sandbox.Exec) (*sandbox.Access, error) { note(&began, e); return nil, nil }
		b.Watch.Ended = func(e sandbox.Exec) { note(&ended, e) }
		result, err := b.run()
		Expect(err).NotTo(HaveOccurred(), b.err.String())
		Expect(began).To(HaveExactElements("of a", "of b", "of a"))
		// The third may end with the program, and with what it leaves.
		Expect(ended[:4]).To(HaveExactElements("of a", "of b", "tool await /never", "of a"))
		Expect(result.Left).To(HaveExactElements(HaveField("Command", "tool await /never")))
	})

	It("tells what a process executes that is about to do so", Label("once"), func() {
		b, _ := watched(strings.Fields(":/cnb/buildpacks/a/1/bin/build trail become stay in-the-background , :/cnb/buildpacks/b/1/bin/build print x")...)
		var outlived []sandbox.Process
		b.Watch.Ended = func(e sandbox.Exec) { outlived = append(outlived, e.Outlived...) }
		result, err := b.run()
		Expect(err).NotTo(HaveOccurred(), b.err.String())
		Expect(outlived).To(HaveEach(HaveField("Command", "tool stay in-the-background")))
		Expect(result.Left).To(Equal(outlived[:1]))
	})

	It("tells of what outlives the last one, too", func() {
		b, _ := watched(strings.Fields(":/cnb/buildpacks/a/1/bin/build trail relay /data/told /data/ending , :/bin/tool await /data/ending")...)
		work := GinkgoT().TempDir()
		b.Mounts = []sandbox.Mount{{Source: work, Target: "/data"}}
		var outlived []string
		b.Watch.Ended = func(e sandbox.Exec) {
			defer GinkgoRecover()
			for _, p := range e.Outlived {
				outlived = append(outlived, p.Command)
			}
			Expect(os.WriteFile(filepath.Join(work, "told"), nil, 0o644)).To(Succeed())
		}
		result, err := b.run()
		Expect(err).NotTo(HaveOccurred(), b.err.String())
		Expect(outlived).To(Equal([]string{"tool relay /data/told /data/ending"}))
		Expect(result.Left).To(BeEmpty())
	})

	It("lets a program wait at its end", Label("once"), func() {
		b, told := watched(strings.Fields(":/cnb/buildpacks/a/1/bin/build leave , :/cnb/buildpacks/b/1/bin/build exit 3 , :/cnb/buildpacks/a/1/bin/build kill 9")...)
		b.Watch.Ending = func(e sandbox.Exec) (*sandbox.Access, error) {
			time.Sleep(20 * time.Millisecond)
			*told = append(*told, "!")
			return nil, nil
		}
		_, err := b.run()
		Expect(err).NotTo(HaveOccurred(), b.err.String())
		Expect(*told).To(HaveExactElements("+a", "!", "-a", "+b", "!", "-b", "+a", "-a"))
	})

	It("ends the sandbox for an error of the caller", Label("once"), func() {
		for _, ending := range []bool{false, true} {
			b, told := watched(strings.Fields(":/cnb/buildpacks/a/1/bin/build print said , :/cnb/buildpacks/b/1/bin/build print said")...)
			stop := func(sandbox.Exec) (*sandbox.Access, error) { return nil, errors.New("enough") }
			if ending {
				b.Watch.Ending = stop
			} else {
				b.Watch.Began = stop
			}
			_, err := b.run()
			Expect(err).To(MatchError("enough"))
			Expect(*told).NotTo(ContainElement("+b"))
			Expect(strings.Contains(b.out.String(), "said")).To(Equal(ending))
		}
	})

	It("needs no function", Label("once"), func() {
		b, _ := watched(strings.Fields(":/cnb/buildpacks/a/1/bin/build print x")...)
		b.Watch.Began, b.Watch.Ended = nil, nil
		_, err := b.run()
		Expect(err).NotTo(HaveOccurred(), b.err.String())
		Expect(b.out.String()).To(HavePrefix("x\n"))
	})

	It("ends with its context while the caller is not ready", Label("once"), func() {
		b, _ := watched(strings.Fields(":/cnb/buildpacks/a/1/bin/build print x")...)
		ctx, cancel := context.WithCancel(context.Background())
		b.Watch.Began = func(sandbox.Exec) (*sandbox.Access, error) {
			cancel()
			time.Sleep(20 * time.Millisecond)
			return nil, nil
		}
		_, err := sandbox.Run(ctx, b.Spec)
		Expect(err).To(MatchError(context.Canceled))
	})

	It("refuses what it cannot watch", Label("once"), func() {
		b, _ := watched("x")
		for _, wrong := range [][]string{nil, {"bin/build"}, {"/cnb/["}} {
			b.Watch.Programs = wrong
			_, err := b.run()
			Expect(err).To(MatchError(ContainSubstring("sandbox: ")))
		}
	})
})
