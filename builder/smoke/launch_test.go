//go:build linux

package smoke_test

import (
	"archive/tar"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/builder/smoke"
	"laminate/builder/smoke/sandbox"
	"laminate/fixtures/workbench"
	"laminate/packager/config"
	"laminate/packager/image"
)

// The launcher of these images is the program of the sandbox's tests, which becomes /bin/app, the same
// program, with what the launch adds as arguments.
var _ = Describe("a launch", Ordered, func() {
	var program string
	BeforeAll(func() {
		if err := sandbox.Check(GinkgoT().TempDir()); err != nil {
			Skip(err.Error())
		}
		file := filepath.Join(GinkgoT().TempDir(), "tool")
		build := exec.Command("go", "build", "-ldflags=-s -w", "-o", file, "./sandbox/testdata/tool")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := build.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
		text, err := os.ReadFile(file)
		Expect(err).NotTo(HaveOccurred())
		program = string(text)
	})
	appOf := func(entrypoint ...string) *image.Image {
		return imageOf(func(c *v1.Config) {
			c.User, c.Env, c.Entrypoint = "1001:1000", []string{"PATH=/bin"}, entrypoint
		}, workbench.TarOf(
			workbench.TarEntry{Header: tar.Header{Name: "root-of-the-test", Typeflag: tar.TypeReg, Mode: 0o644}},
			workbench.TarEntry{Header: tar.Header{Name: "cnb/lifecycle/launcher", Typeflag: tar.TypeReg, Mode: 0o755}, Body: program},
			workbench.TarEntry{Header: tar.Header{Name: "cnb/process/web", Typeflag: tar.TypeSymlink, Linkname: "/cnb/lifecycle/launcher"}},
			workbench.TarEntry{Header: tar.Header{Name: "bin/app", Typeflag: tar.TypeLink, Linkname: "cnb/lifecycle/launcher"}},
		))
	}
	become := []string{"/cnb/lifecycle/launcher", "exec", "LAUNCHED=yes", "/bin/app"}
	do := func(app *image.Image, want *config.SmokeLaunch) *smoke.Launched {
		GinkgoHelper()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		l, err := smoke.Launch(ctx, app, want, GinkgoT().TempDir())
		Expect(err).NotTo(HaveOccurred())
		return l
	}

	DescribeTable("is as expected, or not", func(args, toml string, failures ...string) {
		want := "[launch]\nargs = ['" + strings.ReplaceAll(args, " ", "', '") + "']\n" + toml
		o := good()
		o.Launch = do(appOf(become...), expected(want).Launch)
		found := said(want, o)
		Expect(found).To(HaveLen(len(failures)), "%q", found)
		for i, f := range failures {
			Expect(found[i]).To(MatchRegexp(f))
		}
	},
		Entry("answers", "serve 8080 late", "[launch.http]\nport = 8080\nbody = 'hello'\n[[launch.env]]\nname = 'LAUNCHED'\nvalue = '^yes$'\n[[launch.logs]]\nline = 'listening'"),
		Entry("answers at ::1 only", "serve 8080 six", "timeout = '1s'\n[launch.http]\nport = 8080", `^4: default process did not answer on port 8080 within 1s: .*connection refused$`),
		Entry("answers otherwise, with a redirect", "serve 8080 moved", "timeout = '1500ms'\n[launch.http]\nport = 8080", `^4: GET / answered 302 with ".*"; expected 200$`),
		Entry("answers without end", "serve 8080 endless", "timeout = '1500ms'\n[launch.http]\nport = 8080", `^4: default process did not answer on port 8080 within 1.5s: .*reading the answer: `),
		Entry("never listens", "sleep", "timeout = '300ms'\n[launch.http]\nport = 8080", `^4: default process did not answer on port 8080 within 300ms: .*connection refused$`),
		Entry("ends before it answers", "serve 8080 crash", "[launch.http]\nport = 8080", `^3: default process ended with exit code 9 before it answered on port 8080$`),
		Entry("ends", "env", "[[launch.env]]\nname = 'LAUNCHED'\n[[launch.env]]\nname = 'HOME'\n[[launch.logs]]\nline = '^LAUNCHED=yes$'", `^5: there is no environment variable HOME`),
		Entry("ends otherwise", "exit 3", "exit-code = 4", `^3: default process ended with exit code 3; expected 4$`),
		Entry("does not end", "sleep", "timeout = '1s'\n[[launch.env]]\nname = 'LAUNCHED'", `^1: default process did not end within 1s; `),
	)

	It("of a process that the launcher cannot start", func() {
		o := good()
		o.Launch = do(appOf("/cnb/lifecycle/launcher", "exit", "82"), expected("[launch.http]\nport = 8080").Launch)
		Expect(said("[launch.http]\nport = 8080", o)).To(Equal([]string{"1: default process did not start: the launcher ended with exit code 82"}))
		o.Launch = do(appOf("/cnb/lifecycle/launcher", "exit", "82"), expected("[launch]\nexit-code = 82").Launch)
		Expect(said("[launch]\nexit-code = 82", o)).To(BeEmpty())
		o.Launch = do(appOf("/cnb/lifecycle/launcher", "exec", "A=1", "/bin/none"), expected("[launch]\nexit-code = 3").Launch)
		Expect(said("[launch]\nexit-code = 3", o)).To(Equal([]string{"1: default process did not start: the launcher ended with exit code 0"}))
		o.Launch = do(appOf("/cnb/process/none"), expected("[launch]").Launch)
		Expect(said("[launch]", o)).To(ConsistOf(MatchRegexp("^1: default process did not start: .*executing /cnb/process/none: no such file")))
	})

	It("reads the environment of a process however soon it ends", func() {
		for range 10 {
			l := do(appOf(append(become, "exit", "0")...), expected("[launch]").Launch)
			Expect(l.NoEnv).NotTo(HaveOccurred())
			Expect(l.Env).To(Equal([]string{"PATH=/bin", "LAUNCHED=yes"}))
		}
	})

	DescribeTable("without a smoke.toml", func(failure string, entrypoint []string) {
		l := do(appOf(entrypoint...), nil)
		if failure == "" {
			Expect(l.Err).NotTo(HaveOccurred())
		} else {
			Expect(l.Err).To(MatchError(failure))
		}
	},
		Entry("of a server", "", append(become, "serve", "8080", "well")),
		Entry("of a process that ends", "", append(become, "exit", "1")),
		Entry("of a launcher that fails", "the launcher ended with exit code 82", []string{"/cnb/process/web", "exit", "82"}),
	)
})
